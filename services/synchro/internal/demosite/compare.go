package demosite

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Tree is what a folder holds, read from the disk.
type Tree struct {
	objects map[string]object
	// Bytes is the length of all files.
	Bytes int64
}

type object struct {
	mode   fs.FileMode
	time   time.Time
	digest [sha256.Size]byte // zero for folders
}

// Len is the number of files and folders.
func (t *Tree) Len() int { return len(t.objects) }

// Read reads a folder, with the bytes of every file. An object that goes away
// meanwhile is left out.
func Read(dir string) (*Tree, error) {
	t := &Tree{objects: map[string]object{}}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && name != dir {
			err = t.add(dir, name, entry)
		}
		if errors.Is(err, fs.ErrNotExist) && name != dir {
			return nil
		}
		return err
	})
	return t, err
}

func (t *Tree) add(dir, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	o := object{mode: info.Mode(), time: info.ModTime()}
	if info.Mode().IsRegular() {
		if o.digest, err = digest(name); err != nil {
			return err
		}
		t.Bytes += info.Size()
	}
	path, err := filepath.Rel(dir, name)
	t.objects[path] = o
	return err
}

func digest(name string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}

// Differences says in a sentence each in what a copy is not equal to t: names, bytes,
// kind and mode, modification times.
func (t *Tree) Differences(copied *Tree) []string {
	var found []string
	for _, path := range slices.Sorted(maps.Keys(t.objects)) {
		want := t.objects[path]
		have, ok := copied.objects[path]
		if !ok {
			found = append(found, fmt.Sprintf("%q is missing", path))
			continue
		}
		found = append(found, want.differences(path, have)...)
	}
	for _, path := range slices.Sorted(maps.Keys(copied.objects)) {
		if _, ok := t.objects[path]; !ok {
			found = append(found, fmt.Sprintf("%q is there, but not on the source", path))
		}
	}
	return found
}

func (o object) differences(path string, have object) []string {
	var found []string
	if have.digest != o.digest {
		found = append(found, fmt.Sprintf("%q has other bytes", path))
	}
	if have.mode != o.mode {
		found = append(found, fmt.Sprintf("%q has the mode %v instead of %v", path, have.mode, o.mode))
	}
	if !have.time.Equal(o.time) {
		found = append(found, fmt.Sprintf("%q has the time %v instead of %v", path, have.time, o.time))
	}
	return found
}
