//go:build unix

package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"synchro.example/shared/fault"
)

// rewatchDelay is how long to wait after a folder was moved before the tree is
// watched anew; the watch library drops what moves, a little later than it says so.
const rewatchDelay = 200 * time.Millisecond

// Watch follows the whole tree and the folder above it, so that a tree that is
// replaced is seen. A tree that is not there yet is waited for. Changes made
// through another machine's mount give no hint.
func (s *source) Watch(ctx context.Context, hint func()) error {
	fw, err := fsnotify.NewWatcher()
	if err != nil {
		return watchFault(err, s.opts.Path, 0)
	}
	defer fw.Close()
	root, err := filepath.Abs(s.opts.Path)
	if err != nil {
		return err
	}
	w := watch{fw: fw, root: root, hint: hint}
	if err := w.addAll(); err != nil {
		return err
	}
	return w.follow(ctx)
}

type watch struct {
	fw      *fsnotify.Watcher
	root    string
	hint    func()
	folders int
}

// addAll watches everything anew and says that something may have changed before.
func (w *watch) addAll() error {
	w.folders = 0
	defer w.hint()
	if err := w.add(filepath.Dir(w.root)); err != nil {
		return err
	}
	return w.addTree(w.root)
}

// addTree watches a folder before it looks for folders in it: what is made
// meanwhile is either found or announced.
func (w *watch) addTree(folder string) error {
	if err := w.add(folder); err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // gone, or unreadable: the scan reports it
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := w.addTree(filepath.Join(folder, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) add(folder string) error {
	st, err := os.Lstat(folder)
	if err != nil || !st.IsDir() && folder != w.root {
		return nil
	}
	if err := w.fw.Add(folder); err != nil {
		return watchFault(err, w.root, w.folders)
	}
	w.folders++
	return nil
}

func (w *watch) follow(ctx context.Context) error {
	again := time.NewTimer(time.Hour)
	again.Stop()
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-w.fw.Events:
			if err := w.event(ev, again); err != nil {
				return err
			}
		case err := <-w.fw.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return watchFault(err, w.root, w.folders)
			}
			again.Reset(rewatchDelay) // folders may have been made that nobody told of
			w.hint()
		case <-again.C:
			if err := w.addAll(); err != nil {
				return err
			}
		}
	}
}

func (w *watch) event(ev fsnotify.Event, again *time.Timer) error {
	if filepath.Dir(ev.Name) == filepath.Dir(w.root) && ev.Name != w.root || ev.Name == filepath.Dir(w.root) {
		return nil // a neighbour of the tree
	}
	defer w.hint()
	if ev.Has(fsnotify.Rename) {
		again.Reset(rewatchDelay)
	}
	if ev.Has(fsnotify.Create) {
		return w.addTree(ev.Name)
	}
	return nil
}

// watchFault says what to raise. A folder that went away meanwhile is no fault.
func watchFault(err error, root string, folders int) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENAMETOOLONG),
		errors.Is(err, unix.ENOTDIR), errors.Is(err, fsnotify.ErrNonExistentWatch):
		return nil
	case errors.Is(err, unix.ENOSPC):
		err = fmt.Errorf("watch %q: no more watches after %d folders; raise fs.inotify.max_user_watches (until then changes are found by the rescan): %w", root, folders, err)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		err = fmt.Errorf("watch %q: no more watchers after %d folders; raise fs.inotify.max_user_instances or the limit of open files (until then changes are found by the rescan): %w", root, folders, err)
	default:
		err = fmt.Errorf("watch %q: %w", root, err)
	}
	return fault.OfSite(fault.Retry, fault.Unknown, err)
}
