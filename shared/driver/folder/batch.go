//go:build unix

package folder

import (
	"context"
	"errors"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// together is how many files of a batch are made, or synced, at the same time.
const together = 8

// bulk is how many things to sync make one syncfs better than a sync of each. On
// ext4 over a virtual disk (8 at a time, 4 KiB files, two phases, mean of 5):
//
//	files    fsync each   syncfs
//	    1       0.42 ms   0.31 ms
//	    8       1.1  ms   0.54 ms
//	   16       2.0  ms   0.82 ms
//	   64       8.0  ms   2.6  ms
//	  256      26    ms  12    ms
//
// On a quiet file system syncfs wins from the first file. But it also writes what
// everybody else has dirtied, a log or a copy of many GiB, so that it is kept for
// batches in which it saves more than it can be made to wait for.
const bulk = 16

// batch is one call of Apply: stage all files, sync them, do the effects in order,
// set back the folders, sync those.
type batch struct {
	t     *Target
	place *place
	jobs  []*job
	errs  []error
	// failed has the first error of each group, by its number.
	failed map[int]error

	mu    sync.Mutex
	open  map[string]*dir // folders by path
	all   []*dir
	held  map[string]heldDir
	syncs *dir // what syncfs is called on
	dirty []*dirtyThing
}

type heldDir struct {
	hold *hold
	dir  *dir
}

// job is one op on its way.
type job struct {
	op    *content.Op
	group int
	kind  string // content.TypeFile, content.TypeFolder, or empty for a removal
	want  state
	// bytes is the payload that a file's bytes are in.
	bytes  *content.Payload
	staged string // the name in the staging folder, empty when nothing was staged
	done   bool   // the file stands at To already
}

func newBatch(t *Target, p *place, ops []content.Op, groups []int, errs []error) *batch {
	b := &batch{t: t, place: p, errs: errs, failed: map[int]error{}, open: map[string]*dir{"": p.tree.top}, held: map[string]heldDir{}}
	for i := range ops {
		b.jobs = append(b.jobs, &job{op: &ops[i], group: groups[i]})
	}
	return b
}

func (b *batch) run(ctx context.Context) {
	var err error
	if b.syncs, err = b.place.staging.dup(); err != nil {
		fill(b.errs, targetFault(err, "open the staging folder"))
		return
	}
	b.all = append(b.all, b.syncs)
	defer b.close()
	b.place.keeper.tidy()
	b.stage(ctx)
	for i := range b.jobs {
		b.failGroup(i)
	}
	for i, j := range b.jobs {
		if b.errs[i] = b.failed[j.group]; b.errs[i] == nil {
			b.errs[i] = b.effect(ctx, j, i)
			b.failGroup(i)
		}
	}
	if fault.Of(ctx.Err()).Code == fault.LeaseLost {
		return // somebody else writes here by now, and has set back the folders
	}
	b.leave()
	b.syncDirty()
	b.tell()
}

// failGroup makes the error of a job, if it has one, that of its group.
func (b *batch) failGroup(i int) {
	if g := b.jobs[i].group; b.errs[i] != nil && b.failed[g] == nil {
		b.failed[g] = b.errs[i]
	}
}

// tell looks at what stands now, so that a later change by somebody else shows. What somebody
// has changed since it was placed is not told.
func (b *batch) tell() {
	for i, j := range b.jobs {
		if b.errs[i] != nil || j.op.To == "" || j.op.Applied == nil {
			continue
		}
		if s, err := b.spot(j.op.To); err == nil && !s.empty && j.want.matches(s.stat) && (j.bytes == nil || s.stat.size == j.bytes.Size) {
			j.op.Applied(s.stat.fingerprint())
		}
	}
}

// stage prepares all jobs side by side. Each notes its own error.
func (b *batch) stage(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(together)
	each := !haveSyncFS || b.stagings() < bulk
	for i, j := range b.jobs {
		if b.errs[i] = b.parse(ctx, j); b.errs[i] != nil || j.kind != content.TypeFile {
			continue
		}
		g.Go(func() error {
			b.errs[i] = b.prepare(ctx, j, each)
			return nil
		})
	}
	_ = g.Wait()
	if !each {
		b.syncStaged()
	}
}

// stagings is how many files may have to be made.
func (b *batch) stagings() (n int) {
	for _, j := range b.jobs {
		if j.op.To != "" && !j.op.SameBytes && j.op.Change.Object.Type == content.TypeFile {
			n++
		}
	}
	return n
}

// syncStaged brings all staged files to disk at once. When that fails none of them
// is used: nobody can tell which is whole.
func (b *batch) syncStaged() {
	var staged []int
	for i, j := range b.jobs {
		if j.staged != "" && b.errs[i] == nil {
			staged = append(staged, i)
		}
	}
	if len(staged) == 0 {
		return
	}
	if err := b.syncfs(); err != nil {
		for _, i := range staged {
			b.errs[i] = err
		}
	}
}

// close drops what was staged and not used, and all open folders.
func (b *batch) close() {
	for _, j := range b.jobs {
		if j.staged != "" {
			b.place.staging.drop(j.staged)
		}
	}
	for _, d := range b.all {
		_ = d.close()
	}
}

// dir gives an open folder of the tree, kept until the batch ends.
func (b *batch) dir(path string) (*dir, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dirLocked(path)
}

func (b *batch) dirLocked(path string) (*dir, error) {
	if d, ok := b.open[path]; ok {
		return d, nil
	}
	up, name := split(path)
	parent, err := b.dirLocked(up)
	if err != nil {
		return nil, err
	}
	d, err := b.enterDir(parent, name, path)
	if err != nil {
		return nil, err
	}
	b.open[path] = d
	b.all = append(b.all, d)
	return d, nil
}

// forget drops a folder that moved or went, with all below it, from those that
// are found by path.
func (b *batch) forget(path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.open {
		if p == path || strings.HasPrefix(p, path+"/") {
			delete(b.open, p)
		}
	}
}

// leave sets back the folders that were worked in.
func (b *batch) leave() {
	b.place.keeper.pay(b.place.tree, func(path string, err error) {
		b.failDirty(path, targetFault(err, "set back folder %q", path))
	})
	for path, h := range b.held {
		if err := b.place.keeper.leave(h.hold, h.dir); err != nil {
			b.failDirty(path, targetFault(err, "set back folder %q", path))
		}
	}
}

// failDirty fails every job that depends on a thing reaching the disk.
func (b *batch) failDirty(path string, err error) {
	for _, d := range b.dirty {
		if d.path != path {
			continue
		}
		for _, i := range d.jobs {
			b.errs[i] = errors.Join(b.errs[i], err)
		}
	}
}
