// Package relay passes the changes of a source's log on to the log of a channel,
// one copy for however many receivers. The bytes of an envelope travel unchanged.
package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/control"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/salvage"
	"synchro.example/shared/signature"
	"synchro.example/shared/status"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/tales"
	"synchro.example/shared/version"
)

// Bounds of one fetch.
const (
	fetchCount = 256
	fetchWait  = 250 * time.Millisecond
	ackWait    = time.Minute
	// askAfter is how long nothing may come before the broker is asked why.
	askAfter = 2 * time.Second
)

// Options are what a relay needs. All fields up to Log are required.
type Options struct {
	Channel string
	From    string // the source site
	To      []string
	NC      *nats.Conn
	JS      jetstream.JetStream
	Log     *slog.Logger
	// Expression says what of the source the channel carries; nil for everything.
	Expression *tales.Expression
	// RequireParents holds objects back whose containers do not meet the expression; else
	// these come with their name only.
	RequireParents bool
	// Circle are the sites, in order, of the circle of channels on which From lies; nil when
	// it lies on none.
	Circle []string
	// MaxRemovals is how many of so many objects a changed expression may remove; all
	// when nil.
	MaxRemovals func(objects int) int
	// Host and Software are kept with failures.
	Host, Software string
	// Control is what people have told this process's services; it may be nil.
	Control *control.Following
	// Trust says who must have signed what the source's log has; anybody may when nil.
	Trust *signature.Rule
	// Key signs what goes into the channel's log; what the source has signed stays as it is
	// when nil. Unable says why there is none although there should be: then the relay only
	// compares. SignedBy are the keys of the channel.
	Key      *signature.Key
	Unable   error
	SignedBy []string
	// Reconcile is the time between readings of the channel's log, which show whether it
	// is whole, 15 minutes when zero.
	Reconcile time.Duration
	// Tombstones is how long the channel's log remembers removals, 30 days when zero.
	Tombstones time.Duration
}

// Relay is the relay of one channel. Run and Settle must not run at the same time.
type Relay struct {
	channel, from string
	to, circle    []string
	nc            *nats.Conn
	js            jetstream.JetStream
	log           *slog.Logger
	control       *control.Following
	reconcile     time.Duration
	tombstones    time.Duration

	doctor    *salvage.Doctor
	publisher *publish.Publisher
	have      map[string]stored // by uid; nil when the log must be read again
	// foreign are the messages of the channel's log that no relay can have put there, by
	// subject.
	foreign map[string]uint64
	trust   *signature.Rule // for the source's log
	written *signature.Rule // for the channel's
	key     *signature.Key
	unable  error // why the key is missing
	// refused keeps what the source has not signed; nil where nothing is signed, and where the
	// filter does that.
	refused  *failures
	filter   *filter        // nil for a channel that carries everything
	clock    *version.Clock // for changes that the relay makes
	seen     sighting       // of the channel's log
	reread   atomic.Bool    // it is to be read again
	distrust atomic.Bool    // with all bodies
	// reconnects is how often the connection had come back when open was called.
	reconnects uint64
	heard      time.Time // when something came, or the broker was asked
	floor      uint64    // what it then had as acknowledged
	done       atomic.Int64
	report     atomic.Pointer[status.Report]
}

