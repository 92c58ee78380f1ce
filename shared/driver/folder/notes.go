//go:build unix

package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// keeper sets back what working in a folder changes about the folder itself: its
// modification time, and its mode where entries could not be changed without more
// rights. Several batches may work in one folder at once; the first notes how it
// was.
//
// What is to be set back is also kept in the staging folder, so that the next
// start does it when this process dies in between. Each note is a symbolic link
// whose target is the text: made whole in one step, and, being metadata, on disk
// no later than the renames that follow, without a sync of its own.
type keeper struct {
	staging *staging
	mu      sync.Mutex
	held    map[string]*hold
	owed    map[string]*hold // that could not be set back yet
	stale   []string         // notes that could not be dropped yet
}

type hold struct {
	path    string
	users   int
	was     stat
	widened bool
	note    string
}

// maxNote is what a link's target may hold; a folder with a longer path goes without a note.
const maxNote = 4000

func newKeeper(s *staging) *keeper {
	return &keeper{staging: s, held: map[string]*hold{}, owed: map[string]*hold{}}
}

// enter begins work in the folder at a path. It looks at the folder itself when
// nobody works there, and only then: before others leave, its time is not its own.
func (k *keeper) enter(path string, look func() (stat, error)) (*hold, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h, ok := k.held[path]; ok {
		h.users++
		return h, nil
	}
	was, err := look()
	if err != nil {
		return nil, targetFault(err, "look at folder %q", path)
	}
	if h, ok := k.owed[path]; ok && h.was.ino == was.ino {
		delete(k.owed, path)
		k.held[path], h.users = h, 1
		return h, nil
	}
	h := &hold{path: path, users: 1, was: was}
	if err := k.write(h, path); err != nil {
		return nil, targetFault(err, "note the state of folder %q", path)
	}
	k.held[path] = h
	return h, nil
}

func (k *keeper) write(h *hold, path string) error {
	text := fmt.Sprintf("%d %d %o %d %s", h.was.mtime.sec, h.was.mtime.nsec, h.was.perm(), h.was.ino, path)
	if len(text) > maxNote {
		return nil
	}
	name := k.staging.name(notePrefix)
	err := unix.Symlinkat(text, k.staging.top.fd(), name)
	switch {
	case err == nil:
		h.note = name
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EOPNOTSUPP): // a file system without links
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT): // removals must go on, to make room
	default:
		return err
	}
	return nil
}

// widen gives the owner all rights in an open folder until the last user leaves.
func (k *keeper) widen(h *hold, d *dir) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	h.widened = true
	return unix.Fchmod(d.fd(), h.was.perm()|0o700)
}

// widened says that a folder has more rights than it should.
func (k *keeper) widened(h *hold) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h.widened = true
}

// join is enter for a folder that has more rights than it should; nil when it has not.
func (k *keeper) join(path string) *hold {
	k.mu.Lock()
	defer k.mu.Unlock()
	h, ok := k.held[path]
	if !ok || !h.widened {
		return nil
	}
	h.users++
	return h
}

// abandon is leave for a folder in which nothing was done.
func (k *keeper) abandon(h *hold) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(k.held, h.path)
		k.dropNote(h)
	}
}

// set replaces what is to be set back, after a change of the folder itself.
func (k *keeper) set(path string, s state) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, holds := range []map[string]*hold{k.held, k.owed} {
		if h, ok := holds[path]; ok {
			h.was.mtime = s.mtime
			h.was.mode = h.was.mode&^permBits | s.mode
		}
	}
}

// leave ends work in a folder: its time is as before, and after the last user its
// mode too. What fails is owed.
func (k *keeper) leave(h *hold, d *dir) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	h.users--
	err := setTime(d.fd(), ".", h.was.mtime)
	if errors.Is(err, fs.ErrPermission) {
		err = nil // the folder is another account's, which alone may set times
	}
	if h.users > 0 {
		return err
	}
	delete(k.held, h.path)
	if h.widened {
		err = errors.Join(err, unix.Fchmod(d.fd(), h.was.perm()))
	}
	if err != nil {
		k.owed[h.path] = h
		return err
	}
	k.dropNote(h)
	return nil
}

// dropNote takes a note away. One that stays would be carried out by the next start, when the
// folder may long have another time.
func (k *keeper) dropNote(h *hold) {
	if h.note != "" && !k.staging.drop(h.note) {
		k.stale = append(k.stale, h.note)
	}
}

// tidy takes away the notes that could not be dropped before.
func (k *keeper) tidy() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stale = slices.DeleteFunc(k.stale, k.staging.drop)
}

// pay sets back what is owed, and calls failed for what is still refused. A folder that
// somebody works in comes when that ends.
func (k *keeper) pay(tree *handle, failed func(path string, err error)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for path, h := range k.owed {
		if k.held[path] != nil {
			continue
		}
		if err := setBack(tree, path, h.was); err != nil {
			failed(path, err)
			continue
		}
		delete(k.owed, path)
		k.dropNote(h)
	}
}

// setTime sets the modification time of an entry and nothing else, following no link.
func setTime(fd int, name string, t stamp) error {
	times := []unix.Timespec{accessTime(t), timespec(t)}
	return unix.UtimesNanoAt(fd, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

func timespec(t stamp) unix.Timespec {
	ts := unix.NsecToTimespec(t.nsec)
	ts.Sec = t.sec
	return ts
}

// recover carries out the notes of an earlier process. A note whose folder is gone
// or another one by now is dropped.
func (k *keeper) recover(tree *handle) error {
	names, err := k.staging.leftovers(notePrefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := k.staging.root.Readlink(name)
		if err != nil {
			return stagingFault(err, k.staging.path)
		}
		if err := restore(tree, text); err != nil {
			return targetFault(err, "set back a folder after a crash")
		}
		k.dropNote(&hold{note: name})
	}
	return nil
}

func restore(tree *handle, text string) error {
	var was stat
	n, path := 0, ""
	if _, err := fmt.Sscanf(text, "%d %d %o %d", &was.mtime.sec, &was.mtime.nsec, &was.mode, &was.ino); err != nil {
		return nil // not one of ours
	}
	for i := range text {
		if text[i] == ' ' {
			if n++; n == 4 {
				path = text[i+1:]
				break
			}
		}
	}
	return setBack(tree, path, was)
}

// setBack gives a folder the time and the rights that it had. One that is gone, or
// another one by now, is left alone.
func setBack(tree *handle, path string, was stat) error {
	d, err := tree.walk(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotFolder) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	if d.stat.ino != was.ino {
		return nil
	}
	if err := setTime(d.fd(), ".", was.mtime); err != nil {
		return err
	}
	return errors.Join(unix.Fchmod(d.fd(), was.perm()), d.f.Sync())
}
