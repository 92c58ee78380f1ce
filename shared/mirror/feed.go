package mirror

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
)

// feed is a stream that a view is made of.
type feed struct {
	stream string
	// read are the messages that there are, and also those that come as well.
	read changelog.Options
	also []string
	take func(jetstream.Msg)
}

// start takes all that a stream has, and then what comes until ctx ends.
func (m *Mirror) start(ctx context.Context, f feed, broken func(error)) error {
	last := uint64(0)
	err := changelog.Scan(ctx, m.JS, f.stream, f.read, func(msg jetstream.Msg) error {
		meta, err := msg.Metadata()
		if err == nil {
			last = max(last, meta.Sequence.Stream)
			f.take(msg)
		}
		return err
	})
	if err != nil {
		return err
	}
	config := jetstream.OrderedConsumerConfig{
		HeadersOnly: f.read.HeadersOnly, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last + 1,
	}
	if f.read.Subjects != "" {
		config.FilterSubjects = append([]string{f.read.Subjects}, f.also...)
	}
	c, err := m.JS.OrderedConsumer(ctx, f.stream, config)
	if err != nil {
		return changelog.Classify(fmt.Errorf("follow %s: %w", f.stream, err))
	}
	running, err := c.Consume(func(msg jetstream.Msg) {
		f.take(msg)
		m.news()
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if !errors.Is(err, jetstream.ErrNoHeartbeat) { // which mends itself
			broken(fmt.Errorf("follow %s: %w", f.stream, err))
		}
	}))
	if err != nil {
		return changelog.Classify(fmt.Errorf("follow %s: %w", f.stream, err))
	}
	context.AfterFunc(ctx, running.Stop)
	return nil
}

// newest gets the newest message of a subject, nil when there is none. The stream is looked
// up once in a session.
func (m *Mirror) newest(ctx context.Context, stream, subj string) (*jetstream.RawStreamMsg, error) {
	s := m.streams[stream]
	if s == nil {
		var err error
		if s, err = m.JS.Stream(ctx, stream); err != nil {
			return nil, changelog.Classify(fmt.Errorf("read stream %s: %w", stream, err))
		}
		m.streams[stream] = s
	}
	msg, err := s.GetLastMsgForSubject(ctx, subj)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	return msg, changelog.Classify(err)
}

// tokenOf gives the last token of a subject, on its own.
func tokenOf(subj string) string { return strings.Clone(subj[strings.LastIndexByte(subj, '.')+1:]) }
