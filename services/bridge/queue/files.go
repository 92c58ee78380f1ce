package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// Where tells in which folder of a side a file lies, false when in none of them. It looks
// in the order in which files move on, so that one that moves meanwhile is not missed.
func (q *Queue) Where(side Side, name string) (State, bool, error) {
	for _, state := range []State{ToProcess, Processing, Done, Failed} {
		_, err := q.root.Lstat(path.Join(Folder(side, state), name))
		if err == nil {
			return state, true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", false, fmt.Errorf("look into the queue: %w", err)
		}
	}
	return "", false, nil
}

// Count gives how many entries a folder has.
func (q *Queue) Count(side Side, state State) (int, error) {
	folder, err := q.root.Open(Folder(side, state))
	if err != nil {
		return 0, fmt.Errorf("count files of the queue: %w", err)
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	return len(names), err
}

// Age gives how long ago a file was written.
func (q *Queue) Age(side Side, state State, name string, now time.Time) (time.Duration, error) {
	info, err := q.root.Lstat(path.Join(Folder(side, state), name))
	if err != nil {
		return 0, err
	}
	return now.Sub(info.ModTime()), nil
}

// Move moves a file on. A power cut may undo that until Sync is called. Where another
// process has taken the file the error is fs.ErrNotExist.
func (q *Queue) Move(side Side, name string, from State, to State) error {
	return q.Rename(side, name, from, name, to)
}

// Rename is Move under another name.
func (q *Queue) Rename(side Side, old string, from State, name string, to State) error {
	if err := q.root.Rename(path.Join(Folder(side, from), old), path.Join(Folder(side, to), name)); err != nil {
		return fmt.Errorf("move a file of the queue: %w", err)
	}
	return nil
}

// Stamp notes on a file that it came into its folder now: a rename leaves its time as it is.
func (q *Queue) Stamp(side Side, state State, name string) error {
	now := time.Now()
	return q.root.Chtimes(path.Join(Folder(side, state), name), now, now)
}

// Expire removes the files of a folder that were made and came there before a time.
func (q *Queue) Expire(side Side, state State, before time.Time) error {
	found, err := q.List(side, state)
	if err != nil {
		return err
	}
	for _, name := range found.Names {
		if name.Time.After(before) {
			break
		}
		info, err := q.root.Lstat(path.Join(Folder(side, state), name.String()))
		if err != nil || info.ModTime().After(before) {
			continue
		}
		if err := q.Remove(side, state, name.String()); err != nil {
			return err
		}
	}
	return nil
}

// Sync makes what was moved into a folder outlast a power cut.
func (q *Queue) Sync(side Side, state State) error {
	folder, err := q.root.Open(Folder(side, state))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Open opens a file for reading. It follows no link and takes nothing but a file.
func (q *Queue) Open(side Side, state State, name string) (*os.File, error) {
	file := path.Join(Folder(side, state), name)
	info, err := q.root.Lstat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", file)
	}
	if err != nil {
		return nil, fmt.Errorf("open a file of the queue: %w", err)
	}
	return q.root.Open(file)
}

// Remove takes a file away. It may be gone already.
func (q *Queue) Remove(side Side, state State, name string) error {
	err := q.root.Remove(path.Join(Folder(side, state), name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a file of the queue: %w", err)
	}
	return nil
}

// Place puts a whole, synced file from outside into a queue that lies at the path root,
// on the same file system.
func (q *Queue) Place(file string, root string, side Side, name Name) error {
	if err := os.Rename(file, filepath.Join(root, Folder(side, ToProcess), name.String())); err != nil {
		return fmt.Errorf("place a file in the queue: %w", err)
	}
	return q.Sync(side, ToProcess)
}

// Newest gives the newest of the names on a side, false when it has none.
func (q *Queue) Newest(side Side) (newest Name, ok bool, err error) {
	for _, state := range []State{ToProcess, Processing, Done, Failed} {
		found, err := q.List(side, state)
		if err != nil {
			return Name{}, false, err
		}
		if n := len(found.Names); n > 0 {
			newest, ok = slices.MaxFunc([]Name{newest, found.Names[n-1]}, Name.Compare), true
		}
	}
	return newest, ok, nil
}
