// Package exporter brings what changes on one site into the site's log. It compares
// the site's listing with the log and publishes the difference, so a restart, a hint
// that was missed or a damaged log costs a scan and nothing else.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/blob"
	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/lease"
	"synchro.example/shared/publish"
	"synchro.example/shared/status"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// coalesce is how long an exporter waits after a hint for further ones.
const coalesce = 20 * time.Millisecond

// Options are what an exporter needs. All fields are required but the times.
type Options struct {
	Site   string
	Source content.Source
	NC     *nats.Conn
	JS     jetstream.JetStream
	Log    *slog.Logger
	// Rescan is the time between scans that nothing wakes earlier, 60 s when zero.
	Rescan time.Duration
	// Settle is how soon to look again at objects that were being written.
	Settle time.Duration
	// Tombstones is how long the log remembers removals, 30 days when zero.
	Tombstones time.Duration
	// Patience is how long Settle waits for another exporter of the site to end, 15 s
	// when zero.
	Patience time.Duration
}

// Exporter is one running exporter. Run and Settle must not run at the same time.
type Exporter struct {
	site       string
	source     content.Source
	nc         *nats.Conn
	js         jetstream.JetStream
	log        *slog.Logger
	rescan     time.Duration
	settle     time.Duration
	tombstones time.Duration
	patience   time.Duration

	lease     *lease.Lease
	publisher *publish.Publisher
	blobs     *blob.Store
	clock     *version.Clock
	hints     chan struct{}

	mu  sync.Mutex // guards inv, which is nil when the log must be read again
	inv *inventory

	done   atomic.Int64
	report atomic.Pointer[status.Report]
}

// New makes an exporter and its stream.
func New(ctx context.Context, o Options) (*Exporter, error) {
	e := &Exporter{
		site: o.Site, source: o.Source, nc: o.NC, js: o.JS,
		log:    o.Log.With("service", status.Exporter, "site", o.Site),
		rescan: orDefault(o.Rescan, time.Minute), settle: orDefault(o.Settle, 100*time.Millisecond),
		tombstones: orDefault(o.Tombstones, 30*24*time.Hour), patience: orDefault(o.Patience, 15*time.Second),
		blobs: blob.New(o.JS), hints: make(chan struct{}, 1),
	}
	e.report.Store(&status.Report{State: status.Starting})
	if err := stream.Ensure(ctx, o.JS, stream.Export(o.Site), stream.Blobs(), stream.Errors()); err != nil {
		return nil, err
	}
	e.lease = lease.New(o.JS, subject.ExportStream(o.Site), subject.ExportLease(o.Site), e.log)
	e.publisher = publish.New(o.NC, o.JS, publish.Options{Guard: e.lease})
	return e, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Run exports until soft ends; what is being published then is finished unless hard
// ends as well. Only faults of class Stop end it earlier.
func (e *Exporter) Run(soft, hard context.Context) error {
	stop, err := status.Serve(e.nc, status.Exporter, e.site, func() status.Report { return *e.report.Load() })
	if err != nil {
		return err
	}
	defer stop()
	go e.watch(soft)
	retry := newBackoff()
	for soft.Err() == nil {
		err := e.lease.Hold(soft, hard, e.standBy, func(held context.Context) error { return e.passes(soft, held, retry.Reset) })
		switch {
		case soft.Err() != nil:
			return nil
		case fault.Of(err).Class == fault.Stop:
			return err
		}
		e.pause(err)
		e.sleep(soft, retry.NextBackOff(), 0, false)
	}
	return nil
}

// passes scans again and again until soft ends or a scan fails.
func (e *Exporter) passes(soft, hard context.Context, progress func()) error {
	e.forget() // somebody else may have written since
	for soft.Err() == nil {
		start := time.Now()
		left, err := e.pass(soft, hard)
		if err != nil {
			return err
		}
		progress()
		wait := e.rescan
		if left > 0 {
			wait = e.settle
		}
		e.sleep(soft, wait, time.Since(start), true)
	}
	return nil
}

func (e *Exporter) standBy(h lease.Holder) {
	e.log.Info("another exporter of the site is at work, this one stands by", "holder", h)
	e.report.Store(&status.Report{State: status.StandBy, Reason: "the work is done by " + h.String(), Done: e.done.Load()})
}

func newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 200*time.Millisecond, 30*time.Second
	return b
}

