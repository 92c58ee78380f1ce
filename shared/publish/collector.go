package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Defaults of a collector.
const (
	defaultWait    = 5 * time.Millisecond
	defaultBatches = 4
)

// ErrClosed is returned for messages that come after Close.
var ErrClosed = errors.New("the collector is closed")

// CollectorOptions say when a batch is complete; zero values are the defaults.
type CollectorOptions struct {
	// MaxMessages and MaxBytes complete a batch at once: those of the publisher.
	MaxMessages int
	MaxBytes    int
	// MaxWait completes a batch that long after its first message, 5 ms.
	MaxWait time.Duration
	// MaxBatches is how many batches may wait before Enqueue blocks, 4.
	MaxBatches int
}

// Collector makes batches of the messages of many callers and publishes them one
// batch after the other: while one is under way the next fills. Its methods may be
// called from several goroutines.
type Collector struct {
	p    *Publisher
	opts CollectorOptions

	mu     sync.Mutex
	queue  []entry
	bytes  int
	closed bool
	hurry  int           // barriers in the queue that wait for no MaxWait
	room   chan struct{} // closed when the queue has become shorter

	wake  chan struct{}
	stop  context.CancelCauseFunc
	ended chan struct{}
	err   error // the first failure; the loop's until ended
	lost  int   // messages that were not stored
}

// entry is a message, or without one a barrier.
type entry struct {
	msg   *nats.Msg
	done  func(seq uint64, err error)
	size  int
	hurry bool
}

// NewCollector makes a collector that publishes through p until it is closed.
func NewCollector(p *Publisher, o CollectorOptions) *Collector {
	if o.MaxMessages <= 0 {
		o.MaxMessages = p.opts.MaxMessages
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = p.opts.MaxBytes
	}
	if o.MaxWait <= 0 {
		o.MaxWait = defaultWait
	}
	if o.MaxBatches <= 0 {
		o.MaxBatches = defaultBatches
	}
	ctx, stop := context.WithCancelCause(context.Background())
	c := &Collector{
		p: p, opts: o, room: make(chan struct{}), wake: make(chan struct{}, 1), stop: stop, ended: make(chan struct{}),
	}
	go c.run(ctx)
	return c
}

// Enqueue hands over a message and blocks while too many wait. done is called when
// the message is stored, or never will be by this collector; calls come one after
// the other, in the order of Enqueue, and must not enqueue themselves. An error from
// Enqueue itself means that done is not called.
//
// After a message that could not be stored the collector stores nothing more: it
// would overtake. All that follows gets the same error.
//
// Without a message done is a barrier: it is called, with sequence 0, after all that
// was enqueued before it; with a nil error when all of that is stored.
func (c *Collector) Enqueue(ctx context.Context, msg *nats.Msg, done func(seq uint64, err error)) error {
	return c.enqueue(ctx, entry{msg: msg, done: done})
}

// Then is Enqueue without a message.
func (c *Collector) Then(ctx context.Context, done func(err error)) error {
	return c.enqueue(ctx, entry{done: func(_ uint64, err error) { done(err) }})
}

// Hurry publishes what waits without waiting for more.
func (c *Collector) Hurry(ctx context.Context) error {
	return c.enqueue(ctx, entry{hurry: true})
}

// Flush publishes what waits without waiting for more, and returns when it is
// stored, or failed.
func (c *Collector) Flush(ctx context.Context) error {
	result := make(chan error, 1)
	err := c.enqueue(ctx, entry{hurry: true, done: func(_ uint64, err error) { result <- err }})
	if err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait until all is stored: %w", ctx.Err())
	}
}

// Close takes no more messages, publishes what waits, and calls what is left of the
// callbacks. When ctx ends it gives up. The error is the first that kept a message
// from being stored, with their number. Calling it again waits and returns the same.
func (c *Collector) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.freeLocked()
	c.mu.Unlock()
	c.poke()
	select {
	case <-c.ended:
	case <-ctx.Done():
		c.stop(fmt.Errorf("there was no time left: %w", ctx.Err()))
		<-c.ended
	}
	c.stop(nil)
	if c.err != nil {
		return fmt.Errorf("%d messages are not stored: %w", c.lost, c.err)
	}
	return nil
}

func (c *Collector) enqueue(ctx context.Context, e entry) error {
	if e.msg != nil {
		e.size = e.msg.Size()
	}
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return ErrClosed
		}
		if len(c.queue) < c.opts.MaxBatches*c.opts.MaxMessages && c.bytes < c.opts.MaxBatches*c.opts.MaxBytes {
			c.pushLocked(e)
			c.mu.Unlock()
			c.poke()
			return nil
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("wait for the broker to take what waits: %w", ctx.Err())
		}
	}
}

func (c *Collector) pushLocked(e entry) {
	c.queue = append(c.queue, e)
	c.bytes += e.size
	if e.hurry {
		c.hurry++
	}
}

func (c *Collector) freeLocked() {
	close(c.room)
	c.room = make(chan struct{})
}

// poke tells the loop to look at the queue.
func (c *Collector) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
