package sender

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/services/bridge/census"
	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/blob"
	"synchro.example/shared/fault"
	"synchro.example/shared/status"
)

// Bounds of what is published together.
const (
	batchFiles = 500
	batchBytes = 4 << 20
)

const (
	lockSuffix = ".lock"
	// grace is how long a file that somebody else has taken into PROCESSING is left to
	// them: a classic sender that runs renames it to .lock, and then to DONE.
	grace = 2 * time.Second
	// lockGrace is how long a .lock is: that of a classic sender that died stays for ever.
	lockGrace = time.Hour
)

// work is a queue that this process sends from.
type work struct {
	*Sender
	queue    *queue.Queue
	inv      *inventory
	failures *failures
	// seen is when files of others were first seen, by their path in the queue.
	seen map[string]time.Time
	told map[string]bool
	ours map[string]bool // files in PROCESSING that this process has put there
	// swept is when DONE was looked through.
	swept time.Time
}

// claimed is a file in PROCESSING with what it says.
type claimed struct {
	file string // as it is called there
	name queue.Name
	path string // of its object, as far as it could be read
	msgs []*nats.Msg
	puts []blob.Result
}

func (s *Sender) open(ctx context.Context, q *queue.Queue) (*work, error) {
	inv, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	failures, err := s.openFailures(ctx)
	if err != nil {
		return nil, err
	}
	return &work{Sender: s, queue: q, inv: inv, failures: failures, seen: map[string]time.Time{}, told: map[string]bool{}, ours: map[string]bool{}}, nil
}

// rounds looks into the queue again and again.
func (w *work) rounds(soft, hard context.Context, progress func()) error {
	for soft.Err() == nil {
		state, changed := w.Control.State()
		if p, paused := state.Site(w.Site); paused {
			w.tell(status.Report{State: status.Paused, Reason: p.String()})
			select {
			case <-soft.Done():
			case <-changed:
			}
			continue
		}
		sent, err := w.round(hard)
		if err != nil {
			return err
		}
		progress()
		if sent == 0 {
			wait(soft, w.Look)
		}
	}
	return nil
}

// round takes the oldest files, as many as are published together, and sends them.
func (w *work) round(ctx context.Context) (sent int, err error) {
	if err := errors.Join(w.requests(ctx), w.account(ctx)); err != nil {
		return 0, err
	}
	taken, left, err := w.take(time.Now())
	if err != nil {
		return 0, fault.OfSite(fault.Retry, fault.SourceMissing, err)
	}
	w.tell(status.Report{State: status.Running, Pending: left, Oldest: oldest(taken), Failed: w.failures.codes()})
	var batch []*claimed
	for bytes := 0; len(taken) > len(batch) && bytes < batchBytes; {
		c := taken[len(batch)]
		if err := w.read(ctx, c); err != nil {
			return len(batch) + 1, w.setAside(ctx, batch, c, err)
		}
		for _, m := range c.msgs {
			bytes += len(m.Data)
		}
		batch = append(batch, c)
	}
	if err := w.publish(ctx, batch); err != nil {
		return 0, err
	}
	w.tell(status.Report{State: status.Running, Pending: left - len(batch), Failed: w.failures.codes()})
	return len(batch), w.sweep(time.Now())
}

// setAside sends what came before a file that could not be read, and decides about that.
func (w *work) setAside(ctx context.Context, batch []*claimed, c *claimed, cause error) error {
	if err := w.publish(ctx, batch); err != nil {
		return err
	}
	if err := w.judge(ctx, c, cause); err != nil || len(c.msgs) == 0 {
		return err
	}
	inv, err := w.load(ctx) // the one here has what the file said
	w.inv = inv
	return err
}

func oldest(taken []*claimed) time.Time {
	if len(taken) == 0 {
		return time.Time{}
	}
	return taken[0].name.Time
}

// take brings whole files into PROCESSING, and gives the oldest there with how many
// there are.
func (w *work) take(now time.Time) (oldest []*claimed, all int, err error) {
	waiting, err := w.queue.List(queue.Export, queue.ToProcess)
	if err != nil {
		return nil, 0, err
	}
	w.tellOdd(waiting, now)
	before, err := w.leftBehind(now)
	if err != nil {
		return nil, 0, err
	}
	all = len(before) + len(waiting.Names)
	for _, name := range waiting.Names[:min(len(waiting.Names), batchFiles)] {
		err := w.queue.Move(queue.Export, name.String(), queue.ToProcess, queue.Processing)
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody else has it
		}
		if err != nil {
			return nil, 0, err
		}
		w.ours[name.String()] = true
		before = append(before, &claimed{file: name.String(), name: name})
	}
	slices.SortStableFunc(before, func(a, b *claimed) int { return a.name.Compare(b.name) })
	return before[:min(len(before), batchFiles)], all, nil
}

