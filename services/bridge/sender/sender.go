// Package sender brings what a classic site exports into the site's log. On the EXPORT
// side of a queue it does what the classic sender does: it takes files from TO_PROCESS into
// PROCESSING by renaming them, publishes what they say, and moves them to DONE when the
// broker has it. What is no change goes to ERROR, with the reason beside the queue.
//
// A queue tells what has happened, not what a site holds, so there is nothing to compare
// the log with: files are events, and the time in a file's name says which of two
// is newer.
package sender

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zexp"
	"synchro.example/shared/blob"
	"synchro.example/shared/control"
	"synchro.example/shared/fault"
	"synchro.example/shared/lease"
	"synchro.example/shared/publish"
	"synchro.example/shared/signature"
	"synchro.example/shared/status"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// Options are what a sender needs. The times, Allowed and Control may be left out.
type Options struct {
	Site string
	// Path is the queue's folder. Reasons of refusals lie in Path.synchro.
	Path string
	// Accept names the plugins whose data is taken.
	Accept []string
	// Allowed are the globals that exports may name, any when nil: each receiving site
	// has a list of its own.
	Allowed *zexp.List
	NC      *nats.Conn
	JS      jetstream.JetStream
	Log     *slog.Logger
	// Control is what people have told this process's services.
	Control *control.Following
	// Look is the time between looks into the queue, half a second when zero.
	Look time.Duration
	// Keep is how long files stay in DONE, for ever when zero.
	Keep time.Duration
	// Tombstones is how long the log remembers removals, 30 days when zero.
	Tombstones time.Duration
	// Host and Software say who writes a failure down.
	Host, Software string
	// Key signs what is published; nothing is signed when nil.
	Key *signature.Key
	// Patience is how long Settle waits for another sender of the site to end, 15 s when zero.
	Patience time.Duration
}

// Sender is one running sender. Run and Settle must not run at the same time.
type Sender struct {
	Options
	log       *slog.Logger
	lease     *lease.Lease
	publisher *publish.Publisher
	blobs     *blob.Store
	clock     *version.Clock
	done      atomic.Int64
	report    atomic.Pointer[status.Report]
}

// New makes a sender and its stream.
func New(ctx context.Context, o Options) (*Sender, error) {
	o.Look = cmp.Or(o.Look, 500*time.Millisecond)
	o.Tombstones = cmp.Or(o.Tombstones, 30*24*time.Hour)
	o.Patience = cmp.Or(o.Patience, 15*time.Second)
	s := &Sender{Options: o, log: o.Log.With("service", status.Exporter, "site", o.Site), blobs: blob.New(o.JS)}
	s.report.Store(&status.Report{State: status.Starting})
	if err := s.ensure(ctx); err != nil {
		return nil, err
	}
	s.lease = lease.New(o.JS, subject.ExportStream(o.Site), subject.ExportLease(o.Site), s.log)
	s.publisher = publish.New(o.NC, o.JS, publish.Options{Guard: s.lease})
	return s, nil
}

func (s *Sender) ensure(ctx context.Context) error {
	return stream.Ensure(ctx, s.JS, stream.Export(s.Site), stream.Blobs(), stream.Errors(), stream.Replay())
}

// Run sends until soft ends; what is being published then is finished unless hard ends as
// well. Only faults of class Stop end it earlier.
func (s *Sender) Run(soft, hard context.Context) error {
	stop, err := status.Serve(s.NC, status.Exporter, s.Site, func() status.Report { return *s.report.Load() })
	if err != nil {
		return err
	}
	defer stop()
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = 200*time.Millisecond, 30*time.Second
	for soft.Err() == nil {
		err := s.tenure(soft, hard, func(held context.Context, w *work) error { return w.rounds(soft, held, retry.Reset) })
		switch {
		case soft.Err() != nil:
			return nil
		case fault.Of(err).Class == fault.Stop:
			return err
		}
		s.log.Warn("the queue is not read for a while, and tried again", "error", err)
		s.tell(status.Report{State: status.Paused, Reason: err.Error()})
		wait(soft, retry.NextBackOff())
	}
	return nil
}

// Settle sends what is in the queue.
func (s *Sender) Settle(ctx context.Context) error {
	state, _ := s.Control.State()
	if p, paused := state.Site(s.Site); paused {
		return fault.OfSite(fault.Retry, fault.Paused, fmt.Errorf("site %s is %v", s.Site, p))
	}
	waiting, cancel := context.WithTimeoutCause(ctx, s.Patience, errBusy)
	defer cancel()
	err := s.tenure(waiting, ctx, func(held context.Context, w *work) error {
		for held.Err() == nil {
			if sent, err := w.round(held); err != nil || sent == 0 {
				return err
			}
		}
		return held.Err()
	})
	if errors.Is(err, errBusy) {
		return fault.New(fault.Stop, fault.LeaseLost, fmt.Errorf("%w: %s", err, s.report.Load().Reason))
	}
	return err
}

var errBusy = errors.New("another bridge of the site is at work; stop it, or leave the work to it")

// tenure is do while this process has the site's lease, for which it waits until waiting
// ends.
func (s *Sender) tenure(waiting, hard context.Context, do func(held context.Context, w *work) error) error {
	if err := s.ensure(hard); err != nil {
		return err
	}
	return s.lease.Hold(waiting, hard, s.standBy, func(held context.Context) error {
		q, err := queue.Open(s.Path)
		if err != nil {
			return fault.OfSite(fault.Retry, fault.SourceMissing, err)
		}
		w, err := s.open(held, q)
		if err == nil {
			err = do(held, w)
		}
		return errors.Join(err, q.Close())
	})
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Done is how many files have been sent since New.
func (s *Sender) Done() int64 { return s.done.Load() }

// Refused is how many files were in ERROR at the last look.
func (s *Sender) Refused() (n int) {
	for _, count := range s.report.Load().Failed {
		n += count
	}
	return n
}

func (s *Sender) standBy(h lease.Holder) {
	s.log.Info("another bridge of the site is at work, this one stands by", "holder", h)
	s.tell(status.Report{State: status.StandBy, Reason: "the work is done by " + h.String()})
}

func (s *Sender) tell(r status.Report) {
	r.Done = s.done.Load()
	s.report.Store(&r)
}
