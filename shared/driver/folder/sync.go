//go:build unix

package folder

import (
	"errors"
	"os"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// dirtyThing is a folder or file that must be on disk before its jobs are done.
type dirtyThing struct {
	path string
	dir  *dir
	name string // empty: the folder itself; else a file in it
	jobs []int
}

// mark says that job i is not done before a thing is on disk.
func (b *batch) mark(i int, d *dir, name string) {
	path := d.path
	if name != "" {
		path += "/" + name
	}
	for _, t := range b.dirty {
		if t.dir == d && t.name == name {
			t.jobs = append(t.jobs, i)
			return
		}
	}
	b.dirty = append(b.dirty, &dirtyThing{path: path, dir: d, name: name, jobs: []int{i}})
}

// syncDirty brings all that was touched to disk, at once when it is much.
func (b *batch) syncDirty() {
	if haveSyncFS && len(b.dirty) >= bulk {
		b.syncAll()
		return
	}
	var g errgroup.Group
	g.SetLimit(together)
	errs := make([]error, len(b.dirty))
	for n, t := range b.dirty {
		g.Go(func() error {
			errs[n] = b.syncThing(t)
			return nil
		})
	}
	_ = g.Wait()
	for n, err := range errs {
		if errors.Is(err, os.ErrPermission) {
			b.syncAll() // it cannot be opened, only the whole can be synced
			return
		}
		if err != nil {
			b.failJobs(b.dirty[n].jobs, targetFault(err, "sync %q", b.dirty[n].path))
		}
	}
}

func (b *batch) failJobs(jobs []int, err error) {
	for _, i := range jobs {
		b.errs[i] = errors.Join(b.errs[i], err)
	}
}

func (b *batch) syncAll() {
	if err := b.syncfs(); err != nil {
		for _, t := range b.dirty {
			b.failJobs(t.jobs, err)
		}
	}
}

func (b *batch) syncThing(t *dirtyThing) error {
	if t.name == "" {
		b.t.counts.fsyncs.Add(1)
		return t.dir.f.Sync()
	}
	fd, err := unix.Openat(t.dir.fd(), t.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), t.path)
	defer f.Close()
	b.t.counts.fsyncs.Add(1)
	return f.Sync()
}

// syncfs syncs the file system of tree and staging folder. The descriptor is one
// that was opened before the batch wrote anything, and is the batch's own, since
// the kernel reports a failed write once per descriptor.
func (b *batch) syncfs() error {
	b.t.counts.syncfs.Add(1)
	return targetFault(syncFS(b.syncs.fd()), "sync the file system of %q", b.t.opts.Path)
}
