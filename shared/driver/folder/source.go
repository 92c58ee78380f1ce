//go:build unix

package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// source opens the tree anew for each call: it may have been mounted, removed or
// replaced meanwhile, and a descriptor would not show it.
type source struct {
	opts    Options
	reports *reports
	settler *settler
}

var _ content.Source = (*source)(nil)

func (s *source) Close() error { return nil }

func (s *source) open() (*handle, error) {
	h, err := openHandle(s.opts.Path)
	if err == nil {
		return h, nil
	}
	err = fmt.Errorf("open the source folder %q: %w", s.opts.Path, err)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fault.OfSite(fault.Retry, fault.Permission, err)
	}
	return nil, fault.OfSite(fault.Retry, fault.SourceMissing, err)
}

func (s *source) List(ctx context.Context) iter.Seq2[content.Item, error] {
	return func(yield func(content.Item, error) bool) {
		if err := s.list(ctx, yield); err != nil {
			yield(content.Item{}, err)
		}
	}
}

func (s *source) list(ctx context.Context, yield func(content.Item, error) bool) error {
	h, err := s.open()
	if err != nil {
		return err
	}
	defer h.close()
	round := s.settler.begin()
	w := walker{ctx: ctx, tree: h, reports: s.reports, unsettled: s.settler.unsettled, yield: yield}
	if err := w.run(); err != nil {
		return s.listFault(h, err)
	}
	// A tree that was unmounted or replaced while it was listed looks empty or half.
	if !h.stillAt(s.opts.Path) {
		return fault.OfSite(fault.Retry, fault.SourceMissing, fmt.Errorf("list %q: the folder was replaced meanwhile", s.opts.Path))
	}
	s.settler.end(round)
	return nil
}

func (s *source) listFault(h *handle, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	err = fmt.Errorf("list %q: %w", s.opts.Path, err)
	if !h.stillAt(s.opts.Path) {
		return fault.OfSite(fault.Retry, fault.SourceMissing, err)
	}
	return fault.OfSite(fault.Retry, fault.ReadFailed, err)
}

// stillAt tells whether a path leads to this very folder.
func (h *handle) stillAt(path string) bool {
	named, err1 := os.Stat(path)
	open, err2 := h.top.f.Stat()
	return err1 == nil && err2 == nil && os.SameFile(named, open)
}

func (s *source) Read(ctx context.Context, item content.Item) (*content.Snapshot, error) {
	if err := errors.Join(ctx.Err(), checkPath(item.Path)); err != nil {
		return nil, err
	}
	h, err := s.open()
	if err != nil {
		return nil, err
	}
	defer h.close()
	listed, ok := item.Handle.(stat)
	if !ok {
		if listed, err = h.lookup(item.Path); err != nil {
			return nil, readFault(err, item.Path)
		}
	}
	switch {
	case listed.isDir():
		return readFolder(h, item.Path, listed)
	case listed.isRegular():
		return s.readFile(h, item.Path, listed)
	default:
		return nil, fault.Errorf(fault.Retry, fault.Vanished, "read %q: a %s stands there now", item.Path, listed.kindName())
	}
}

// lookup finds a path without passing a link.
func (h *handle) lookup(p string) (stat, error) {
	parent, name := split(p)
	d, err := h.walk(parent)
	if err != nil {
		return stat{}, err
	}
	defer d.close()
	return d.at(name)
}

// glance looks at a path as os.Root resolves it; the caller knows by the inode
// whether that is what it means.
func (h *handle) glance(p string) (stat, error) {
	parent, name := split(p)
	if parent == "" {
		return h.top.at(name)
	}
	f, err := h.root.OpenFile(parent, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return stat{}, linkError(err)
	}
	defer f.Close()
	return statAt(int(f.Fd()), name)
}

func readFolder(h *handle, path string, listed stat) (*content.Snapshot, error) {
	now, err := h.glance(path)
	if err != nil {
		return nil, readFault(err, path)
	}
	if !now.isDir() || !now.sameFile(listed) {
		return nil, fault.Errorf(fault.Retry, fault.Vanished, "read %q: another folder stands there now", path)
	}
	return snapshot(now, func() error { return nil }), nil
}

// readFault decides about an error on the way to one object.
func readFault(err error, path string) error {
	wrapped := fmt.Errorf("read %q: %w", path, err)
	var errno unix.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotFolder), errors.Is(err, unix.ENOTDIR):
		return fault.New(fault.Retry, fault.Vanished, wrapped)
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Park, fault.ReadFailed, wrapped)
	case !errors.As(err, &errno), errno == unix.ELOOP, errno == unix.ENXIO:
		return fault.New(fault.Retry, fault.Unsettled, wrapped)
	default:
		return fault.New(fault.Retry, fault.ReadFailed, wrapped)
	}
}
