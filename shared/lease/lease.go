// Package lease lets one process at a time write into a stream: the exporter of a
// source, the importer of a site. A lease is a message in that very stream, which
// expires unless its holder renews it; its sequence is the token. Every write names
// the token as what it expects, so that the broker itself refuses whoever lost the
// lease, also what was sent before and arrives late. No clocks are compared: the
// broker's decides about expiry, the holder's own only makes it stop earlier.
//
// The form of the headers is that of the JetStream server (ADR-50 for batches).
package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/fault"
)

// Times of a lease. A stand-by takes over within the term, a tick of the broker's
// clock and a poll: less than ten seconds.
const (
	Term  = 6 * time.Second
	renew = Term / 4
	poll  = time.Second

	codeExpectation        jetstream.ErrorCode = 10071
	codeExpectationCluster jetstream.ErrorCode = 10164
)

// ErrLost is the cause of a fault of class Retry when another process has taken over,
// or may have.
var ErrLost = errors.New("another process has taken over, this one stands by")

// errGone is the cause when the stream is gone that keeps the lease. It does not come back by
// itself, so that nobody should wait until the lease expires.
var errGone = errors.New("somebody has removed the stream, and the lease with it; it is made anew")

func lost() error { return fault.OfSite(fault.Retry, fault.LeaseLost, ErrLost) }

// Lease is the right to write into one stream. Its methods may be called from several
// goroutines.
type Lease struct {
	js      jetstream.JetStream
	stream  string
	subject string
	self    Holder
	term    time.Duration
	log     *slog.Logger

	mu     sync.RWMutex // held for reading while a write is under way: a renewal changes the token
	token  uint64       // 0: not held
	expiry time.Time    // by this process's clock
}

// New makes a lease that is not held yet. stream must take messages on subject.
func New(js jetstream.JetStream, stream, subject string, log *slog.Logger) *Lease {
	return &Lease{js: js, stream: stream, subject: subject, self: newHolder(), term: Term, log: log}
}

// Acquire waits until this process has the lease. waiting is told who has it instead,
// each time that is somebody else than before; it may be nil. The error is ctx's, or
// one of the broker.
func (l *Lease) Acquire(ctx context.Context, waiting func(Holder)) error {
	var before Holder
	for unknown := 0; ; {
		holder, err := l.try(ctx)
		if err != nil || holder == nil {
			return err
		}
		if unknown++; holder.ID != unknownID {
			unknown = 0
		} else if unknown == maxUnknown {
			return fault.OfSite(fault.Retry, fault.BrokerDown, fmt.Errorf("the lease %s can neither be read nor be taken", l.subject))
		}
		if waiting != nil && holder.ID != before.ID {
			waiting(*holder)
		}
		before = *holder
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}

// unknownID stands for a holder whose lease cannot be read: it was just taken, or it is
// damaged when that is so for maxUnknown looks.
const (
	unknownID  = "unknown"
	maxUnknown = 10
)

// try takes the lease if it is free, or its holder is known to be dead. Otherwise it
// gives the holder.
func (l *Lease) try(ctx context.Context) (*Holder, error) {
	m, err := changelog.Newest(ctx, l.js, l.stream, l.subject)
	if err != nil {
		return nil, err
	}
	var seq uint64
	if m != nil {
		seq = m.Sequence
		var h Holder
		if err := json.Unmarshal(m.Data, &h); err == nil && h.ID != l.self.ID && !h.dead() {
			return &h, nil
		}
	}
	err = l.put(ctx, seq)
	if isRefused(err) {
		return &Holder{ID: unknownID, Host: "another"}, nil // it was faster; look again
	}
	return nil, err
}

// put writes the lease in place of the message with sequence seq, 0 for none.
func (l *Lease) put(ctx context.Context, seq uint64) error {
	body, err := json.Marshal(l.self)
	if err != nil {
		return fmt.Errorf("write a lease: %w", err)
	}
	m := nats.NewMsg(l.subject)
	m.Data = body
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(seq, 10))
	m.Header.Set(jetstream.MsgTTLHeader, l.term.String())
	ctx, cancel := context.WithTimeout(ctx, l.term)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	start := time.Now()
	ack, err := l.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if err != nil {
		return changelog.Classify(fmt.Errorf("write the lease %s: %w", l.subject, err))
	}
	l.token, l.expiry = ack.Sequence, start.Add(l.term)
	return nil
}

