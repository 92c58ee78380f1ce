//go:build unix

package folder

import (
	"errors"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// errNotFolder says that a component of a path is no folder (any more).
var errNotFolder = errors.New("a component of the path is a link or no folder")

// handle is an open tree. Everything below is reached through its os.Root, which
// nothing can lead out of; that a link inside the tree is not followed either is
// what child adds.
type handle struct {
	root *os.Root
	top  *dir
}

// dir is an open folder of a tree, known to be what its path named when it was
// opened: no link was passed on the way.
type dir struct {
	f    *os.File
	path string // empty for the top
	stat stat
}

func (d *dir) fd() int      { return int(d.f.Fd()) }
func (d *dir) close() error { return d.f.Close() }

// at looks at an entry.
func (d *dir) at(name string) (stat, error) { return statAt(d.fd(), name) }

func openHandle(path string) (*handle, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(".", os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	st, err := statAt(int(f.Fd()), "")
	if err != nil {
		return nil, errors.Join(err, f.Close(), root.Close())
	}
	return &handle{root: root, top: &dir{f: f, stat: st}}, nil
}

func (h *handle) close() error { return errors.Join(h.top.close(), h.root.Close()) }

// child opens a folder in an open folder. os.Root follows links that stay inside
// the tree, so the name must afterwards be a folder, and the very one that was
// opened. O_DIRECTORY keeps a pipe that was slipped in from blocking the open.
func (h *handle) child(parent *dir, name string) (*dir, error) {
	full := path.Join(parent.path, name)
	f, err := h.root.OpenFile(full, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, linkError(err)
	}
	d := &dir{f: f, path: full}
	if err := d.verify(parent, name); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return d, nil
}

// verify asks for "." and not for the file itself, because that needs the right
// to search the folder, without which its entries cannot be looked at.
func (d *dir) verify(parent *dir, name string) (err error) {
	if d.stat, err = d.at("."); err != nil {
		return err
	}
	named, err := parent.at(name)
	if err != nil {
		return err
	}
	if !named.isDir() || !named.sameFile(d.stat) {
		return errNotFolder
	}
	return nil
}

// walk opens the folder at a path, one verified step after the other.
func (h *handle) walk(p string) (*dir, error) {
	d := h.top
	for name := range strings.SplitSeq(p, "/") {
		if p == "" {
			break
		}
		next, err := h.child(d, name)
		if d != h.top {
			_ = d.close()
		}
		if err != nil {
			return nil, err
		}
		d = next
	}
	if d == h.top {
		return h.dup()
	}
	return d, nil
}

// dup opens the top once more, for a caller who closes what it gets.
func (h *handle) dup() (*dir, error) {
	f, err := h.root.OpenFile(".", os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &dir{f: f, stat: h.top.stat}, nil
}

// linkError names the errors that a link in the place of a folder leads to: it
// points out of the tree, in circles, or at a file.
func linkError(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) || errno == unix.ENOTDIR || errno == unix.ELOOP {
		return errors.Join(errNotFolder, err)
	}
	return err
}

// split cuts a path into its container and its name.
func split(p string) (parent, name string) {
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 0)], p[i+1:]
}
