//go:build unix

package folder

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// maxReports bounds the paths that are remembered as reported.
const maxReports = 10_000

// reports says each thing about a path once. Safe for concurrent use.
type reports struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen map[string]struct{}
}

func newReports(log *slog.Logger) *reports {
	return &reports{log: log, seen: map[string]struct{}{}}
}

func (r *reports) skipped(path, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.seen[path]; ok || len(r.seen) > maxReports {
		return
	}
	r.seen[path] = struct{}{}
	if len(r.seen) > maxReports {
		r.log.Warn("more is skipped than is reported one by one", "reported", maxReports)
		return
	}
	r.log.Warn("skipped", "path", path, "why", why)
}

// walker goes over a tree, each folder before what it holds, names in byte order.
type walker struct {
	ctx     context.Context
	tree    *handle
	reports *reports
	// unsettled judges files; nil takes all for settled.
	unsettled func(path string, st stat) bool
	yield     func(content.Item, error) bool

	linked map[string]struct{} // identities that several names share
}

// errStopped ends a walk whose consumer wants no more.
var errStopped = errors.New("stopped")

func (w *walker) run() error {
	w.linked = map[string]struct{}{}
	err := w.folder(w.tree.top)
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

func (w *walker) folder(d *dir) error {
	names, err := d.f.Readdirnames(-1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.entry(d, name); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(d *dir, name string) error {
	full := path.Join(d.path, name)
	st, err := d.at(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.isDir():
		return w.subfolder(d, name, full, st)
	case st.isRegular():
		return w.file(d, name, full, st)
	default:
		w.reports.skipped(full, "it is a "+st.kindName())
		return nil
	}
}

func (w *walker) file(d *dir, name, full string, st stat) error {
	item := w.item(d, name, full, st)
	if !readable(d, name, st) {
		w.reports.skipped(full, "there is no permission to read it")
		item.Unsettled, item.Problem = true, unreadable(full)
	} else if w.unsettled != nil {
		item.Unsettled = w.unsettled(full, st)
	}
	return w.give(item)
}

// subfolder yields a folder that cannot be read as unsettled: what it holds is
// unknown, which is not the same as removed.
func (w *walker) subfolder(d *dir, name, full string, st stat) error {
	sub, err := w.tree.child(d, name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		w.reports.skipped(full, "there is no permission to read this folder")
		item := w.item(d, name, full, st)
		item.Unsettled, item.Problem = true, unreadable(full)
		return w.give(item)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotFolder):
		return nil
	case err != nil:
		return err
	}
	defer sub.close()
	if err := w.give(w.item(d, name, full, sub.stat)); err != nil {
		return err
	}
	return w.folder(sub)
}

func unreadable(full string) error {
	return fault.Errorf(fault.Park, fault.Permission, "there is no permission to read %q", full)
}

func (w *walker) give(item content.Item) error {
	if !w.yield(item, nil) {
		return errStopped
	}
	return nil
}

func (w *walker) item(d *dir, name, full string, st stat) content.Item {
	return content.Item{
		Path: full, Type: typeOf(st), Identity: w.identity(d, name, st), Fingerprint: st.fingerprint(), Handle: st,
	}
}

// identity gives a file with several names to the first of them only.
func (w *walker) identity(d *dir, name string, st stat) string {
	id := d.identity(name, st)
	if st.isDir() || st.links < 2 {
		return id
	}
	if _, taken := w.linked[id]; taken {
		return ""
	}
	w.linked[id] = struct{}{}
	return id
}

// readable spares the question where the mode answers it. What it misses (access
// lists) shows when the file is read.
func readable(d *dir, name string, st stat) bool {
	if st.mode&0o444 == 0o444 {
		return true
	}
	err := unix.Faccessat(d.fd(), name, unix.R_OK, unix.AT_EACCESS)
	return !errors.Is(err, fs.ErrPermission)
}