func isRefused(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == codeExpectation || api.ErrorCode == codeExpectationCluster)
}

// Keep renews the lease until ctx ends, which gives nil, or the lease is lost.
func (l *Lease) Keep(ctx context.Context) error {
	tick := time.NewTicker(renew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		l.mu.RLock()
		token := l.token
		l.mu.RUnlock()
		err := l.put(ctx, token)
		switch {
		case ctx.Err() != nil:
			return nil
		case isRefused(err):
			l.drop()
			return lost()
		case err != nil && l.isGone(ctx):
			l.drop()
			return fault.OfSite(fault.Retry, fault.BrokerDown, fmt.Errorf("renew the lease in %s: %w", l.stream, errGone))
		case err != nil:
			l.log.Warn("the lease could not be renewed", "lease", l.subject, "error", err)
		}
		if err := l.Err(); err != nil {
			return err
		}
	}
}

// isGone tells whether the broker answers and has no such stream.
func (l *Lease) isGone(ctx context.Context) bool {
	_, err := l.js.Stream(ctx, l.stream)
	return errors.Is(err, jetstream.ErrStreamNotFound)
}

// Err is nil while this process has the lease, by its own clock.
func (l *Lease) Err() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.errLocked()
}

func (l *Lease) errLocked() error {
	if l.token == 0 || !time.Now().Before(l.expiry) {
		return lost()
	}
	return nil
}

func (l *Lease) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.token = 0
}

// Begin gives the headers that a write into the stream must carry, and end, to be
// called when its outcome is known. No renewal happens in between.
func (l *Lease) Begin() (headers []string, end func(), err error) {
	l.mu.RLock()
	if err := l.errLocked(); err != nil {
		l.mu.RUnlock()
		return nil, nil, err
	}
	return []string{
		jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(l.token, 10),
		jetstream.ExpectedLastSubjSeqSubjHeader, l.subject,
	}, l.mu.RUnlock, nil
}

// Release gives the lease up, so that nobody has to wait until it expires. What it
// cannot do, time does.
func (l *Lease) Release(ctx context.Context) {
	l.mu.Lock()
	token := l.token
	l.token = 0
	l.mu.Unlock()
	if token == 0 {
		return
	}
	if s, err := l.js.Stream(ctx, l.stream); err == nil {
		_ = s.DeleteMsg(ctx, token)
	}
}

// Context gives a context that ends with the lease: its Err asks the clock, so that a
// process which was stopped for a while sees the end before it does anything else.
func (l *Lease) Context(ctx context.Context) context.Context { return &leased{ctx, l} }

type leased struct {
	context.Context
	lease *Lease
}

func (c *leased) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	return c.lease.Err()
}

// Hold waits for the lease, does work while it is held, and gives it up. The context of
// work is that of hard, and ends when the lease is lost; the error is then a fault that says
// how. When ctx ends before the lease is there, the error is the cause of that.
func (l *Lease) Hold(ctx, hard context.Context, waiting func(Holder), work func(held context.Context) error) error {
	if err := l.Acquire(ctx, waiting); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	held, end := context.WithCancelCause(hard)
	var keeping sync.WaitGroup
	keeping.Go(func() { end(l.Keep(held)) })
	err := work(l.Context(held))
	if cause := context.Cause(held); errors.Is(cause, ErrLost) || errors.Is(cause, errGone) {
		err = cause
	}
	end(nil)
	keeping.Wait()
	releasing, cancel := context.WithTimeout(context.WithoutCancel(hard), poll)
	defer cancel()
	l.Release(releasing)
	return err
}
