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

// Error codes of the broker that mean something here.
const (
	codeDuplicateInProcess jetstream.ErrorCode = 10158
	codeExpectation        jetstream.ErrorCode = 10071
	codeExpectationCluster jetstream.ErrorCode = 10164
	codeStoreFailed        jetstream.ErrorCode = 10077
	codeAccountFull        jetstream.ErrorCode = 10002
	codeServerFull         jetstream.ErrorCode = 10023
	codeStorageFull        jetstream.ErrorCode = 10047
	codeMessageTooLarge    jetstream.ErrorCode = 10054
	codeHeaderTooLarge     jetstream.ErrorCode = 10097
	codeNoBatches          jetstream.ErrorCode = 10174
	codeBatchIncomplete    jetstream.ErrorCode = 10176
	codeBatchTooLarge      jetstream.ErrorCode = 10199
	codeBatchHasDuplicate  jetstream.ErrorCode = 10201
	codeTooManyBatches     jetstream.ErrorCode = 10210
)

// Answers of an attempt that are no errors for the caller.
var (
	errTooMany  = errors.New("the broker takes fewer messages in one batch")
	errNoBatch  = errors.New("the broker does not know batches")
	errStale    = errors.New("the broker remembers the message, but does not have it")
	errNoAnswer = errors.New("the broker does not answer")
)

// step is what follows from an attempt that failed.
type step int

const (
	again  step = iota // at once: something is known that was not before
	later              // after a pause; nothing of it is stored, or what is, is noted
	lookUp             // after a pause: the answer is lost, see what became of it
	giveUp
)

// carry stores a job, attempt by attempt, until it is stored, refused, or ctx or the
// patience ends.
func (p *Publisher) carry(ctx context.Context, j *job) error {
	end := time.Now().Add(p.opts.Patience)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, maxPause) {
		err := p.attempt(ctx, j, end)
		if err == nil {
			return nil
		}
		next, refusal := p.judge(j, err)
		j.lost = j.lost || next == lookUp
		switch {
		case next == giveUp:
			return refusal
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(end):
			return fault.OfSite(fault.Retry, fault.BrokerDown, unanswered(err))
		case next != again:
			sleep(ctx, pause)
		}
	}
}

// unanswered hides the contexts that attempts are bounded with.
func unanswered(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errNoAnswer
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// attempt sends what is not known to be stored, once.
func (p *Publisher) attempt(ctx context.Context, j *job, end time.Time) error {
	ctx, cancel := p.connected(ctx)
	defer cancel()
	if p.nc.IsClosed() {
		return nats.ErrConnectionClosed
	}
	if !p.nc.IsConnected() {
		return errNoAnswer
	}
	ctx, stop := context.WithDeadlineCause(ctx, earlier(end, time.Now().Add(p.wait)), errNoAnswer)
	defer stop()
	if j.lost {
		if err := p.readBack(ctx, j); err != nil || len(j.prefix()) == len(j.msgs) {
			return err
		}
		j.lost = false
	}
	return p.guarded(func() error {
		if p.asBatch(j) {
			return p.sendBatch(ctx, j)
		}
		return p.sendSingles(ctx, j)
	})
}

// guarded sends under the guard, if there is one.
func (p *Publisher) guarded(send func() error) error {
	if p.opts.Guard == nil {
		return send()
	}
	right, end, err := p.opts.Guard.Begin()
	if err != nil {
		return err
	}
	defer end()
	p.right = right
	return send()
}

// connected gives a context that ends with the connection: an answer that was under
// way then does not come any more, whatever was sent.
func (p *Publisher) connected(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	changes := p.nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	go func() {
		if _, ok := <-changes; ok {
			cancel(errNoAnswer)
		}
	}()
	return ctx, func() {
		p.nc.RemoveStatusListener(changes)
		cancel(nil)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (p *Publisher) asBatch(j *job) bool {
	return p.batches && !j.single && len(j.msgs) >= minBatch
}

// judge decides what follows from the error of an attempt, and notes what it tells
// about the stream or the job.
func (p *Publisher) judge(j *job, err error) (step, error) {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return giveUp, f // of the guard
	}
	switch {
	case isAPI:
		return p.judgeCode(j, api)
	case errors.Is(err, errNoBatch):
		p.batches = false
		return again, nil
	case errors.Is(err, errStale), errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return later, nil
	case errors.Is(err, nats.ErrConnectionClosed):
		return giveUp, fault.OfSite(fault.Retry, fault.BrokerDown, err)
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject):
		return giveUp, fault.New(fault.Park, fault.Invalid, err)
	}
	return lookUp, nil
}

func (p *Publisher) judgeCode(j *job, err *jetstream.APIError) (step, error) {
	switch err.ErrorCode {
	case codeNoBatches:
		p.batches = false
		return again, nil
	case codeBatchTooLarge:
		return giveUp, p.shrink(j)
	case codeBatchIncomplete, codeTooManyBatches:
		j.tries++
		j.single = j.tries >= batchTries
		return lookUp, nil
	case codeBatchHasDuplicate:
		j.single = true // needed unless reading back finds the whole batch
		return lookUp, nil
	case codeDuplicateInProcess:
		return later, nil
	case codeExpectation, codeExpectationCluster:
		return giveUp, fault.OfSite(fault.Retry, fault.Unknown, fmt.Errorf("%w: %w", ErrExpectation, err))
	case codeMessageTooLarge, codeHeaderTooLarge:
		return giveUp, fault.New(fault.Park, fault.Invalid, err)
	case codeStoreFailed, codeAccountFull, codeServerFull, codeStorageFull:
		if p.asBatch(j) { // what only replaces something may still fit, one by one
			j.single = true
			return again, nil
		}
		return giveUp, fault.OfSite(fault.Retry, fault.BrokerFull, fmt.Errorf("the broker stores nothing more: %w", err))
	}
	if err.Code >= 500 {
		return lookUp, nil
	}
	return giveUp, fault.OfSite(fault.Retry, fault.Unknown, err)
}

// shrink lowers the limit after a broker refused a batch for its length.
func (p *Publisher) shrink(j *job) error {
	p.limit = max(len(j.msgs)/2, 1)
	return errTooMany
}

// readBack looks up what became of a job whose answer is lost. The stream keeps the
// newest message of each subject, so the last message of the job tells: when it is
// there, everything before it is.
func (p *Publisher) readBack(ctx context.Context, j *job) error {
	last := len(j.msgs) - 1
	if !j.sent {
		return nil // single messages: the broker tells when they are sent again
	}
	seq, id, err := p.newest(ctx, j.msgs[last].Subject)
	if err != nil || id != j.msgs[last].Header.Get(jetstream.MsgIDHeader) || seq < uint64(len(j.msgs)) {
		return err
	}
	for i := range j.seqs {
		j.seqs[i] = seq - uint64(last-i)
	}
	return nil
}

// newest gives the sequence and the id of the newest message of a subject, zero when
// there is none.
func (p *Publisher) newest(ctx context.Context, subj string) (seq uint64, id string, err error) {
	if p.stream == nil {
		name, err := p.js.StreamNameBySubject(ctx, subj)
		if err != nil {
			return 0, "", err
		}
		if p.stream, err = p.js.Stream(ctx, name); err != nil {
			p.stream = nil
			return 0, "", err
		}
	}
	m, err := p.stream.GetLastMsgForSubject(ctx, subj)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	return m.Sequence, m.Header.Get(jetstream.MsgIDHeader), nil
}
