// Package importer applies the changes of channels to one receiving site: in the
// order that the content tree asks for, in parallel otherwise, each once. What has
// taken effect stands in the site's ledger, what failed in the ERROR stream.
package importer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/blob"
	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/control"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
	"synchro.example/shared/lease"
	"synchro.example/shared/locate"
	"synchro.example/shared/plugin"
	"synchro.example/shared/publish"
	"synchro.example/shared/salvage"
	"synchro.example/shared/signature"
	"synchro.example/shared/status"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

// Options are what an importer needs.
type Options struct {
	Site string
	// Channels are the names of the channels that the site receives.
	Channels []string
	// Open opens the site for the owner, whose name all importers of the site have in
	// common. It is called when this process has the site's lease, and again after it
	// lost and regained that.
	Open func(owner string) (content.Target, error)
	// Inspect opens the site for looking at it, to find what somebody else has changed
	// there. Nobody looks when nil.
	Inspect func() (content.Source, error)
	// Repair undoes what somebody else has changed on the site; else it is only reported.
	Repair bool
	NC     *nats.Conn
	JS     jetstream.JetStream
	Log    *slog.Logger
	// Accept names the plugins whose payloads the site takes; any when nil.
	Accept []string
	// Rules say where the site puts objects; nil for where the sources have them.
	Rules *locate.Rules
	// Plugins are asked about changes, and where rules leave that to one of them; nil for
	// none.
	Plugins *plugin.Set
	// Circle are the sites, in order, of the circle of channels on which the site lies; nil
	// when it lies on none.
	Circle []string
	// Signed says, by channel, who must have signed what its log has; anybody may where there
	// is no rule. Own says that of the site's own log on a circle.
	Signed map[string]*signature.Rule
	Own    *signature.Rule
	// Control is what people have told this process's services; it may be nil.
	Control *control.Following
	// MaxRemovals is how many of so many objects a repair may remove; all when nil.
	MaxRemovals func(objects int) int
	// Workers is how many calls of the target may run at the same time.
	Workers int
	// Window is how many changes may be here at the same time.
	Window int
	// Attempts is how often a change is tried before it is set aside.
	Attempts int
	// Tombstones is how long the ledger remembers removals, 30 days when zero.
	Tombstones time.Duration
	// Reconcile is the time between comparisons of the ledger with the logs, 15
	// minutes when zero.
	Reconcile time.Duration
	// Preflight, when set, is called when this process begins to work for the site.
	Preflight func(ctx context.Context)
	// Host and Software are kept with failures.
	Host, Software string
	// Patience is how long Settle waits for another importer of the site to end, 15 s
	// when zero.
	Patience time.Duration
	// Landed, when set, is called for each change that has taken effect, from one
	// goroutine.
	Landed func(path string, c *content.Change)
}

// Importer is one running importer. Run and Settle must not run at the same time.
type Importer struct {
	Options
	log       *slog.Logger
	doctor    *salvage.Doctor
	lease     *lease.Lease
	publisher *publish.Publisher // of the ledger
	hands     *publish.Publisher
	failures  *publish.Publisher
	blobs     *blob.Store
	dead      *deadletter.Store
	delay     func(rounds int) time.Duration // how long until a failure is tried again by itself
	done      atomic.Int64
	report    atomic.Pointer[status.Report]
}

// New makes an importer and its streams.
func New(ctx context.Context, o Options) (*Importer, error) {
	if o.Tombstones == 0 {
		o.Tombstones = 30 * 24 * time.Hour
	}
	if o.Reconcile == 0 {
		o.Reconcile = 15 * time.Minute
	}
	if o.Patience == 0 {
		o.Patience = 15 * time.Second
	}
	i := &Importer{
		Options: o, log: o.Log.With("service", status.Importer, "site", o.Site),
		blobs: blob.New(o.JS), dead: deadletter.New(o.JS), delay: delay,
	}
	i.doctor = &salvage.Doctor{JS: i.JS, Log: i.log}
	i.report.Store(&status.Report{State: status.Starting})
	if err := i.ensure(ctx); err != nil {
		return nil, err
	}
	i.lease = lease.New(o.JS, subject.LedgerStream(o.Site), subject.ImportLease(o.Site), i.log)
	i.publisher = publish.New(o.NC, o.JS, publish.Options{Guard: i.lease})
	i.hands = publish.New(o.NC, o.JS, publish.Options{Guard: i.lease})
	i.failures = publish.New(o.NC, o.JS, publish.Options{})
	return i, nil
}

