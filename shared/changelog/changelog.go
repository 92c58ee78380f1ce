// Package changelog reads the logs: streams that keep the newest change of each
// object. It makes no streams and writes nothing.
package changelog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/subject"
)

// Options say what of a stream is read.
type Options struct {
	// HeadersOnly leaves the bodies at the broker.
	HeadersOnly bool
	// Subjects bounds the reading to those that match; empty: all lines of a log or ledger.
	Subjects string
	// Whole makes the reading fail with ErrDamaged, when it has come to its end, if the broker
	// counts messages that it does not give.
	Whole bool
	// From is the sequence that the reading begins at, 0 for all.
	From uint64
	// Asides says that leases and what is in hand are wanted as well.
	Asides bool
}

// ErrDamaged says that the broker has messages of a stream that it cannot read.
var ErrDamaged = errors.New("the broker cannot read all of its messages")

// Scan calls each for every message of a stream that is there now, in order, but for
// leases. The first error ends it.
func Scan(ctx context.Context, js jetstream.JetStream, stream string, o Options, each func(jetstream.Msg) error) error {
	if err := scan(ctx, js, stream, o, each); err != nil {
		return Classify(fmt.Errorf("read stream %s: %w", stream, err))
	}
	return nil
}

func scan(ctx context.Context, js jetstream.JetStream, stream string, o Options, each func(jetstream.Msg) error) error {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	last, err := lastOf(ctx, s, o.Subjects)
	if last == 0 || last < o.From || err != nil {
		return err
	}
	config := jetstream.OrderedConsumerConfig{HeadersOnly: o.HeadersOnly, DeliverPolicy: jetstream.DeliverAllPolicy}
	if o.From > 0 {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, o.From
	}
	if o.Subjects != "" {
		config.FilterSubjects = []string{o.Subjects}
	}
	c, err := s.OrderedConsumer(ctx, config)
	if err != nil {
		return err
	}
	it, err := c.Messages()
	if err != nil {
		return err
	}
	defer it.Stop()
	count := uint64(0)
	err = drain(ctx, c, it, last, o.Whole, func(m jetstream.Msg) error {
		count++
		if o.Subjects == "" && !o.Asides && subject.IsAside(m.Subject()) {
			return nil
		}
		return each(m)
	})
	if err == nil && o.Whole {
		err = isWhole(ctx, s, count)
	}
	return err
}

// isWhole tells by the number of messages that were read whether a stream is whole. A message
// that was written meanwhile may have taken the place of one that was not read yet.
func isWhole(ctx context.Context, s jetstream.Stream, count uint64) error {
	before := s.CachedInfo().State
	info, err := s.Info(ctx)
	if err != nil {
		return err
	}
	now := info.State
	if now.Msgs >= before.Msgs && now.LastSeq >= before.LastSeq && count+now.LastSeq-before.LastSeq < before.Msgs {
		return fmt.Errorf("%w: %d of %d", ErrDamaged, count, before.Msgs)
	}
	return nil
}

// lastOf gives the sequence of the last message that is to be read, 0 when there is none.
func lastOf(ctx context.Context, s jetstream.Stream, subjects string) (uint64, error) {
	if s.CachedInfo().State.Msgs == 0 {
		return 0, nil
	}
	if subjects == "" {
		return s.CachedInfo().State.LastSeq, nil
	}
	m, err := s.GetLastMsgForSubject(ctx, subjects)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return m.Sequence, nil
}

// lull is how long nothing may come before drain asks whether anything will.
const lull = time.Second

// maxLulls is how many lulls in a row are too many for a broker that can read the stream.
const maxLulls = 10

// drain reads up to the sequence last, or until nothing is pending: the last
// message may have been replaced meanwhile. Where the whole is asked for it gives up when
// nothing comes for long although something is pending.
func drain(ctx context.Context, c jetstream.Consumer, it jetstream.MessagesContext, last uint64, whole bool, each func(jetstream.Msg) error) error {
	var read jetstream.MsgMetadata
	for lulls := 0; ; {
		m, err := next(ctx, it)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			if ended, err := isDrained(ctx, c, read); ended || err != nil {
				return err
			}
			if lulls++; whole && lulls == maxLulls {
				return ErrDamaged
			}
			continue
		}
		lulls = 0
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		read = *meta
		if err := each(m); err != nil {
			return err
		}
		if meta.NumPending == 0 || meta.Sequence.Stream >= last {
			return nil
		}
	}
}

func next(ctx context.Context, it jetstream.MessagesContext) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, lull)
	defer cancel()
	return it.Next(jetstream.NextContext(ctx))
}