// New makes a relay, its stream and its consumer.
func New(ctx context.Context, o Options) (*Relay, error) {
	r := &Relay{
		channel: o.Channel, from: o.From, to: o.To, circle: o.Circle, nc: o.NC, js: o.JS, control: o.Control,
		reconcile: cmp.Or(o.Reconcile, 15*time.Minute), tombstones: cmp.Or(o.Tombstones, 30*24*time.Hour),
		log: o.Log.With("service", status.Relay, "channel", o.Channel), trust: o.Trust, key: o.Key, unable: o.Unable,
	}
	r.signs(o)
	r.doctor = &salvage.Doctor{JS: o.JS, Log: r.log}
	r.report.Store(&status.Report{State: status.Starting})
	if err := r.ensure(ctx); err != nil {
		return nil, err
	}
	r.publisher, r.clock = publish.New(o.NC, o.JS, publish.Options{}), version.NewClock(0, nil)
	if n := len(o.Circle); n > 0 { // exporters have the slots between
		r.clock.Among(2*slices.Index(o.Circle, o.From)+1, 2*n)
	}
	if o.Expression != nil {
		r.filter = &filter{Relay: r, options: o}
	} else if o.Trust != nil {
		var err error
		if r.refused, err = openFailures(ctx, o); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// signs finds out who must have signed what the channel's log has: this relay's key, if it has
// one.
func (r *Relay) signs(o Options) {
	keys := o.SignedBy
	if r.written = o.Trust; o.Key != nil {
		keys = []string{o.Key.Public()}
	}
	if len(keys) > 0 {
		r.written = signature.OfChannel(o.Channel, o.From, keys, nil)
	}
}

// ensure makes the streams, which somebody may have deleted meanwhile, or damaged.
func (r *Relay) ensure(ctx context.Context) error {
	if err := stream.Ensure(ctx, r.js, stream.Export(r.from), stream.Import(r.channel), stream.Errors()); err != nil {
		return err
	}
	return r.doctor.Examine(ctx, subject.ImportStream(r.channel), subject.ErrorStream)
}

// Run relays until soft ends; what is being published then is finished unless hard
// ends as well. Only faults of class Stop end it earlier.
func (r *Relay) Run(soft, hard context.Context) error {
	stop, err := status.Serve(r.nc, status.Relay, r.channel, func() status.Report { return *r.report.Load() })
	if err != nil {
		return err
	}
	defer stop()
	defer reconcile.Listen(r.nc, status.Relay, r.channel, func(string) {
		r.Distrust()
		r.reread.Store(true)
	})()
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = 200*time.Millisecond, 30*time.Second
	for soft.Err() == nil {
		err := r.follow(soft, hard, func() { retry.Reset() })
		if soft.Err() != nil {
			break
		}
		if err != nil && fault.Of(err).Class == fault.Stop {
			return err
		}
		if err == nil {
			continue
		}
		r.pause(err)
		select {
		case <-soft.Done():
		case <-time.After(retry.NextBackOff()):
		}
	}
	return nil
}

// follow relays until soft ends or something fails.
func (r *Relay) follow(soft, hard context.Context, progress func()) error {
	consumer, err := r.open(hard)
	if err != nil {
		return err
	}
	for soft.Err() == nil {
		if r.isPaused(soft) {
			continue
		}
		r.say()
		if consumer, err = r.afresh(hard, consumer); err != nil {
			return err
		}
		if _, err := r.round(soft, hard, consumer); err != nil {
			return err
		}
		progress()
		if err := r.look(hard); err != nil {
			return err
		}
		if r.have == nil {
			return nil // it is read again
		}
	}
	return nil
}

// Settle relays until upstream is closed and nothing is left of the source's log.
func (r *Relay) Settle(ctx context.Context, upstream <-chan struct{}) error {
	state, _ := r.control.State()
	if p, paused := state.Channel(r.channel); paused {
		return fault.OfSite(fault.Retry, fault.Paused, fmt.Errorf("channel %s is %v", r.channel, p))
	}
	consumer, err := r.open(ctx)
	if err != nil {
		return err
	}
	for {
		ended := isClosed(upstream)
		if consumer, err = r.afresh(ctx, consumer); err != nil {
			return err
		}
		n, err := r.round(ctx, ctx, consumer)
		if err != nil {
			return err
		}
		if n > 0 || !ended {
			continue
		}
		info, err := consumer.Info(ctx)
		if err != nil || info.NumPending == 0 && info.NumAckPending == 0 {
			return changelog.Classify(err)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// afresh gives the consumer anew when the connection to the broker was lost meanwhile, or
// was dead for a while: what was on its way then would come again only after ackWait.
func (r *Relay) afresh(ctx context.Context, consumer jetstream.Consumer) (jetstream.Consumer, error) {
	if r.nc.Stats().Reconnects == r.reconnects && !r.stalled(ctx, consumer) {
		return consumer, nil
	}
	return r.open(ctx)
}

// stalled tells whether the broker goes on waiting for what never came here. It is asked
// when nothing has come for a while.
func (r *Relay) stalled(ctx context.Context, consumer jetstream.Consumer) bool {
	if time.Since(r.heard) < askAfter {
		return false
	}
	r.heard = time.Now()
	info, err := consumer.Info(ctx)
	if err != nil {
		return false // the next round will say what is wrong
	}
	before := r.floor
	r.floor = info.AckFloor.Stream
	return info.NumAckPending > 0 && r.floor == before
}

// open reads the channel's log, mends what is missing in it, and gives the consumer
// that continues from there.
func (r *Relay) open(ctx context.Context) (jetstream.Consumer, error) {
	if r.unable != nil {
		return nil, r.unable
	}
	if n := r.nc.Stats().Reconnects; n != r.reconnects {
		r.reconnects, r.have = n, nil // the broker may have lost something
	}
	if err := r.ensure(ctx); err != nil {
		return nil, err
	}
	consumer, err := changelog.Resume(ctx, r.js, subject.ExportStream(r.from), jetstream.ConsumerConfig{
		Durable: subject.RelayConsumer(r.channel), AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait,
		MaxAckPending: 4 * fetchCount,
	})
	if err != nil {
		return nil, err
	}
	if r.have != nil {
		return consumer, nil
	}
	var have map[string]stored
	err = r.doctor.Reading(ctx, subject.ImportStream(r.channel), func() error {
		if r.seen, err = r.sight(ctx); err != nil {
			return err
		}
		have, err = r.read(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if r.filter != nil {
		err = r.filter.compare(ctx, have, consumer.CachedInfo().AckFloor.Stream == 0)
	} else {
		err = r.mend(ctx, consumer, have)
	}
	if err != nil {
		return nil, err
	}
	r.have = have
	return consumer, nil
}

// read reads what the channel's log has. What no relay can have put there is as good as
// not there, and gives way to what belongs there.
func (r *Relay) read(ctx context.Context) (map[string]stored, error) {
	have := map[string]stored{}
	r.foreign = map[string]uint64{}
	deep := r.distrust.Swap(false) && r.written != nil
	err := changelog.Scan(ctx, r.js, subject.ImportStream(r.channel), changelog.Options{HeadersOnly: !deep, Whole: true}, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		h, err := r.headOf(m, deep)
		if err != nil {
			r.unreadable(m.Subject(), err)
			r.foreign[m.Subject()] = meta.Sequence.Stream
			return nil
		}
		have[h.UID] = storedOf(meta.Sequence.Stream, h)
		return nil
	})
	return have, err
}

// headOf reads what the headers of a message of the channel's log say, if a relay has put it
// there.
func (r *Relay) headOf(m jetstream.Msg, deep bool) (envelope.Head, error) {
	if err := r.written.Judge(m, deep); err != nil {
		return envelope.Head{}, err
	}
	return envelope.ParseHead(m.Headers())
}

// Distrust has signed bodies looked at, too, when the channel's log is read the next time.
func (r *Relay) Distrust() { r.distrust.Store(true) }

func (r *Relay) unreadable(subj string, err error) {
	r.log.Error("a message of a log cannot be used, it is left out", "subject", subj, "error", err)
}

// mend publishes what the consumer has passed but the channel's log does not have:
// its stream was damaged or made anew, or acknowledgements outlived it.
func (r *Relay) mend(ctx context.Context, consumer jetstream.Consumer, have map[string]stored) error {
	passed := consumer.CachedInfo().AckFloor.Stream
	if passed == 0 {
		return nil
	}
	var missing []string
	err := changelog.Heads(ctx, r.js, subject.ExportStream(r.from), func(seq uint64, h envelope.Head) {
		if seq <= passed && h.Version > have[h.UID].of && !r.stopsHere(h, have[h.UID]) {
			missing = append(missing, h.UID)
		}
	}, r.unreadable)
	if err != nil || len(missing) == 0 {
		return err
	}
	r.log.Warn("the channel's log lacks changes that were relayed before, they are relayed again", "count", len(missing))
	for uids := range slices.Chunk(missing, fetchCount) {
		var batch []relayed
		for _, uid := range uids {
			m, err := changelog.Newest(ctx, r.js, subject.ExportStream(r.from), subject.ExportToProcess(r.from, uid))
			if err != nil {
				return err
			}
			if m != nil {
				batch = append(batch, relayed{m.Subject, m.Header, m.Data})
			}
		}
		if err := r.pass(ctx, batch, have); err != nil {
			return err
		}
	}
	return nil
}

// round relays one fetch and acknowledges it.
func (r *Relay) round(soft, hard context.Context, consumer jetstream.Consumer) (int, error) {
	msgs, err := fetch(soft, consumer)
	if err != nil || len(msgs) == 0 {
		return 0, err
	}
	r.heard = time.Now()
	var batch []relayed
	for _, m := range msgs {
		if !subject.IsAside(m.Subject()) {
			batch = append(batch, relayed{m.Subject(), m.Headers(), m.Data()})
		}
	}
	pass := r.pass
	if r.filter != nil {
		pass = r.filter.pass
	}
	if err := pass(hard, batch, r.have); err != nil {
		r.have = nil // what became of the batch is not known
		return 0, err
	}
	for _, m := range msgs {
		if err := m.Ack(); err != nil {
			return 0, changelog.Classify(err)
		}
	}
	return len(msgs), nil
}

// fetch waits for the first message and takes those that are there with it.
func fetch(ctx context.Context, consumer jetstream.Consumer) ([]jetstream.Msg, error) {
	batch, err := consumer.Fetch(1, jetstream.FetchMaxWait(fetchWait))
	if err != nil {
		return nil, changelog.Classify(err)
	}
	msgs := drain(batch)
	if len(msgs) == 0 {
		return nil, changelog.Classify(ignoreTimeout(ctx, batch.Error()))
	}
	more, err := consumer.FetchNoWait(fetchCount - 1)
	if err != nil {
		return nil, changelog.Classify(err)
	}
	return append(msgs, drain(more)...), changelog.Classify(ignoreTimeout(ctx, more.Error()))
}

func drain(batch jetstream.MessageBatch) []jetstream.Msg {
	var msgs []jetstream.Msg
	for m := range batch.Messages() {
		msgs = append(msgs, m)
	}
	return msgs
}

func ignoreTimeout(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) {
		return nil
	}
	return err
}

// Done is how many changes have been relayed since New.
func (r *Relay) Done() int64 { return r.done.Load() }

func (r *Relay) say() {
	r.report.Store(&status.Report{State: status.Running, Done: r.done.Load()})
}

func (r *Relay) pause(err error) {
	r.log.Warn("the relay is paused and tries again", "error", err)
	state := status.Paused
	if fault.Of(err).Code == fault.Guarded {
		state = status.Guarded
	}
	r.report.Store(&status.Report{State: state, Reason: err.Error(), Done: r.done.Load()})
}
