package receiver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// errReleased is the reason of an op that does not wait any more.
var errReleased = errors.New("the classic importer has not taken the file yet; it stays in the queue")

// firstLook is how soon a file is looked at after it was placed.
const firstLook = 20 * time.Millisecond

func number() int { return rand.IntN(1_000_001) }

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// handOver brings one file of an op to DONE. What an earlier call has placed is waited
// for, and what has failed is put in again.
func (t *Target) handOver(ctx context.Context, op *content.Op, n int, c *zs.Change) error {
	key := noteKey(op.Change.Object.UID, n)
	known, err := t.notes.read(key)
	if err != nil {
		return diskFault(err)
	}
	change := fmt.Sprint(op.Change.Source, " ", op.Change.Version)
	if known.Change == change && !known.Failed {
		_, there, err := t.queue.Where(queue.Import, known.Name)
		if err != nil {
			return missing(err)
		}
		if there {
			return t.follow(ctx, key, known)
		}
	}
	if known.Failed { // this change, or one that it takes the place of
		if err := t.queue.Remove(queue.Import, queue.Failed, known.Name); err != nil {
			return missing(err)
		}
	}
	written := note{Change: change}
	if written.Name, err = t.write(key, &written, c); err != nil {
		return err
	}
	return t.follow(ctx, key, written)
}

// Discard takes the files of a change that failed out of the queue: who looks into ERROR finds
// what somebody still has to decide about.
func (t *Target) Discard(uid string) error {
	for n := range filesOfMove {
		known, err := t.notes.read(noteKey(uid, n))
		if err == nil && known.Failed {
			err = queue.Discard(t.Path, queue.Import, known.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Forward puts a file of another queue into this one, written anew, and does not wait for
// the classic importer. It is refused as a change of the broker is.
func (t *Target) Forward(_ context.Context, c *zs.Change) error {
	at := strings.Join(c.Path, "/")
	for _, p := range c.Parts {
		if err := t.takes(string(p.Kind)); err != nil {
			return err
		}
		if p.Kind == zs.ZEXP {
			if err := t.check(p.Export, at); err != nil {
				return err
			}
		}
	}
	staged, name, err := t.named(c)
	if err != nil {
		return err
	}
	if err := t.queue.Place(staged, t.Path, queue.Import, name); err != nil {
		return placeFault(err)
	}
	return nil
}

// named makes a file beside the queue, and a name for it.
func (t *Target) named(c *zs.Change) (staged string, name queue.Name, err error) {
	if staged, err = t.stage(c); err != nil {
		return "", name, err
	}
	if name, err = t.nextName(c.UID); err != nil {
		name, err = t.nextName("") // the file itself says which object it is about
	}
	if err != nil {
		return "", name, fault.New(fault.Park, fault.NameRefused, err)
	}
	return staged, name, nil
}

// write makes a file beside the queue, notes its name and renames it in.
func (t *Target) write(key string, as *note, c *zs.Change) (string, error) {
	staged, name, err := t.named(c)
	if err != nil {
		return "", err
	}
	as.Name = name.String()
	if err := t.notes.write(key, *as); err != nil {
		return "", diskFault(err)
	}
	if err := t.queue.Place(staged, t.Path, queue.Import, name); err != nil {
		return "", placeFault(err)
	}
	return as.Name, nil
}

func placeFault(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return missing(err)
	}
	return diskFault(err)
}

// stage writes a whole file, and has it on the disk.
func (t *Target) stage(c *zs.Change) (name string, err error) {
	f, err := os.CreateTemp(t.staging, "*.zs")
	if err != nil {
		return "", diskFault(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = zs.Encode(f, c)
	if err == nil {
		err = errors.Join(f.Chmod(0o644), f.Sync())
	}
	if err := errors.Join(err, f.Close()); err != nil {
		if isFull(err) {
			return "", diskFault(err)
		}
		return "", fmt.Errorf("write %s: %w", filepath.Base(f.Name()), err)
	}
	return f.Name(), nil
}

// follow waits until the importer has moved a file on.
func (t *Target) follow(ctx context.Context, key string, n note) error {
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	for look := firstLook; ; look = min(2*look, t.Look) {
		state, there, err := t.queue.Where(queue.Import, n.Name)
		switch {
		case err != nil:
			return missing(err)
		case !there:
			return fault.Errorf(fault.Retry, fault.Unknown, "%s went away from the queue, and nobody knows whether it was imported; it is put in again", n.Name)
		case state == queue.Done:
			return nil
		case state == queue.Failed:
			n.Failed = true
			if err := t.notes.write(key, n); err != nil {
				return diskFault(err)
			}
			return fault.Errorf(fault.Park, fault.Refused, "the classic importer could not import %s; its log has the cause, the file is in IMPORT/ERROR", n.Name)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.release:
			return fault.OfSite(fault.Retry, fault.TargetDown, errReleased)
		case <-time.After(look):
		}
	}
}
