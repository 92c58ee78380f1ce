package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

// inboxBytes bounds what the broker sends ahead.
const inboxBytes = 8 << 20

// ackWait is when the broker offers a change again that nobody has acknowledged. It
// is harmless: the ledger and the queue know what is here.
const ackWait = 5 * time.Minute

// delivery is one message from a channel's log or from the replays.
type delivery struct {
	channel string // empty for a replay
	msg     jetstream.Msg
}

// subscribe starts the consumers of the site.
func (s *session) subscribe(ctx context.Context) (stop func(), err error) {
	var ends []func()
	stop = func() {
		for _, end := range ends {
			end()
		}
	}
	open := func(stream, filter, channel string) error {
		end, err := s.consume(ctx, stream, filter, channel)
		if err == nil {
			ends = append(ends, end)
		}
		return err
	}
	for _, ch := range s.Channels {
		if err := open(subject.ImportStream(ch), "", ch); err != nil {
			stop()
			return nil, err
		}
	}
	if err := open(subject.ReplayStream, subject.ImportReplayAll(s.Site), ""); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func (s *session) consume(ctx context.Context, streamName, filter, channel string) (stop func(), err error) {
	c, err := changelog.Own(ctx, s.JS, streamName, jetstream.ConsumerConfig{
		Durable: subject.SiteConsumer(s.Site), FilterSubject: filter,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: s.Window,
	})
	if err != nil {
		return nil, err
	}
	s.consumers = append(s.consumers, c)
	running, err := c.Consume(
		func(m jetstream.Msg) {
			select {
			case s.inbox <- delivery{channel, m}:
			case <-ctx.Done():
			}
		},
		jetstream.PullMaxMessagesWithBytesLimit(s.Window, inboxBytes),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { s.consumeError(streamName, err) }),
	)
	if err != nil {
		return nil, changelog.Classify(fmt.Errorf("read %s for site %s: %w", streamName, s.Site, err))
	}
	return func() {
		running.Stop()
		<-running.Closed() // else it might be given what nobody takes
	}, nil
}

// lookEvery is how often an idle session asks the broker whether it waits for something.
const lookEvery = 3 * time.Second

// watchLine ends a session for which the broker has something on its way that never comes:
// the line was dead for a while, and nobody has noticed.
func (s *session) watchLine(ctx context.Context) {
	before := uint64(0) // the positions when something was on its way last, put together
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		idle := false
		s.inLoop(ctx, func() error { idle = s.idle(); return nil })
		floors, pending := s.positions(ctx)
		if idle && pending && floors == before {
			s.breakOff(errReconnected)
			return
		}
		if before = 0; idle && pending {
			before = floors
		}
	}
}

// positions gives how far the consumers are, in one number, and whether anything that they
// have given out is not acknowledged.
func (s *session) positions(ctx context.Context) (floors uint64, pending bool) {
	for _, c := range s.consumers {
		info, err := c.Info(ctx)
		if err != nil {
			return 0, false // who reads will be told
		}
		floors += info.AckFloor.Stream + 1
		pending = pending || info.NumAckPending > 0
	}
	return floors, pending
}

// consumeError ends the session when a consumer is gone; a new one makes it again.
func (s *session) consumeError(streamName string, err error) {
	if errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		s.breakOff(fault.OfSite(fault.Retry, fault.BrokerDown, fmt.Errorf("the consumer on %s is gone: %w", streamName, err)))
		return
	}
	s.log.Debug("reading is interrupted", "stream", streamName, "error", err)
}

func (s *session) receive(ctx context.Context, d delivery) error {
	ack := func() {
		if err := d.msg.Ack(); err != nil {
			s.log.Debug("an acknowledgement is lost, the change comes again and is known", "error", err)
		}
	}
	if d.channel == "" {
		return s.replay(ctx, d.msg, ack)
	}
	m := logged{d.channel, d.msg.Subject(), d.msg.Headers(), d.msg.Data()}
	c, err := s.decode(m)
	if err != nil {
		return s.refuse(ctx, m, err, ack)
	}
	return s.admit(ctx, d.channel, c, ack)
}

// replay settles a failure as somebody asked: it admits the newest change of the object
// again, or gives it up.
func (s *session) replay(ctx context.Context, m jetstream.Msg, ack func()) error {
	r, err := deadletter.ParseRequest(m.Data())
	if err != nil {
		s.log.Error("a replay cannot be read and is dropped", "subject", m.Subject(), "error", err)
		ack()
		return nil
	}
	if r.Discard {
		return s.discard(ctx, r, ack)
	}
	return s.retry(ctx, r.Channel, r.UID, ack)
}

// retry admits the newest change of an object that failed.
func (s *session) retry(ctx context.Context, channel, uid string, ack func()) error {
	if isMade(uid) {
		return s.retryMade(ctx, uid, ack)
	}
	m, c, err := s.newestIn(ctx, channel, uid)
	switch {
	case m != nil && err != nil:
		return s.refuse(ctx, *m, err, ack)
	case err != nil:
		return err
	case c == nil:
		return s.superseded(ctx, uid, ack) // the log has no such object any more
	}
	return s.admit(ctx, channel, c, ack)
}
