package sender

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"synchro.example/services/bridge/queue"
	"synchro.example/shared/fault"
)

// discarded is the folder for files that somebody gave up. It lies beside the queue, as all
// that is not of the classic tool's making: a foreign name in the queue would end a classic
// run.
const discarded = "discarded"

func (w *work) beside(folder string) string {
	return filepath.Join(filepath.Clean(w.Path)+".synchro", folder)
}

func (w *work) reasonFile(name queue.Name) string {
	return filepath.Join(queue.Refused(w.Path), name.String()+".txt")
}

// explained reads what queue.Explain wrote, as far as it is there.
func (w *work) explained(name queue.Name) *fault.Error {
	raw, err := os.ReadFile(w.reasonFile(name))
	reason, rest, ok := strings.Cut(string(raw), "\ncode: ")
	if err != nil || !ok {
		return fault.Errorf(fault.Park, fault.Invalid, "it lies in EXPORT/ERROR, and nobody knows why; a replay reads it again")
	}
	code, _, _ := strings.Cut(rest, "\n")
	if !fault.Known(fault.Code(code)) {
		code = string(fault.Invalid)
	}
	return fault.New(fault.Park, fault.Code(code), errors.New(reason))
}

// replay has a refused file read again.
func (w *work) replay(name queue.Name) error {
	err := w.queue.Move(queue.Export, name.String(), queue.Failed, queue.ToProcess)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody has moved it already
	}
	return err
}

// giveUp takes a refused file out of the queue, and keeps it for as long as those in DONE.
func (w *work) giveUp(name queue.Name) error {
	if err := os.MkdirAll(w.beside(discarded), 0o755); err != nil {
		return err
	}
	from := filepath.Join(w.Path, queue.Folder(queue.Export, queue.Failed), name.String())
	to := filepath.Join(w.beside(discarded), name.String())
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		now := time.Now()
		err = os.Chtimes(to, now, now)
	}
	return errors.Join(err, w.forget(name))
}

// forget removes the reason of a file that is not refused any more.
func (w *work) forget(name queue.Name) error {
	if err := os.Remove(w.reasonFile(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweepBeside removes files that were given up long ago.
func (w *work) sweepBeside(now time.Time) error {
	entries, err := os.ReadDir(w.beside(discarded))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		info, gone := e.Info()
		if gone == nil && now.Sub(info.ModTime()) >= w.Keep {
			err = errors.Join(err, os.Remove(filepath.Join(w.beside(discarded), e.Name())))
		}
	}
	return err
}
