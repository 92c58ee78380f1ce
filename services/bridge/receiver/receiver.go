// Package receiver writes changes into the IMPORT side of a classic queue, as the
// classic sender does on the machine of a receiving site, and waits for each file until
// the classic importer has moved it on. DONE says no more than that: the importer commits
// after its last file, and does not tell.
//
// Files are made beside the queue and renamed in when they are whole, since the classic
// importer takes also what is still being written.
package receiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zexp"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Options are what a target needs.
type Options struct {
	Site string
	// Path is the queue's folder. What is not in it yet lies in Path.synchro.
	Path string
	// Staging is the folder in there for files that are being written, "staging" when it is
	// not named. Each process needs one of its own.
	Staging string
	// Accept names the plugins whose payloads are taken.
	Accept []string
	// Allowed are the globals that exports may name.
	Allowed *zexp.List
	// Keep is how long files stay in DONE.
	Keep time.Duration
	// Look is the longest time between looks at a file that waits.
	Look time.Duration
	Log  *slog.Logger
}

// Target is the IMPORT side of a queue. It is safe for concurrent use.
type Target struct {
	Options
	queue   *queue.Queue
	notes   *notes
	staging string
	waiting atomic.Int64
	release chan struct{}
	once    sync.Once
	ended   chan struct{}
	keepers sync.WaitGroup

	mu   sync.Mutex
	last time.Time // that a file's name has
}

var (
	_ content.Target    = (*Target)(nil)
	_ content.Waiter    = (*Target)(nil)
	_ content.Discarder = (*Target)(nil)
)

// Open opens a queue, which must be one.
func Open(o Options) (*Target, error) {
	q, err := queue.Open(o.Path)
	if err != nil {
		return nil, missing(err)
	}
	t := &Target{Options: o, queue: q, release: make(chan struct{}), ended: make(chan struct{})}
	if err := t.prepare(); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	t.keepers.Go(t.keepHouse)
	return t, nil
}

// missing is the fault of a queue that is not there now.
func missing(err error) error { return fault.OfSite(fault.Retry, fault.TargetMissing, err) }

func (t *Target) prepare() error {
	beside := filepath.Clean(t.Path) + ".synchro"
	t.staging = filepath.Join(beside, cmp.Or(t.Staging, "staging"))
	if err := os.RemoveAll(t.staging); err != nil { // of an earlier run
		return diskFault(err)
	}
	if err := os.MkdirAll(t.staging, 0o755); err != nil {
		return diskFault(err)
	}
	var err error
	if t.notes, err = openNotes(filepath.Join(beside, "handed-over")); err != nil {
		return diskFault(err)
	}
	newest, ok, err := t.queue.Newest(queue.Import)
	if ok && newest.Time.Before(time.Now().Add(24*time.Hour)) { // else a clock was wrong
		t.last = newest.Time
	}
	return err
}

func diskFault(err error) error {
	code := fault.Unknown
	switch {
	case errors.Is(err, os.ErrPermission):
		code = fault.Permission
	case isFull(err):
		code = fault.DiskFull
	}
	return fault.OfSite(fault.Retry, code, fmt.Errorf("write for the queue: %w", err))
}

// Close gives the queue up. What waits in it stays.
func (t *Target) Close() error {
	close(t.ended)
	t.keepers.Wait()
	return t.queue.Close()
}

// Batch is 1: each file waits by itself, for as long as the importer takes.
func (t *Target) Batch() int { return 1 }

// List yields nothing: nobody can look into the site behind a queue.
func (t *Target) List(context.Context) iter.Seq2[content.Item, error] {
	return func(func(content.Item, error) bool) {}
}

// Waiting counts the ops whose file is in the queue.
func (t *Target) Waiting() int { return int(t.waiting.Load()) }

// Release ends the waiting.
func (t *Target) Release() { t.once.Do(func() { close(t.release) }) }

// Apply hands changes over, and returns when the importer has moved their files on.
func (t *Target) Apply(ctx context.Context, ops []content.Op) []error {
	results := make([]error, len(ops))
	for i := range ops {
		results[i] = t.apply(ctx, &ops[i])
	}
	return results
}

func (t *Target) apply(ctx context.Context, op *content.Op) error {
	files, err := t.files(ctx, op)
	if err != nil {
		return err
	}
	for n, f := range files {
		if err := t.handOver(ctx, op, n, f); err != nil {
			return err
		}
	}
	if op.Note != nil {
		op.Note.State = "handed over"
	}
	return nil
}

// nextName gives a name with a time above that of every other.
func (t *Target) nextName(uid string) (queue.Name, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now().Truncate(time.Microsecond)
	if !now.After(t.last) {
		now = t.last.Add(time.Microsecond)
	}
	t.last = now
	return queue.NewName(uid, now, number())
}
