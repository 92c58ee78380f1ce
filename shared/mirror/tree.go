package mirror

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// aside is the folder in which files are made before they are renamed to where they
// belong. It also has the locks.
const aside = ".synchro"

// countsFile says how many changes there are in each state.
const countsFile = "counts.json"

var errTaken = errors.New("another process keeps it")

var namePattern = regexp.MustCompile(`^data_[A-Za-z0-9-]*_[0-9]+\.[0-9]{6}_[0-9]+\.json$`)

// tree is the folders of one side. Nothing that is done through it leaves them, whatever
// links lie there, and files of others stay as they are.
type tree struct {
	root *os.Root
	lock *os.File
	site string
	side Side
	log  *slog.Logger
	// stamps are those of the files that were written, by their path; files of an earlier run have
	// none.
	stamps map[string]string
	counts string
	told   map[string]bool
}

// openTree opens the folders, and makes those that are not there. The folder above must be:
// a mirror that is made on a disk that is not mounted would fill another.
func openTree(at, site string, side Side, log *slog.Logger) (*tree, error) {
	if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the mirror: %w", err)
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return nil, fmt.Errorf("open the mirror: %w", err)
	}
	t := &tree{root: root, site: site, side: side, log: log, stamps: map[string]string{}, told: map[string]bool{}}
	if err := t.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the mirror %s: %w", filepath.Clean(at), err), root.Close())
	}
	return t, nil
}

func (t *tree) prepare() error {
	if err := t.folders(); err != nil {
		return err
	}
	lock, err := t.root.OpenFile(path.Join(aside, string(t.side)+".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(errTaken, lock.Close())
	}
	t.lock = lock
	return nil
}

// folders makes those of both sides, as a classic queue has them.
func (t *tree) folders() error {
	for _, side := range []Side{Export, Import} {
		for _, state := range states() {
			if err := t.root.MkdirAll(path.Join(string(side), string(state)), 0o755); err != nil {
				return err
			}
		}
	}
	return t.root.MkdirAll(aside, 0o755)
}

// still tells whether the folder is where it was: somebody may have moved it away.
func (t *tree) still() error {
	open, err := t.root.Stat(".")
	if err != nil {
		return err
	}
	now, err := os.Stat(t.root.Name())
	if err == nil && !os.SameFile(open, now) {
		err = errors.New("the folder was replaced; it is opened again")
	}
	return err
}

func (t *tree) close() {
	if t.lock != nil {
		_ = t.lock.Close() // only a lock
	}
	_ = t.root.Close() // only read
}

// make brings the folders to what is to be shown: first nothing is in a wrong folder any
// more, and then what is missing is written, as much as can be before end. It gives how many
// files it wrote, and how many are left.
func (t *tree) make(s shown, end time.Time, text func(*file) ([]byte, error)) (written, left int, err error) {
	if err := errors.Join(t.still(), t.folders()); err != nil {
		return 0, 0, err
	}
	there, err := t.list()
	if err != nil {
		return 0, 0, err
	}
	if err := t.clear(s, there); err != nil {
		return 0, 0, err
	}
	if err := t.count(s.counts); err != nil {
		return 0, 0, err
	}
	for i := range s.files {
		f := &s.files[i]
		at := t.at(f.state, f.name)
		switch {
		case t.stamps[at] == f.stamp, there[at] && !t.own(at):
			continue
		case time.Now().After(end):
			left++
			continue
		}
		raw, err := text(f)
		if err == nil {
			err = t.write(at, raw)
		}
		if err != nil {
			return written, left, err
		}
		t.stamps[at] = f.stamp
		written++
	}
	return written, left, nil
}

// clear moves files to the folders that they belong into by now, so that a change is in one
// folder at a time, and removes those that belong nowhere.
func (t *tree) clear(s shown, there map[string]bool) error {
	wanted, missing := map[string]bool{}, map[string]string{} // by path; path by name
	for i := range s.files {
		f := &s.files[i]
		at := t.at(f.state, f.name)
		wanted[at] = true
		if !there[at] {
			missing[f.name] = at
		}
	}
	for at := range there {
		if wanted[at] || !t.own(at) {
			continue
		}
		delete(t.stamps, at)
		to := missing[path.Base(at)]
		delete(missing, path.Base(at))
		if err := t.leave(at, to); err != nil {
			return err
		}
	}
	return nil
}

// leave takes a file away from where it is, to another place if there is one.
func (t *tree) leave(at, to string) error {
	err := error(nil)
	if to == "" {
		err = t.root.Remove(at)
	} else {
		err = t.root.Rename(at, to)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (t *tree) at(state State, name string) string {
	return path.Join(string(t.side), string(state), name)
}

// list gives the files that have a name as a mirror gives it.
func (t *tree) list() (there map[string]bool, err error) {
	there = map[string]bool{}
	for _, state := range states() {
		entries, err := fs.ReadDir(t.root.FS(), t.at(state, ""))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if namePattern.MatchString(e.Name()) {
				there[t.at(state, e.Name())] = true
			}
		}
	}
	for at := range t.stamps {
		if !there[at] {
			delete(t.stamps, at)
		}
	}
	return there, nil
}

// write replaces a file by a whole one.
func (t *tree) write(at string, raw []byte) error {
	staged := path.Join(aside, string(t.side)+".new")
	if err := t.root.WriteFile(staged, raw, 0o644); err != nil {
		return err
	}
	return t.root.Rename(staged, at)
}

// own tells whether a file was written by a mirror of this site; one that is empty was
// about to be when the power went. Of others it tells once.
func (t *tree) own(at string) bool {
	info, err := t.root.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err == nil && info.Mode().IsRegular() && (info.Size() == 0 || t.begins(at)) {
		return true
	}
	if !t.told[at] {
		t.told[at] = true
		t.log.Warn("a file in the mirror was not written by it, and is left alone", "file", at)
	}
	return false
}

func (t *tree) begins(at string) bool {
	f, err := t.root.Open(at)
	if err != nil {
		return false
	}
	defer f.Close()
	want := mark(t.site)
	got := make([]byte, len(want))
	_, err = io.ReadFull(f, got)
	return err == nil && string(got) == want
}

// count says how many changes there are in each state, which may be more than are shown.
func (t *tree) count(counts map[State]int) error {
	all := struct {
		Mirror string        `json:"mirror"`
		Counts map[State]int `json:"counts"`
	}{t.site, counts}
	raw, err := indent(all)
	if err != nil {
		return err
	}
	at := path.Join(string(t.side), countsFile)
	if _, err := t.root.Lstat(at); err == nil && (t.counts == string(raw) || !t.own(at)) {
		return nil
	}
	if err := t.write(at, raw); err != nil {
		return err
	}
	t.counts = string(raw)
	return nil
}
