//go:build unix

package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"synchro.example/shared/fault"
)

// Names in the staging folder. Nothing else in it is ever touched.
const (
	stagedPrefix = "synchro-file-"
	notePrefix   = "synchro-note-"
	lockName     = "synchro-lock"
)

// staging is the folder in which files are made. Names in it are numbers, so that
// an object's name may be as long as the file system allows.
type staging struct {
	*handle
	path string
	tag  string // of this process: another one that is still alive never names the same
	seq  atomic.Uint64
	// creating keeps creations in turn: the folder's lock in the kernel does so
	// anyway, and whoever waits there burns a processor.
	creating sync.Mutex
	lock     *os.File
}

// stagingPath gives the folder beside the tree unless one was named.
func stagingPath(tree, named string) string {
	if named != "" {
		return named
	}
	return filepath.Join(filepath.Dir(tree), "."+filepath.Base(tree)+".synchro-staging")
}

// openStaging makes the folder and takes it for this target alone.
func openStaging(tree *handle, treePath, path, owner string) (*staging, error) {
	if err := outside(treePath, path); err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, stagingFault(err, path)
	}
	if st, err := os.Lstat(path); err != nil || !st.IsDir() {
		return nil, misconfigured("the staging place %q is no folder; move it away or set staging", path)
	}
	h, err := openHandle(path)
	if err != nil {
		return nil, stagingFault(err, path)
	}
	s := &staging{handle: h, path: path, tag: uuid.NewString()[:8]}
	if err := s.claim(tree, owner); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *staging) close() error {
	var err error
	if s.lock != nil {
		err = s.lock.Close()
	}
	return errors.Join(err, s.handle.close())
}

// outside refuses a staging folder in the tree, where it would be content, and a
// tree in the staging folder.
func outside(tree, path string) error {
	t, err1 := filepath.Abs(tree)
	s, err2 := filepath.Abs(path)
	if err := errors.Join(err1, err2); err != nil {
		return misconfigured("staging folder: %w", err)
	}
	if within(s, t) || within(t, s) {
		return misconfigured("the staging folder %q must lie outside the tree %q and not around it", path, tree)
	}
	return nil
}

func within(p, folder string) bool {
	rel, err := filepath.Rel(folder, p)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

func stagingFault(err error, path string) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EIO) {
		return targetFault(err, "make the staging folder %q", path)
	}
	return misconfigured("the staging folder %q cannot be used; give the account the right to write there, or set staging to a folder on the file system of the tree: %w", path, err)
}

// claim checks that a rename into the tree will work and that nobody else stages here.
func (s *staging) claim(tree *handle, owner string) error {
	a, b := s.top.stat, tree.top.stat
	if a.dev != b.dev || a.mount != b.mount {
		return misconfigured("the staging folder %q is on another file system or mount than the tree %q; sync into a subfolder of the mount, or set staging to a folder within the same mount", s.path, tree.root.Name())
	}
	err := s.take(owner)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return misconfigured("the staging folder %q is in use: another process writes to the tree %q, stop it or give each tree its own staging", s.path, tree.root.Name())
	}
	if err != nil {
		return stagingFault(fmt.Errorf("lock: %w", err), s.path)
	}
	return nil
}

// take locks the folder and leaves the owner's name in the lock. The lock goes with the
// process, however it ends. One that a process with the same owner still has is taken
// from it: it hangs, and this one has become the owner in its place.
func (s *staging) take(owner string) error {
	err := s.takeFile()
	if errors.Is(err, unix.EWOULDBLOCK) && owner != "" {
		if held, readErr := s.root.ReadFile(lockName); readErr != nil || string(held) != owner {
			return err
		}
		if err := s.root.Remove(lockName); err != nil {
			return err
		}
		err = s.takeFile()
	}
	if err != nil {
		return err
	}
	return errors.Join(s.lock.Truncate(0), writeAt(s.lock, []byte(owner), 0))
}

func (s *staging) takeFile() error {
	lock, err := s.root.OpenFile(lockName, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(err, lock.Close())
	}
	s.lock = lock
	return nil
}

func (s *staging) name(prefix string) string {
	return prefix + s.tag + "-" + strconv.FormatUint(s.seq.Add(1), 10)
}

// leftovers names what an earlier process left behind.
func (s *staging) leftovers(prefix string) ([]string, error) {
	names, err := s.top.f.Readdirnames(-1)
	if err != nil {
		return nil, stagingFault(err, s.path)
	}
	if _, err := s.top.f.Seek(0, 0); err != nil {
		return nil, stagingFault(err, s.path)
	}
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			found = append(found, name)
		}
	}
	return found, nil
}

// sweep removes half-made files.
func (s *staging) sweep() error {
	names, err := s.leftovers(stagedPrefix)
	for _, name := range names {
		err = errors.Join(err, s.root.Remove(name))
	}
	return err
}

// create makes an empty file under a new name.
func (s *staging) create() (*os.File, string, error) {
	name := s.name(stagedPrefix)
	s.creating.Lock()
	defer s.creating.Unlock()
	f, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	return f, name, err
}

// drop removes an entry and tells whether it is gone. Files that stay are swept at the next
// start.
func (s *staging) drop(name string) bool {
	err := unix.Unlinkat(s.top.fd(), name, 0)
	return err == nil || errors.Is(err, unix.ENOENT)
}

// missing is the fault of a tree that is not there.
func missing(path string, err error) error {
	return fault.OfSite(fault.Retry, fault.TargetMissing, fmt.Errorf("the receiving folder %q is not there: %w", path, err))
}
