// Package collect removes the bytes that no log refers to any more: now and then it
// reads the logs of all sources and channels that the broker has, whatever the
// configuration says of them, and lets the blob store sweep. Any number of processes
// may do so at the same time.
package collect

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/blob"
	"synchro.example/shared/fault"
	"synchro.example/shared/lifecycle"
)

// When to sweep. The first time comes after the rush of a start. What a sweep marks the
// next one removes, so garbage is gone after two to three days.
const (
	first  = 15 * time.Minute
	period = 24 * time.Hour
	again  = time.Hour // after a failure
)

// Part is a collector as a part of a process.
func Part(js jetstream.JetStream, log *slog.Logger) lifecycle.Part {
	c := &collector{
		js: js, blobs: blob.New(js), log: log.With("service", "collector"),
		grace: blob.Grace, first: first, period: period, again: again,
	}
	return lifecycle.Part{Name: "collector", Run: c.run}
}

type collector struct {
	js    jetstream.JetStream
	blobs *blob.Store
	log   *slog.Logger

	grace, first, period, again time.Duration
}

// run sweeps until soft ends, which also breaks a sweep off. It fails never: a sweep
// that does is tried again.
func (c *collector) run(soft, _ context.Context) error {
	for wait := c.first; ; {
		select {
		case <-soft.Done():
			return nil
		case <-time.After(wait):
		}
		wait = c.period
		if err := c.sweep(soft); err != nil && soft.Err() == nil {
			wait = c.again
			c.log.Warn("what nothing refers to could not be removed from the blobs, it is tried again", "in", wait, "code", fault.Of(err).Code, "error", err)
		}
	}
}

func (c *collector) sweep(ctx context.Context) error {
	start := time.Now()
	swept, err := c.blobs.Sweep(ctx, c.grace, logs{c.js}.blobs)
	level := slog.LevelDebug
	if swept.Freed > 0 {
		level = slog.LevelInfo
	}
	c.log.Log(ctx, level, "chunks that nothing refers to are removed", "freed", swept.Freed, "bytes", swept.Bytes,
		"marked", swept.Marked, "chunks", swept.Chunks, "took", time.Since(start).Round(time.Millisecond))
	return err
}
