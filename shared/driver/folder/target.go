//go:build unix

package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// batchSize is what a call of Apply should get: large enough that the two syncs
// of a batch cost little per file, small enough to keep a first result near.
const batchSize = 256

// Target writes to a tree. It is safe for concurrent use; one process at a time
// may have a target on a tree.
type Target struct {
	opts    Options
	reports *reports
	writes  *writeLog
	counts  counters
	slots   *semaphore.Weighted // bounds the open folders of all batches
	most    int64

	mu   sync.RWMutex // held for reading while a batch uses the place
	live *place
	real string // where Path led when the target was opened
}

var _ content.Target = (*Target)(nil)

// place is a tree with its staging folder, as they were opened.
type place struct {
	tree    *handle
	staging *staging
	keeper  *keeper
}

// OpenTarget opens a tree for writing and finishes what a crash left half done.
// A missing folder is made if the one above it exists. The concrete type is
// *Target. Errors are faults: Misconfigured when there is no usable staging folder
// or another process writes to the tree.
func OpenTarget(opts Options) (content.Target, error) {
	o := opts.withDefaults()
	if o.Path == "" {
		return nil, misconfigured("a folder site needs a path")
	}
	if err := os.Mkdir(o.Path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, openFault(err, o.Path)
	}
	t := &Target{opts: o, reports: newReports(o.Log), most: openFolders()}
	t.slots = semaphore.NewWeighted(t.most)
	var err error
	if t.writes, err = openWriteLog(o.Writes); err != nil {
		return nil, err
	}
	if t.live, err = t.open(); err != nil {
		return nil, errors.Join(err, t.writes.close())
	}
	return t, nil
}

func openFault(err error, path string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return missing(path, err)
	}
	return targetFault(err, "open the receiving folder %q", path)
}

// openFolders is a quarter of the files that the process may have open.
func openFolders() int64 {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return batchSize
	}
	return int64(min(max(r.Cur/4, 64), 16*batchSize))
}

func (t *Target) open() (*place, error) {
	real, err := filepath.EvalSymlinks(t.opts.Path)
	if err != nil {
		return nil, missing(t.opts.Path, err)
	}
	if t.real == "" {
		t.real = real
	} else if real != t.real {
		return nil, missing(t.opts.Path, fmt.Errorf("it leads to %q now, and led to %q before; start again if that is meant", real, t.real))
	}
	tree, err := openHandle(real)
	if errors.Is(err, unix.ENOTDIR) {
		return nil, missing(t.opts.Path, err)
	}
	if err != nil {
		return nil, openFault(err, t.opts.Path)
	}
	p, err := t.openPlace(tree, real)
	if err != nil {
		return nil, errors.Join(err, tree.close())
	}
	return p, nil
}

func (t *Target) openPlace(tree *handle, real string) (*place, error) {
	s, err := openStaging(tree, real, stagingPath(real, t.opts.Staging), t.opts.Owner)
	if err != nil {
		return nil, err
	}
	p := &place{tree: tree, staging: s, keeper: newKeeper(s)}
	if err := p.keeper.recover(tree); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(stagingFault(err, s.path), s.close())
	}
	return p, nil
}

func (p *place) close() error {
	if p == nil {
		return nil
	}
	return errors.Join(p.tree.close(), p.staging.close())
}

// Close releases the tree. Apply must not be running.
func (t *Target) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := errors.Join(t.live.close(), t.writes.close())
	t.live = nil
	return err
}

// Batch is how many changes one call of Apply should get.
func (t *Target) Batch() int { return batchSize }

// Stats tells what was done so far.
func (t *Target) Stats() Stats { return t.counts.read() }

// use gives the place for one batch. A tree that went away is a fault of the
// site; one that came back, or was replaced, is opened anew.
func (t *Target) use() (*place, func(), error) {
	t.mu.RLock()
	if t.live != nil && t.live.present(t.opts.Path) {
		return t.live, t.mu.RUnlock, nil
	}
	t.mu.RUnlock()
	if err := t.reopen(); err != nil {
		return nil, nil, err
	}
	t.mu.RLock()
	if t.live == nil {
		t.mu.RUnlock()
		return nil, nil, missing(t.opts.Path, fs.ErrNotExist)
	}
	return t.live, t.mu.RUnlock, nil
}

