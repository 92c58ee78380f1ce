package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Headers of an atomic batch, as ADR-50 of NATS has them.
const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// stamped gives a copy of a message with further headers.
func stamped(m *nats.Msg, headers ...string) *nats.Msg {
	h := maps.Clone(m.Header)
	for i := 0; i < len(headers); i += 2 {
		h[headers[i]] = []string{headers[i+1]}
	}
	return &nats.Msg{Subject: m.Subject, Header: h, Data: m.Data}
}

// show puts the guard's headers on a message; in a batch one with them is enough.
func (p *Publisher) show(m *nats.Msg) {
	for i := 0; i < len(p.right); i += 2 {
		m.Header[p.right[i]] = []string{p.right[i+1]}
	}
}

// answer is what the broker says to a batch that is complete.
type answer struct {
	Error *jetstream.APIError `json:"error"`
	Seq   uint64              `json:"seq"`
	Batch string              `json:"batch"`
	Count uint64              `json:"count"`
}

// sendBatch stores a whole job atomically. Only the last message asks for an answer:
// the broker answers there for all, and what it does not take is missing then.
func (p *Publisher) sendBatch(ctx context.Context, j *job) error {
	id, last := nuid.Next(), len(j.msgs)-1
	for i, m := range j.msgs[:last] {
		if err := p.nc.PublishMsg(stamped(m, headerBatchID, id, headerBatchSequence, strconv.Itoa(i+1))); err != nil {
			return err
		}
	}
	end := stamped(j.msgs[last], headerBatchID, id, headerBatchSequence, strconv.Itoa(last+1), headerBatchCommit, "1")
	p.show(end)
	j.sent = true
	reply, err := p.nc.RequestMsgWithContext(ctx, end)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	var a answer
	switch err := json.Unmarshal(reply.Data, &a); {
	case err != nil:
		return fmt.Errorf("the broker's answer to a batch: %w", err)
	case a.Error != nil:
		return a.Error
	case a.Batch != id || a.Count != uint64(len(j.msgs)) || a.Seq < a.Count:
		return errNoBatch
	}
	for i := range j.seqs {
		j.seqs[i] = a.Seq - uint64(last-i)
	}
	return nil
}

// sendSingles stores what of a job is not stored yet, message by message. Several
// are under way at the same time, but never two of one subject: the first may be
// refused, and must not come after the second then.
func (p *Publisher) sendSingles(ctx context.Context, j *job) error {
	for i := 0; i < len(j.msgs); {
		end := j.wave(i)
		if err := p.sendWave(ctx, j, i, end); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// wave gives the end of the messages from start on that may be under way together.
func (j *job) wave(start int) (end int) {
	subjects := make(map[string]bool, window)
	for end = start; end < len(j.msgs) && len(subjects) < window; end++ {
		if j.seqs[end] != 0 {
			continue
		}
		if subjects[j.msgs[end].Subject] {
			return end
		}
		subjects[j.msgs[end].Subject] = true
	}
	return end
}

func (p *Publisher) sendWave(ctx context.Context, j *job, start, end int) error {
	futures := make([]jetstream.PubAckFuture, end-start)
	var first error
	for i := start; i < end && first == nil; i++ {
		if j.seqs[i] == 0 {
			m := stamped(j.msgs[i])
			p.show(m)
			futures[i-start], first = p.js.PublishMsgAsync(m,
				jetstream.WithRetryAttempts(0), jetstream.WithStallWait(p.wait))
		}
	}
	for i, f := range futures {
		if f == nil {
			continue
		}
		seq, err := p.outcome(ctx, f)
		j.seqs[start+i] = seq
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// outcome waits for the answer to one message.
func (p *Publisher) outcome(ctx context.Context, f jetstream.PubAckFuture) (uint64, error) {
	select {
	case ack := <-f.Ok():
		if ack.Duplicate {
			return p.duplicate(ctx, f.Msg(), ack.Sequence)
		}
		return ack.Sequence, nil
	case err := <-f.Err():
		return 0, err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// duplicate looks after a message that the broker has seen before: an earlier
// attempt stored it, and it is there or a newer one in its place. But the broker also
// remembers what has been deleted since: that is not stored.
func (p *Publisher) duplicate(ctx context.Context, m *nats.Msg, seq uint64) (uint64, error) {
	newest, _, err := p.newest(ctx, m.Subject)
	switch {
	case err != nil:
		return 0, err
	case newest == 0:
		return 0, errStale
	}
	return seq, nil
}

// hasBatches tells from a broker's version whether it knows atomic batches: since 2.12.
func hasBatches(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 2 || major == 2 && minor >= 12
}
