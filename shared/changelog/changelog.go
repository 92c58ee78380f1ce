// Package changelog reads the logs: streams that keep the newest change of each
// object. It makes no streams and writes nothing.
package changelog

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

// Scan calls each for every message of a stream that is there now, in order, but for
// leases. With headersOnly the bodies stay at the broker. The first error ends it.
func Scan(ctx context.Context, js jetstream.JetStream, stream string, headersOnly bool, each func(jetstream.Msg) error) error {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return Classify(fmt.Errorf("read stream %s: %w", stream, err))
	}
	last := s.CachedInfo().State.LastSeq
	if s.CachedInfo().State.Msgs == 0 {
		return nil
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{HeadersOnly: headersOnly, DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return Classify(fmt.Errorf("read stream %s: %w", stream, err))
	}
	it, err := c.Messages()
	if err != nil {
		return Classify(fmt.Errorf("read stream %s: %w", stream, err))
	}
	defer it.Stop()
	if err := drain(ctx, it, last, each); err != nil {
		return fmt.Errorf("read stream %s: %w", stream, err)
	}
	return nil
}

// drain reads up to the sequence last, or until nothing is pending: the last
// message may have been replaced meanwhile.
func drain(ctx context.Context, it jetstream.MessagesContext, last uint64, each func(jetstream.Msg) error) error {
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return Classify(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if !subject.IsLease(m.Subject()) {
			if err := each(m); err != nil {
				return err
			}
		}
		if meta.NumPending == 0 || meta.Sequence.Stream >= last {
			return nil
		}
	}
}

// Heads calls each for the head of every change in a log. A message whose headers
// cannot be read is passed to bad, with its subject.
func Heads(ctx context.Context, js jetstream.JetStream, stream string, each func(seq uint64, h envelope.Head), bad func(subject string, err error)) error {
	return Scan(ctx, js, stream, true, func(m jetstream.Msg) error {
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

// Classify gives an error of the broker its class.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, nats.ErrNoServers) || errors.Is(err, jetstream.ErrNoHeartbeat) {
		return fault.OfSite(fault.Retry, fault.BrokerDown, err)
	}
	return err
}