func (p *place) present(path string) bool {
	return p.tree.stillAt(path) && p.staging.stillAt(p.staging.path)
}

func (t *Target) reopen() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live != nil && t.live.present(t.opts.Path) {
		return nil
	}
	if st, err := os.Stat(t.opts.Path); err != nil || !st.IsDir() {
		return missing(t.opts.Path, cmpErr(err, unix.ENOTDIR))
	}
	_ = t.live.close() // of what is gone; also gives up its lock
	t.live = nil
	p, err := t.open()
	if err != nil {
		return waitFor(err)
	}
	t.opts.Log.Info("the receiving folder is there again", "path", t.opts.Path)
	t.live = p
	return nil
}

// waitFor makes of a wrong set-up that came up while running something to wait
// for: the tree may be in the middle of being mounted.
func waitFor(err error) error {
	if f := fault.Of(err); f.Class == fault.Stop {
		return fault.OfSite(fault.Retry, fault.TargetMissing, err)
	}
	return err
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// Apply carries out ops as content.Target says.
func (t *Target) Apply(ctx context.Context, ops []content.Op) []error {
	groups := make([]int, len(ops))
	for i := range groups {
		groups[i] = i
	}
	return t.apply(ctx, ops, groups)
}

// ApplyTogether carries out groups of ops and gives one result for each. The ops of a
// group are for the files of one object: none takes effect before all that have bytes are
// staged, each may build on those before it, and none takes effect after one that failed.
func (t *Target) ApplyTogether(ctx context.Context, together [][]content.Op) []error {
	var ops []content.Op
	var groups []int
	for g := range together {
		for _, op := range together[g] {
			ops, groups = append(ops, op), append(groups, g)
		}
	}
	results := make([]error, len(together))
	for i, err := range t.apply(ctx, ops, groups) {
		if results[groups[i]] == nil {
			results[groups[i]] = err
		}
	}
	return results
}

// apply gives one result for each op; groups has the number of the group of each.
func (t *Target) apply(ctx context.Context, ops []content.Op, groups []int) []error {
	errs := make([]error, len(ops))
	if len(ops) == 0 {
		return errs
	}
	n := min(int64(len(ops)), t.most)
	if err := t.slots.Acquire(ctx, n); err != nil {
		return fill(errs, fmt.Errorf("apply: %w", err))
	}
	defer t.slots.Release(n)
	p, done, err := t.use()
	if err != nil {
		return fill(errs, err)
	}
	defer done()
	newBatch(t, p, ops, groups, errs).run(ctx)
	// What was done in a tree that was moved away meanwhile is not on the site.
	if !p.tree.stillAt(t.opts.Path) {
		return fill(errs, missing(t.opts.Path, errors.New("it was removed or replaced while it was written to")))
	}
	return errs
}

func fill(errs []error, err error) []error {
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// List yields what stands in the tree. Nothing settled is asked: what is unsettled
// here is only what cannot be read.
func (t *Target) List(ctx context.Context) iter.Seq2[content.Item, error] {
	return func(yield func(content.Item, error) bool) {
		if err := t.list(ctx, yield); err != nil {
			yield(content.Item{}, err)
		}
	}
}

func (t *Target) list(ctx context.Context, yield func(content.Item, error) bool) error {
	h, err := openHandle(t.opts.Path)
	if err != nil {
		return openFault(cmpMissing(err), t.opts.Path)
	}
	defer h.close()
	w := walker{ctx: ctx, tree: h, reports: t.reports, yield: yield}
	err = w.run()
	if ctx.Err() == nil && !h.stillAt(t.opts.Path) {
		return missing(t.opts.Path, errors.New("it was removed or replaced while it was listed"))
	}
	return targetFault(err, "list %q", t.opts.Path)
}

// cmpMissing takes a file in the place of the tree for no tree.
func cmpMissing(err error) error {
	if errors.Is(err, unix.ENOTDIR) {
		return errors.Join(fs.ErrNotExist, err)
	}
	return err
}
