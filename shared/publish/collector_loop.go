package publish

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// run publishes batch after batch until the collector is closed and empty.
func (c *Collector) run(ctx context.Context) {
	defer close(c.ended)
	for c.gather() {
		c.store(ctx, c.take())
	}
}

// gather waits until a batch is complete; false means that none will come.
func (c *Collector) gather() bool {
	var timer <-chan time.Time
	for {
		n, complete, closed := c.look()
		switch {
		case complete:
			return true
		case closed && n == 0:
			return false
		case n > 0 && timer == nil:
			timer = time.After(c.opts.MaxWait)
		}
		select {
		case <-c.wake:
		case <-timer:
			return true
		}
	}
}

// look tells how many entries wait, whether a batch is complete, and whether more
// may come. A barrier in front has nothing to wait for.
func (c *Collector) look() (n int, complete, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = len(c.queue)
	if n == 0 {
		return n, false, c.closed
	}
	complete = n >= c.opts.MaxMessages || c.bytes >= c.opts.MaxBytes || c.hurry > 0 || c.closed || c.queue[0].msg == nil
	return n, complete, c.closed
}

// take removes the next batch from the queue.
func (c *Collector) take() []entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, bytes := 0, 0
	for ; n < len(c.queue) && n < c.opts.MaxMessages; n++ {
		if bytes += c.queue[n].size; n > 0 && bytes > c.opts.MaxBytes {
			break
		}
		if c.queue[n].hurry {
			c.hurry--
		}
	}
	batch := c.queue[:n:n]
	c.queue = append([]entry(nil), c.queue[n:]...)
	for _, e := range batch {
		c.bytes -= e.size
	}
	c.freeLocked()
	return batch
}

// store publishes one batch and tells everybody, in order.
func (c *Collector) store(ctx context.Context, batch []entry) {
	var msgs []*nats.Msg
	for _, e := range batch {
		if e.msg != nil {
			msgs = append(msgs, e.msg)
		}
	}
	var seqs []uint64
	err := c.err
	if err == nil && len(msgs) > 0 {
		seqs, err = c.p.Publish(ctx, msgs)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	c.lost += len(msgs) - len(seqs)
	c.tell(batch, seqs, err)
	c.err = err
}

func (c *Collector) tell(batch []entry, seqs []uint64, failure error) {
	failed := c.err
	for _, e := range batch {
		var seq uint64
		switch {
		case e.msg == nil:
		case len(seqs) > 0:
			seq, seqs = seqs[0], seqs[1:]
		default:
			failed = failure
		}
		if e.done != nil {
			e.done(seq, failed)
		}
	}
}