// leftBehind gives the files that lie in PROCESSING and that nobody seems to work on.
func (w *work) leftBehind(now time.Time) (left []*claimed, err error) {
	found, err := w.queue.List(queue.Export, queue.Processing)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	since := func(file string) time.Duration {
		there[file] = true
		if w.seen[file].IsZero() {
			w.seen[file] = now
		}
		return now.Sub(w.seen[file])
	}
	for _, name := range found.Names {
		if since(name.String()) >= grace || w.ours[name.String()] || w.quiet(now) {
			left = append(left, &claimed{file: name.String(), name: name})
		}
	}
	for _, other := range found.Others {
		name, err := queue.ParseName(strings.TrimSuffix(other, lockSuffix))
		if err == nil && since(other) >= lockGrace {
			left = append(left, &claimed{file: other, name: name})
		}
	}
	maps.DeleteFunc(w.seen, func(file string, _ time.Time) bool { return !there[file] })
	maps.DeleteFunc(w.ours, func(file string, _ bool) bool { return !there[file] })
	return left, nil
}

// quiet tells that nobody has put anything into PROCESSING, or taken it away, for a while.
func (w *work) quiet(now time.Time) bool {
	info, err := os.Stat(filepath.Join(w.Path, queue.Folder(queue.Export, queue.Processing)))
	return err == nil && now.Sub(info.ModTime()) >= grace
}

// judge decides about a file that could not be read: one that is no change goes to ERROR.
func (w *work) judge(ctx context.Context, c *claimed, cause error) error {
	if errors.Is(cause, fs.ErrNotExist) {
		return nil // a classic sender has taken it
	}
	f := fault.Of(cause)
	if f.WholeSite || f.Class != fault.Park {
		return cause
	}
	if err := queue.Explain(w.Path, queue.Export, c.name, f); err != nil {
		return err
	}
	if err := w.failures.tell(ctx, c.name.String(), c.path, 0, f); err != nil {
		return err
	}
	w.log.Error("a file of the queue is refused", "file", c.file, "code", f.Code, "error", f)
	err := w.queue.Rename(queue.Export, c.file, queue.Processing, c.name.String(), queue.Failed)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// publish stores a batch, and moves its files to DONE when the broker has it.
func (w *work) publish(ctx context.Context, batch []*claimed) error {
	var msgs []*nats.Msg
	for _, c := range batch {
		msgs = append(msgs, c.msgs...)
	}
	if len(msgs) > 0 {
		if _, err := w.publisher.Publish(ctx, msgs); err != nil {
			return err
		}
	}
	for _, c := range batch {
		for _, r := range c.puts {
			if err := w.blobs.Confirm(ctx, r); err != nil {
				return err // the file stays, and its bytes are sent again
			}
		}
		w.done.Add(1)
		err := w.queue.Rename(queue.Export, c.file, queue.Processing, c.name.String(), queue.Done)
		if err == nil {
			err = w.queue.Stamp(queue.Export, queue.Done, c.name.String())
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a classic sender has taken it too
			return err
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return w.queue.Sync(queue.Export, queue.Done)
}

// tellOdd tells, once of each, of files that are not taken.
func (w *work) tellOdd(waiting queue.Listing, now time.Time) {
	for _, o := range census.News(w.told, census.OfWaiting(w.queue, queue.Export, waiting, now)) {
		w.log.Warn("a file in the queue needs somebody to look at it", "file", o.File, "why", o.Why)
	}
}

// sweep removes files that are done, or were given up, for longer than they have to be kept.
func (w *work) sweep(now time.Time) error {
	if w.Keep <= 0 || now.Sub(w.swept) < time.Minute {
		return nil
	}
	w.swept = now
	end := now.Add(-w.Keep)
	return errors.Join(w.queue.Expire(queue.Export, queue.Done, end), queue.ExpireDiscarded(w.Path, end))
}

// read finds out what a file says, and what that changes in the log.
func (w *work) read(ctx context.Context, c *claimed) error {
	f, err := w.queue.Open(queue.Export, queue.Processing, c.file)
	if err != nil {
		return err
	}
	change, err := zs.Decode(f, zs.Options{})
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	c.path = strings.Join(change.Path, "/")
	return errors.Join(w.interpret(ctx, c, change), change.Close())
}