// ensure makes the streams, which somebody may have deleted meanwhile, or damaged.
func (i *Importer) ensure(ctx context.Context) error {
	streams := []jetstream.StreamConfig{stream.Ledger(i.Site), stream.Errors(), stream.Replay(), stream.Blobs()}
	for _, ch := range i.Channels {
		streams = append(streams, stream.Import(ch))
	}
	if err := stream.Ensure(ctx, i.JS, streams...); err != nil {
		return err
	}
	return i.doctor.Examine(ctx, subject.LedgerStream(i.Site), subject.ErrorStream, subject.ReplayStream)
}

// Run imports until soft ends; what is being applied then is finished unless hard
// ends as well. Only faults of class Stop end it earlier.
func (i *Importer) Run(soft, hard context.Context) error {
	stop, err := status.Serve(i.NC, status.Importer, i.Site, i.said)
	if err != nil {
		return err
	}
	defer stop()
	go i.Plugins.Watch(soft)
	retry := newBackoff()
	for soft.Err() == nil {
		start := time.Now()
		err := i.tenure(soft, soft, hard, nil)
		if soft.Err() != nil || err == nil {
			return ignoreEnd(hard, err)
		}
		if fault.Of(err).Class == fault.Stop {
			return err
		}
		if time.Since(start) > time.Minute {
			retry.Reset()
		}
		i.log.Warn("import is paused and tried again", "error", err)
		i.report.Store(&status.Report{State: status.Paused, Reason: err.Error(), Done: i.done.Load()})
		select {
		case <-soft.Done():
		case <-time.After(retry.NextBackOff()):
		}
	}
	return nil
}

// ignoreEnd drops the error of work that was left because it was told to stop.
func ignoreEnd(hard context.Context, err error) error {
	if hard.Err() != nil || fault.Of(err).Class != fault.Stop {
		return nil
	}
	return err
}

// Settle applies until upstream is closed and nothing is left of the channels' logs
// and the site's replays. What failed is in the ERROR stream and is no error here.
func (i *Importer) Settle(ctx context.Context, upstream <-chan struct{}) error {
	waiting, cancel := context.WithTimeoutCause(ctx, i.Patience, errBusy)
	defer cancel()
	err := i.tenure(waiting, ctx, ctx, upstream)
	if errors.Is(err, errBusy) {
		return fault.New(fault.Stop, fault.LeaseLost, fmt.Errorf("%w: %s", err, i.report.Load().Reason))
	}
	return err
}

var errBusy = errors.New("another importer of the site is at work; stop it, or leave the work to it")

// tenure is the work from getting the site's lease, for which it waits until waiting
// ends, to losing it.
func (i *Importer) tenure(waiting, soft, hard context.Context, upstream <-chan struct{}) error {
	if err := i.ensure(hard); err != nil {
		return err
	}
	if err := i.doctor.Check(hard, subject.LedgerStream(i.Site)); err != nil { // a lease goes with its stream
		return err
	}
	return i.lease.Hold(waiting, hard, i.standBy, func(held context.Context) error {
		if i.Preflight != nil {
			i.Preflight(held)
		}
		owner, err := i.owner(held)
		if err != nil {
			return err
		}
		target, err := i.Open(owner)
		if err != nil {
			return err
		}
		return errors.Join(i.sessions(soft, held, target, upstream), target.Close())
	})
}

// errReconnected ends a session when the connection to the broker was lost and is back:
// what was on its way then would come again only after ackWait.
var errReconnected = fault.OfSite(fault.Retry, fault.BrokerDown, errors.New("the connection to the broker was lost for a while"))

// sessions begins anew each time the connection is back.
func (i *Importer) sessions(soft, hard context.Context, target content.Target, upstream <-chan struct{}) error {
	for {
		err := i.session(soft, hard, target, upstream)
		if !errors.Is(err, errReconnected) || soft.Err() != nil || hard.Err() != nil {
			return err
		}
		i.log.Info("import begins anew where it was, after the broker was away")
	}
}

// owner names the site and its very ledger: importers that speak to another broker are
// others.
func (i *Importer) owner(ctx context.Context) (string, error) {
	s, err := i.JS.Stream(ctx, subject.LedgerStream(i.Site))
	if err != nil {
		return "", changelog.Classify(fmt.Errorf("look at the ledger of %s: %w", i.Site, err))
	}
	return fmt.Sprintf("%s %d", i.Site, s.CachedInfo().Created.UnixNano()), nil
}

func (i *Importer) standBy(h lease.Holder) {
	i.log.Info("another importer of the site is at work, this one stands by", "holder", h)
	i.report.Store(&status.Report{State: status.StandBy, Reason: "the work is done by " + h.String(), Done: i.done.Load()})
}

// Done is how many changes have taken effect since New.
func (i *Importer) Done() int64 { return i.done.Load() }

func newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 200*time.Millisecond, 30*time.Second
	return b
}
