// Package publish brings messages into a stream: many at once, in order, each once.
// It hides how: atomic batches where the broker has them and they pay, single
// messages otherwise; and it finds out what became of messages whose answer was
// lost. It does not know what the messages say.
package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/fault"
)

// Defaults, and the bounds of one attempt.
const (
	defaultMessages = 1000 // the most that a broker takes in one batch
	defaultBytes    = 8 << 20
	defaultPatience = 30 * time.Second

	// minBatch is where a batch begins to pay: the broker syncs its staging about
	// six times, each single message once.
	minBatch = 7
	// batchTries is how often a batch is tried that the broker took apart.
	batchTries = 3
	// window is how many single messages are under way at the same time.
	window = 64

	answerWait = 10 * time.Second
	maxPause   = 500 * time.Millisecond
)

// ErrExpectation is the cause of a fault when the broker refused messages because
// the stream is not at the sequence that one of them expects
// (Nats-Expected-Last-Subject-Sequence): somebody else has written since. Nothing of
// the batch is stored.
var ErrExpectation = errors.New("the stream has moved on")

// Options are the limits of a publisher; zero values are the defaults.
type Options struct {
	// MaxMessages and MaxBytes bound one batch: 1000, and 8 MiB of headers and bodies.
	MaxMessages int
	MaxBytes    int
	// Guard, when set, is asked before each attempt to store anything.
	Guard Guard
	// Patience is how long an outcome is pursued when the broker does not answer, 30 s.
	Patience time.Duration
}

// Guard is the right to write, such as a lease.
type Guard interface {
	// Begin gives headers, names and values in turn, by which the broker sees the
	// right to write, or the fault of not having it. end is called when the outcome
	// of the attempt is known.
	Begin() (headers []string, end func(), err error)
}

func (o *Options) setDefaults() {
	if o.MaxMessages <= 0 {
		o.MaxMessages = defaultMessages
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultBytes
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
}

// Publisher publishes into one stream that keeps the newest message of each subject.
// It expects to be the only writer of its subjects. Its methods may be called from
// several goroutines; calls take their turns, so that a message never overtakes one
// of an earlier call.
type Publisher struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	opts Options
	wait time.Duration // for one answer

	turn chan struct{} // held by the call that publishes; guards what follows

	right   []string         // headers of the guard, for the attempt under way
	limit   int              // of messages in a batch
	batches bool             // the stream takes atomic batches, as far as we know
	stream  jetstream.Stream // for reading back, nil until that was needed
}

// New makes a publisher. It needs no closing.
func New(nc *nats.Conn, js jetstream.JetStream, o Options) *Publisher {
	o.setDefaults()
	return &Publisher{
		nc: nc, js: js, opts: o, wait: answerWait, turn: make(chan struct{}, 1),
		limit: o.MaxMessages, batches: hasBatches(nc.ConnectedServerVersion()),
	}
}

// Publish stores messages in order and gives their sequences in the stream. Each
// must have its own Nats-Msg-Id; none is altered. Many are stored as atomic batches,
// each wholly or not at all.
//
// An error comes with the sequences of the messages before the first that is not
// known to be stored. It is a fault: BrokerFull or BrokerDown of the whole site,
// Invalid for a message that no stream could take, or one around ErrExpectation.
// Publishing the same messages again after an error is safe.
func (p *Publisher) Publish(ctx context.Context, msgs []*nats.Msg) ([]uint64, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	if err := p.check(msgs); err != nil {
		return nil, err
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("publish %d messages: %w", len(msgs), ctx.Err())
	}
	defer func() { <-p.turn }()
	return p.publish(ctx, msgs)
}

func (p *Publisher) publish(ctx context.Context, msgs []*nats.Msg) ([]uint64, error) {
	seqs := make([]uint64, 0, len(msgs))
	for len(msgs) > 0 {
		j := &job{msgs: msgs[:p.fit(msgs)]}
		j.seqs = make([]uint64, len(j.msgs))
		err := p.carry(ctx, j)
		if errors.Is(err, errTooMany) {
			continue // with the smaller limit
		}
		seqs = append(seqs, j.prefix()...)
		if err != nil {
			return seqs, j.explain(err, len(seqs))
		}
		msgs = msgs[len(j.msgs):]
	}
	return seqs, nil
}

// fit is how many of the next messages one batch takes, at least one.
func (p *Publisher) fit(msgs []*nats.Msg) int {
	bytes := 0
	for i, m := range msgs {
		bytes += m.Size()
		if i > 0 && (i >= p.limit || bytes > p.opts.MaxBytes) {
			return i
		}
	}
	return len(msgs)
}

// batchHeaders is more than the headers of a batch add to a message.
const batchHeaders = 160

// check finds what cannot be stored before anything of it is sent.
func (p *Publisher) check(msgs []*nats.Msg) error {
	limit := p.nc.MaxPayload()
	for _, m := range msgs {
		if m.Header.Get(jetstream.MsgIDHeader) == "" {
			return fault.Errorf(fault.Park, fault.Invalid, "publish %s: the message has no %s", m.Subject, jetstream.MsgIDHeader)
		}
		if size := int64(m.Size() + batchHeaders); limit > 0 && size > limit {
			return fault.Errorf(fault.Park, fault.Invalid,
				"publish %s: the message has %d bytes, the broker takes %d (max_payload)", m.Subject, size, limit)
		}
	}
	return nil
}

// job is what is stored together, and what of it is stored: seqs are zero where
// that is not known.
type job struct {
	msgs   []*nats.Msg
	seqs   []uint64
	single bool // a batch is no way to store these
	sent   bool // as a batch, whole
	lost   bool // the answer, so that it is to be looked up first
	tries  int  // batches that the broker took apart
}

// prefix gives the sequences before the first message that is not stored.
func (j *job) prefix() []uint64 {
	for i, seq := range j.seqs {
		if seq == 0 {
			return j.seqs[:i]
		}
	}
	return j.seqs
}

func (j *job) explain(err error, stored int) error {
	first := j.msgs[min(len(j.prefix()), len(j.msgs)-1)].Subject
	if f, ok := errors.AsType[*fault.Error](err); ok {
		g := *f
		g.Err = fmt.Errorf("publish %s (%d messages before it are stored): %w", first, stored, f.Err)
		return &g
	}
	return fmt.Errorf("publish %s (%d messages before it are stored): %w", first, stored, err)
}
