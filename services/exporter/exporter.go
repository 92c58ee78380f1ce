// Package exporter brings what changes on one site into the site's log. It compares
// the site's listing with the log and publishes the difference, so a restart, a hint
// that was missed or a damaged log costs a scan and nothing else.
package exporter

import (
	"cmp"
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
	"synchro.example/shared/content"
	"synchro.example/shared/control"
	"synchro.example/shared/fault"
	"synchro.example/shared/lease"
	"synchro.example/shared/plugin"
	"synchro.example/shared/publish"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/salvage"
	"synchro.example/shared/signature"
	"synchro.example/shared/status"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// Options are what an exporter needs. The times, Control and MaxRemovals may be left out.
type Options struct {
	Site   string
	Source content.Source
	NC     *nats.Conn
	JS     jetstream.JetStream
	Log    *slog.Logger
	// Plugins change what is read; none when nil.
	Plugins *plugin.Set
	// Control is what people have told this process's services.
	Control *control.Following
	// MaxRemovals is how many of so many objects may be removed in one cycle; all when nil.
	MaxRemovals func(objects int) int
	// Rescan is the time between scans that nothing wakes earlier, 60 s when zero.
	Rescan time.Duration
	// LookAgain is how soon to look again at objects that were being written.
	LookAgain time.Duration
	// Reconcile is the time between readings of the log, which show whether it is whole,
	// 15 minutes when zero.
	Reconcile time.Duration
	// Tombstones is how long the log remembers removals, 30 days when zero.
	Tombstones time.Duration
	// Patience is how long Settle waits for another exporter of the site to end, 15 s
	// when zero.
	Patience time.Duration
	// Preflight, when set, is called when this process begins to work for the site.
	Preflight func(ctx context.Context)
	// Circle are the sites, in order, of the circle of channels on which the site lies; nil
	// when it lies on none.
	Circle []string
	// Host and Software are kept with failures.
	Host, Software string
	// Key signs what is published; nothing is signed when nil. Unable says why there is none
	// although there should be: then the exporter only compares.
	Key    *signature.Key
	Unable error
	// Rule says who must have signed what the log has; anybody may when nil.
	Rule *signature.Rule
}

func (o *Options) setDefaults() {
	o.Rescan = cmp.Or(o.Rescan, time.Minute)
	o.LookAgain = cmp.Or(o.LookAgain, 100*time.Millisecond)
	o.Reconcile = cmp.Or(o.Reconcile, 15*time.Minute)
	o.Tombstones = cmp.Or(o.Tombstones, 30*24*time.Hour)
	o.Patience = cmp.Or(o.Patience, 15*time.Second)
}

// Exporter is one running exporter. Run and Settle must not run at the same time.
type Exporter struct {
	Options
	log       *slog.Logger
	lease     *lease.Lease
	publisher *publish.Publisher
	blobs     *blob.Store
	failures  *failures
	own       *signature.Rule // for what is signed as it should be
	doctor    *salvage.Doctor
	clock     *version.Clock
	hints     chan struct{}

	mu     sync.Mutex      // guards inv, which is nil when the log must be read again
	inv    *inventory      // the log
	again  map[string]bool // uids of which all bytes are sent again
	loaded time.Time       // when the log was read
	circle *circle         // nil for a site that lies on none

	reread   atomic.Bool // the log is to be read again
	distrust atomic.Bool // with all bodies
	troubled atomic.Bool // something keeps, or kept, the site from being exported
	done     atomic.Int64
	report   atomic.Pointer[status.Report]
}

// New makes an exporter and its stream.
func New(ctx context.Context, o Options) (*Exporter, error) {
	o.setDefaults()
	e := &Exporter{
		Options: o, log: o.Log.With("service", status.Exporter, "site", o.Site),
		blobs: blob.New(o.JS), hints: make(chan struct{}, 1), again: map[string]bool{},
	}
	e.doctor = &salvage.Doctor{JS: o.JS, Log: e.log}
	e.report.Store(&status.Report{State: status.Starting})
	if err := e.ensure(ctx); err != nil {
		return nil, err
	}
	e.Source = &marked{e.Source, e.Plugins}
	e.lease = lease.New(o.JS, subject.ExportStream(o.Site), subject.ExportLease(o.Site), e.log)
	e.publisher = publish.New(o.NC, o.JS, publish.Options{Guard: e.lease})
	e.failures = newFailures(e)
	if e.own = o.Rule; o.Key != nil {
		e.own = signature.OfSource(o.Site, []string{o.Key.Public()})
	}
	return e, nil
}

// ensure makes the streams, which somebody may have deleted meanwhile, or damaged.
func (e *Exporter) ensure(ctx context.Context) error {
	err := stream.Ensure(ctx, e.JS, stream.Export(e.Site), stream.Blobs(), stream.Errors(), stream.Replay())
	if err != nil {
		return err
	}
	return e.doctor.Examine(ctx, subject.ExportStream(e.Site), subject.ErrorStream, subject.ReplayStream)
}

// Run exports until soft ends; what is being published then is finished unless hard
// ends as well. Only faults of class Stop end it earlier.
func (e *Exporter) Run(soft, hard context.Context) error {
	stop, err := status.Serve(e.NC, status.Exporter, e.Site, e.said)
	if err != nil {
		return err
	}
	defer stop()
	defer reconcile.Listen(e.NC, status.Exporter, e.Site, e.order)()
	go e.watch(soft)
	go e.Plugins.Watch(soft)
	retry := newBackoff()
	for soft.Err() == nil {
		err := e.tenure(soft, hard, func(held context.Context) error { return e.cycles(soft, held, retry.Reset) })
		switch {
		case soft.Err() != nil:
			return nil
		case fault.Of(err).Class == fault.Stop:
			return err
		}
		e.pause(err)
		wait(soft, retry.NextBackOff())
	}
	return nil
}

// Settle exports until the log equals the source. Objects that cannot be read, or that
// do not come to rest within a few looks, are left out and counted.
func (e *Exporter) Settle(ctx context.Context) (left int, err error) {
	waiting, cancel := context.WithTimeoutCause(ctx, e.Patience, errBusy)
	defer cancel()
	err = e.tenure(waiting, ctx, func(held context.Context) (err error) {
		if err = e.failures.taken(held); err != nil {
			return err
		}
		left, err = e.looks(held)
		return err
	})
	if errors.Is(err, errBusy) {
		return 0, fault.New(fault.Stop, fault.LeaseLost, fmt.Errorf("%w: %s", err, e.report.Load().Reason))
	}
	return left, err
}

var errBusy = errors.New("another exporter of the site is at work; stop it, or leave the work to it")

// tenure is work while this process has the site's lease, for which it waits until
// waiting ends.
func (e *Exporter) tenure(waiting, hard context.Context, work func(held context.Context) error) error {
	if e.Unable != nil {
		return e.Unable
	}
	if err := e.ensure(hard); err != nil {
		return err
	}
	if err := e.doctor.Check(hard, subject.ExportStream(e.Site)); err != nil { // a lease goes with its stream
		return err
	}
	return e.lease.Hold(waiting, hard, e.standBy, func(held context.Context) error {
		e.forget() // somebody else may have written since
		if e.Preflight != nil {
			e.Preflight(held)
		}
		stop, err := e.failures.open(held)
		if err != nil {
			return err
		}
		defer stop()
		return work(held)
	})
}

// watch runs the source's watch for as long as the exporter runs. Without one the
// periodic scan goes on alone.
func (e *Exporter) watch(ctx context.Context) {
	err := e.Source.Watch(ctx, e.hint)
	if err != nil && ctx.Err() == nil {
		e.log.Warn("the site cannot be watched, changes are found by scans alone", "rescan", e.Rescan, "error", err)
	}
}

// order has the log read again now.
func (e *Exporter) order(string) {
	e.Distrust()
	e.reread.Store(true)
	e.hint()
}

func (e *Exporter) hint() {
	select {
	case e.hints <- struct{}{}:
	default:
	}
}

func newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 200*time.Millisecond, 30*time.Second
	return b
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Done is how many changes have been published since New.
func (e *Exporter) Done() int64 { return e.done.Load() }

func (e *Exporter) count(n int) { e.done.Add(int64(n)) }

func (e *Exporter) say(pending int) {
	e.tell(status.Report{State: status.Running, Pending: pending})
}

func (e *Exporter) pause(err error) {
	e.log.Warn("export is paused and tried again", "error", err)
	e.tell(status.Report{State: status.Paused, Reason: err.Error()})
}

func (e *Exporter) standBy(h lease.Holder) {
	e.log.Info("another exporter of the site is at work, this one stands by", "holder", h)
	e.tell(status.Report{State: status.StandBy, Reason: "the work is done by " + h.String()})
}

// said is the last report, and how the plugins are now.
func (e *Exporter) said() status.Report {
	r := *e.report.Load()
	r.Plugins = e.Plugins.Health(plugin.Export)
	return r
}

func (e *Exporter) tell(r status.Report) {
	if r.State == status.Paused || r.State == status.Guarded {
		e.troubled.Store(true)
	}
	r.Done, r.Failed = e.done.Load(), e.failures.codes()
	e.report.Store(&r)
}