// isDrained tells whether all that was left has been removed meanwhile: then no
// message comes to say that it is the last. read is the last that came; the consumer
// may be another since, which has delivered nothing yet.
func isDrained(ctx context.Context, c jetstream.Consumer, read jetstream.MsgMetadata) (bool, error) {
	info, err := c.Info(ctx)
	if err != nil {
		return false, err
	}
	came := uint64(0)
	if info.Name == read.Consumer {
		came = read.Sequence.Consumer
	}
	return info.NumPending == 0 && info.Delivered.Consumer == came, nil
}

// Heads calls each for the head of every change in a log. A message whose headers
// cannot be read is passed to bad, with its subject.
func Heads(ctx context.Context, js jetstream.JetStream, stream string, each func(seq uint64, h envelope.Head), bad func(subject string, err error)) error {
	return Scan(ctx, js, stream, Options{HeadersOnly: true}, func(m jetstream.Msg) error {
		h, err := envelope.ParseHead(m.Headers())
		if err != nil {
			bad(m.Subject(), err)
			return nil
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		each(meta.Sequence.Stream, h)
		return nil
	})
}

// maxDepth bounds a chain of containers.
const maxDepth = 1024

// Path puts the path of an object together from the heads of a whole log, by uid. Where a
// container is not in the log, the path begins with an ellipsis.
func Path(heads map[string]envelope.Head, h envelope.Head) string {
	path := h.Name
	for depth := 0; h.ParentUID != ""; depth++ {
		above, ok := heads[h.ParentUID]
		if !ok || depth == maxDepth {
			return "…/" + path
		}
		path, h = above.Name+"/"+path, above
	}
	return path
}

// consumer gives a durable consumer, a new one when it is beyond the end of the stream:
// then the stream was made anew, and the broker has found what it once knew of the other.
func consumer(ctx context.Context, js jetstream.JetStream, stream string, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	c, err := js.CreateOrUpdateConsumer(ctx, stream, config)
	if err != nil {
		return nil, err
	}
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	last := s.CachedInfo().State.LastSeq
	if at := c.CachedInfo(); at.AckFloor.Stream <= last && at.Delivered.Stream <= last {
		return c, nil
	}
	if err := js.DeleteConsumer(ctx, stream, config.Durable); err != nil {
		return nil, err
	}
	return js.CreateOrUpdateConsumer(ctx, stream, config)
}

// Resume gives a durable consumer, made if it is not there, that begins after what was
// acknowledged. What an earlier process was given and did not acknowledge comes again at
// once, and not only when the broker has given up waiting for it. Whoever else reads from
// the consumer sees that again too.
func Resume(ctx context.Context, js jetstream.JetStream, stream string, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	c, err := consumer(ctx, js, stream, config)
	if err != nil {
		return nil, Classify(fmt.Errorf("make the consumer %s on %s: %w", config.Durable, stream, err))
	}
	if c.CachedInfo().NumAckPending == 0 {
		return c, nil
	}
	if _, err := js.ResetConsumer(ctx, stream, config.Durable); err != nil {
		// A broker before 2.14 cannot; it offers the rest again after AckWait.
		return c, Classify(ctx.Err())
	}
	c, err = js.Consumer(ctx, stream, config.Durable)
	return c, Classify(err)
}

// Own is Resume for a consumer that nobody else may read from any more. A process that
// hangs, or whose line is dead, may have asked for messages before; the broker would go on
// to give them to it, and offer them to others only after AckWait. So its consumer goes
// with its requests, and the log is read from the start: whoever reads drops what he has.
func Own(ctx context.Context, js jetstream.JetStream, stream string, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	c, err := Resume(ctx, js, stream, config)
	if err != nil || c.CachedInfo().NumWaiting == 0 {
		return c, err
	}
	if err := js.DeleteConsumer(ctx, stream, config.Durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, Classify(fmt.Errorf("take over the consumer %s on %s: %w", config.Durable, stream, err))
	}
	return Resume(ctx, js, stream, config)
}

// Newest gets the newest message of a subject. It is nil when there is none.
func Newest(ctx context.Context, js jetstream.JetStream, stream, subj string) (*jetstream.RawStreamMsg, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, Classify(fmt.Errorf("read stream %s: %w", stream, err))
	}
	m, err := s.GetLastMsgForSubject(ctx, subj)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, Classify(fmt.Errorf("read %s: %w", subj, err))
	}
	return m, nil
}

// NewestChange gets and decodes the newest change of a subject, nil when there is none.
func NewestChange(ctx context.Context, js jetstream.JetStream, stream, subj string) (*content.Change, error) {
	m, err := Newest(ctx, js, stream, subj)
	if m == nil || err != nil {
		return nil, err
	}
	return envelope.Decode(m.Data)
}
