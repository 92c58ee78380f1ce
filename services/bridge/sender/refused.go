package sender

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"synchro.example/services/bridge/queue"
	"synchro.example/shared/fault"
)

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
	if err := queue.Discard(w.Path, queue.Export, name.String()); err != nil {
		return err
	}
	return w.forget(name)
}

// forget removes the reason of a file that is not refused any more.
func (w *work) forget(name queue.Name) error {
	if err := os.Remove(w.reasonFile(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
