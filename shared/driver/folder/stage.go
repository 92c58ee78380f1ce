//go:build unix

package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// trustSize is the size from which a file that moves is taken for the right one by
// size and time alone. Below it is read, since after a crash another object's file
// may stand at its old place.
const trustSize = 64 << 20

func invalid(format string, args ...any) error {
	return fault.Errorf(fault.Park, fault.Invalid, format, args...)
}

// parse reads what an op wants, before anything is done.
func (b *batch) parse(ctx context.Context, j *job) error {
	op := j.op
	if op.From != "" {
		if err := checkPath(op.From); err != nil {
			return err
		}
	}
	if op.To == "" {
		return nil
	}
	if err := checkPath(op.To); err != nil {
		return err
	}
	j.kind = op.Change.Object.Type
	if j.kind != content.TypeFile && j.kind != content.TypeFolder {
		return fault.Errorf(fault.Park, fault.Unsupported, "place %q: a folder holds files and folders, not a %q", op.To, j.kind)
	}
	j.bytes = op.Change.Payload(content.PluginFSS)
	if j.kind == content.TypeFile && j.bytes == nil {
		return invalid("place %q: the change of a file has no %s payload", op.To, content.PluginFSS)
	}
	return j.parseState(ctx)
}

func (j *job) parseState(ctx context.Context) error {
	p := j.op.Change.Payload(content.PluginContent)
	if c := j.op.Change; j.kind == content.TypeFolder && len(c.Payloads) == 0 {
		j.want = bareState(c.CapturedAt)
		return nil
	}
	if p == nil && j.kind == content.TypeFile { // from a site that has no such state
		j.want = bareState(j.op.Change.CapturedAt)
		j.want.mode = 0o644
		return nil
	}
	if p == nil {
		return invalid("place %q: the change has no %s payload", j.op.To, content.PluginContent)
	}
	raw := p.Inline
	if p.Blob != nil {
		var err error
		if raw, err = readSmall(ctx, j.op, p); err != nil {
			return fmt.Errorf("place %q: %w", j.op.To, err)
		}
	}
	var err error
	if j.want, err = parseState(raw); err != nil {
		return invalid("place %q: %w", j.op.To, err)
	}
	return nil
}

func readSmall(ctx context.Context, op *content.Op, p *content.Payload) ([]byte, error) {
	r, err := op.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxState))
	return raw, errors.Join(err, r.Close())
}

// prepare finds out whether a file stands as it should or needs only a new place
// or state, and makes it in the staging folder if not.
func (b *batch) prepare(ctx context.Context, j *job, sync bool) error {
	var err error
	if j.done, err = b.stands(ctx, j); err != nil || j.done {
		return err
	}
	if j.op.From != "" {
		if usable, err := b.usable(ctx, j); err != nil || usable {
			return err
		}
	}
	return b.stageFile(ctx, j, sync)
}

// stands tells whether the file is at its place already, in its state and with its
// bytes. What cannot be found out is a no; the effect will meet the cause.
func (b *batch) stands(ctx context.Context, j *job) (bool, error) {
	parent, name := split(j.op.To)
	d, err := b.dir(parent)
	if err != nil {
		return false, nil
	}
	st, err := d.at(name)
	if err != nil || !st.isRegular() || st.size != j.bytes.Size || !j.want.matches(st) {
		return false, nil
	}
	if j.op.SameBytes && j.op.From == j.op.To {
		return true, nil
	}
	return d.holds(ctx, name, j.bytes)
}

// usable tells whether the file at From is the one that the change speaks of. Where the
// bytes are new, it may have got them before a crash.
func (b *batch) usable(ctx context.Context, j *job) (bool, error) {
	parent, name := split(j.op.From)
	d, err := b.dir(parent)
	if err != nil {
		return false, nil
	}
	st, err := d.at(name)
	if err != nil || !st.isRegular() || st.size != j.bytes.Size {
		return false, nil
	}
	if !j.op.SameBytes {
		if j.op.From == j.op.To || !j.want.matches(st) {
			return false, nil
		}
		return d.holds(ctx, name, j.bytes)
	}
	if j.op.From == j.op.To || st.size >= trustSize && st.mtime == j.want.mtime {
		return true, nil
	}
	return d.holds(ctx, name, j.bytes)
}

// holds compares a file's bytes with a payload.
func (d *dir) holds(ctx context.Context, name string, p *content.Payload) (bool, error) {
	fd, err := unix.Openat(d.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, nil
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	same, err := sameBytes(ctx, f, p)
	return same, targetFault(err, "compare %q in %q", name, d.path)
}

// stageFile makes the whole file with its mode and time. A file that cannot be
// synced is dropped and made anew at the next attempt: a second sync of the same
// descriptor would succeed without the bytes being on disk.
func (b *batch) stageFile(ctx context.Context, j *job, sync bool) error {
	r, err := j.op.Open(ctx, j.bytes)
	if err != nil {
		return fmt.Errorf("open the bytes of %q: %w", j.op.To, err)
	}
	defer r.Close()
	f, name, err := b.place.staging.create()
	if err != nil {
		return targetFault(err, "stage %q", j.op.To)
	}
	j.staged = name
	err = b.fill(ctx, f, r, j)
	if err == nil && sync {
		b.t.counts.fsyncs.Add(1)
		err = targetFault(f.Sync(), "sync %q", j.op.To)
	}
	return errors.Join(err, targetFault(f.Close(), "close %q", j.op.To))
}

func (b *batch) fill(ctx context.Context, f *os.File, r io.Reader, j *job) error {
	n, err := copySparse(ctx, f, r)
	if _, ok := errors.AsType[writeError](err); ok {
		return targetFault(err, "write %q", j.op.To)
	}
	if err != nil {
		return fmt.Errorf("read the bytes of %q: %w", j.op.To, err)
	}
	if n != j.bytes.Size {
		return fault.Errorf(fault.Park, fault.BlobDamaged, "write %q: got %d bytes, the change announces %d", j.op.To, n, j.bytes.Size)
	}
	b.t.counts.files.Add(1)
	b.t.counts.bytes.Add(n)
	if err := unix.Fchmod(int(f.Fd()), j.want.mode); err != nil {
		return targetFault(err, "set the mode of %q", j.op.To)
	}
	return targetFault(setTime(b.place.staging.top.fd(), j.staged, j.want.mtime), "set the time of %q", j.op.To)
}
