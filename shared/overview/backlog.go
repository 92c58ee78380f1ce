package overview

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// backlog is what a consumer has not acknowledged yet.
type backlog struct {
	pending int
	oldest  time.Time
}

func (b backlog) worst(c backlog) backlog {
	if c.pending > b.pending {
		b.pending = c.pending
	}
	if b.oldest.IsZero() || !c.oldest.IsZero() && c.oldest.Before(b.oldest) {
		b.oldest = c.oldest
	}
	return b
}

// backlog costs the same however much is pending. A consumer that was never made has
// everything before it.
func (l *looker) backlog(ctx context.Context, stream, consumer string) (backlog, error) {
	s, err := l.js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return backlog{}, nil
	}
	if err != nil {
		return backlog{}, fmt.Errorf("look at stream %s: %w", stream, err)
	}
	b, from := backlog{pending: int(s.CachedInfo().State.Msgs)}, uint64(1)
	c, err := s.Consumer(ctx, consumer)
	switch {
	case err == nil:
		info := c.CachedInfo()
		b.pending, from = int(info.NumPending)+info.NumAckPending, info.AckFloor.Stream+1
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return backlog{}, fmt.Errorf("look at consumer %s of %s: %w", consumer, stream, err)
	}
	if b.pending > 0 {
		if m, err := s.GetMsg(ctx, from, jetstream.WithGetMsgSubject(">")); err == nil {
			b.oldest = m.Time
		}
	}
	return b, nil
}