// watch runs the source's watch for as long as the exporter runs. Without one the
// periodic scan goes on alone.
func (e *Exporter) watch(ctx context.Context) {
	err := e.source.Watch(ctx, e.hint)
	if err != nil && ctx.Err() == nil {
		e.log.Warn("the site cannot be watched, changes are found by scans alone", "rescan", e.rescan, "error", err)
	}
}

func (e *Exporter) hint() {
	select {
	case e.hints <- struct{}{}:
	default:
	}
}

// sleep waits for a hint or the next scan. A scan that took long is not repeated
// without a pause as long, however many hints come.
func (e *Exporter) sleep(ctx context.Context, wait, took time.Duration, hints bool) {
	wake := e.hints
	if !hints {
		wake = nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	case <-wake:
		select {
		case <-ctx.Done():
		case <-time.After(max(coalesce, min(took, e.rescan))):
		}
	}
	select {
	case <-e.hints:
	default:
	}
}

// Settle exports until the log equals the source. Objects that cannot be read, or
// that do not come to rest within a few looks, are left out and counted.
func (e *Exporter) Settle(ctx context.Context) (left int, err error) {
	waiting, cancel := context.WithTimeoutCause(ctx, e.patience, errBusy)
	defer cancel()
	err = e.lease.Hold(waiting, ctx, e.standBy, func(held context.Context) (err error) {
		e.forget()
		left, err = e.looks(held)
		return err
	})
	if errors.Is(err, errBusy) {
		return 0, fault.New(fault.Stop, fault.LeaseLost, fmt.Errorf("%w: %s", err, e.report.Load().Reason))
	}
	return left, err
}

var errBusy = errors.New("another exporter of the site is at work; stop it, or leave the work to it")

func (e *Exporter) looks(ctx context.Context) (left int, err error) {
	const looks = 20
	for range looks {
		if left, err = e.pass(ctx, ctx); err != nil || left == 0 {
			return left, err
		}
		select {
		case <-ctx.Done():
			return left, ctx.Err()
		case <-time.After(e.settle):
		}
	}
	return left, nil
}

// pass scans once and publishes the difference. left counts the objects that have
// to be looked at again.
func (e *Exporter) pass(soft, hard context.Context) (left int, err error) {
	if err := e.load(hard); err != nil {
		return 0, err
	}
	items, err := e.list(soft)
	if err != nil {
		return 0, err
	}
	steps, unsettled := compare(e.inv, items)
	e.say(len(steps))
	out, err := e.carry(hard, steps)
	if err != nil {
		e.forget()
		return 0, err
	}
	e.say(0)
	if out.published > 0 {
		e.log.Info("changes are in the log", "published", out.published, "unchanged", out.unchanged, "postponed", out.postponed)
	}
	return unsettled + out.postponed, nil
}

func (e *Exporter) list(ctx context.Context) ([]content.Item, error) {
	var items []content.Item
	for item, err := range e.source.List(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list site %s: %w", e.site, err)
		}
		items = append(items, item)
	}
	return items, ctx.Err()
}

// load reads the log, unless the inventory is up to date.
func (e *Exporter) load(ctx context.Context) error {
	if e.inv != nil {
		return nil
	}
	inv := newInventory(e.site)
	err := changelog.Heads(ctx, e.js, subject.ExportStream(e.site),
		func(_ uint64, h envelope.Head) { inv.add(h) },
		func(subj string, err error) {
			e.log.Error("a message of the log cannot be read, its object is exported again", "subject", subj, "error", err)
		})
	if err != nil {
		return err
	}
	if e.clock == nil {
		e.clock = version.NewClock(inv.newest, nil)
	}
	e.clock.Observe(inv.newest)
	e.mu.Lock()
	e.inv = inv
	e.mu.Unlock()
	return nil
}

// forget makes the next pass read the log: what became of a batch is not known.
func (e *Exporter) forget() {
	e.mu.Lock()
	e.inv = nil
	e.mu.Unlock()
}

func (e *Exporter) count(n int) { e.done.Add(int64(n)) }

// Done is how many changes have been published since New.
func (e *Exporter) Done() int64 { return e.done.Load() }

func (e *Exporter) say(pending int) {
	e.report.Store(&status.Report{State: status.Running, Pending: pending, Done: e.done.Load()})
}

func (e *Exporter) pause(err error) {
	e.log.Warn("export is paused and tried again", "error", err)
	e.report.Store(&status.Report{State: status.Paused, Reason: err.Error(), Done: e.done.Load()})
}
