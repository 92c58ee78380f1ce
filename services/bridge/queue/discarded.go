package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Discarded is where files lie that somebody gave up, beside the queue at a path, as all that
// is not of the classic tool's making: a foreign name in the queue would end a classic run.
func Discarded(path string) string {
	return filepath.Join(filepath.Clean(path)+".synchro", "discarded")
}

// Discard takes a file in ERROR out of the queue at a path. Somebody may have moved it already.
func Discard(path string, side Side, name string) error {
	to := filepath.Join(Discarded(path), name)
	err := os.MkdirAll(Discarded(path), 0o755)
	if err == nil {
		err = os.Rename(filepath.Join(path, Folder(side, Failed), name), to)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		now := time.Now()
		err = os.Chtimes(to, now, now)
	}
	if err != nil {
		return fmt.Errorf("take a file out of the queue: %w", err)
	}
	return nil
}

// ExpireDiscarded removes the files that were given up before a time.
func ExpireDiscarded(path string, before time.Time) error {
	entries, err := os.ReadDir(Discarded(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if info, gone := e.Info(); gone == nil && !info.ModTime().After(before) {
			err = errors.Join(err, os.Remove(filepath.Join(Discarded(path), e.Name())))
		}
	}
	return err
}
