package workload

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Tree is what a folder holds: by path, kind, mode, time and content.
type Tree map[string]Object

// Object is one entry of a tree.
type Object struct {
	Mode   fs.FileMode
	Time   time.Time
	Digest [sha256.Size]byte
}

// ReadTree reads a folder. What goes away meanwhile is left out.
func ReadTree(root string) (Tree, error) {
	tree := Tree{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && name != root {
			err = tree.add(root, name, entry)
		}
		if errors.Is(err, fs.ErrNotExist) && name != root {
			return nil
		}
		return err
	})
	return tree, err
}

func (tree Tree) add(root, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	o := Object{Mode: info.Mode(), Time: info.ModTime()}
	if info.Mode().IsRegular() {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		o.Digest = sha256.Sum256(data)
	}
	rel, err := filepath.Rel(root, name)
	tree[filepath.ToSlash(rel)] = o
	return err
}

// Diff tells in what another tree differs from this one, path by path.
func (tree Tree) Diff(other Tree) (lines []string) {
	for _, p := range slices.Sorted(maps.Keys(tree)) {
		want := tree[p]
		got, ok := other[p]
		switch {
		case !ok:
			lines = append(lines, fmt.Sprintf("%s is missing", p))
		case got.Mode != want.Mode:
			lines = append(lines, fmt.Sprintf("%s is %v, want %v", p, got.Mode, want.Mode))
		case got.Digest != want.Digest:
			lines = append(lines, fmt.Sprintf("%s has other content", p))
		case !got.Time.Equal(want.Time):
			lines = append(lines, fmt.Sprintf("%s is of %v, want %v", p, got.Time, want.Time))
		}
	}
	for _, p := range slices.Sorted(maps.Keys(other)) {
		if _, ok := tree[p]; !ok {
			lines = append(lines, fmt.Sprintf("%s should not be there", p))
		}
	}
	return lines
}
