//go:build unix

package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// effect makes one op visible. i is the op's number, by which syncs are booked.
func (b *batch) effect(ctx context.Context, j *job, i int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.ask(j); err != nil {
		return err
	}
	switch j.kind {
	case content.TypeFile:
		return b.placeFile(j, i)
	case content.TypeFolder:
		return b.placeFolder(j, i)
	default:
		return b.remove(j, i)
	}
}

// ask tells whoever wants to know what stands where a file is about to be touched.
func (b *batch) ask(j *job) error {
	if j.op.Found == nil || j.done {
		return nil
	}
	for _, path := range slices.Compact([]string{j.op.From, j.op.To}) {
		if path == "" {
			continue
		}
		if err := b.askAt(j, path); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) askAt(j *job, path string) error {
	s, err := b.spot(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotFolder), err == nil && s.empty:
		return j.op.Found(path, "")
	case err != nil:
		return targetFault(err, "look at %q", path)
	case s.stat.isDir() && j.kind != content.TypeFile:
		return nil
	}
	return j.op.Found(path, s.stat.fingerprint())
}

// did books an effect.
func (b *batch) did(e effect, j *job, path string) {
	b.t.counts.count(e)
	if err := b.t.writes.add(e, j.op.Change, path); err != nil {
		b.t.opts.Log.Error("cannot write the log of writes", "err", err)
	}
}

func taken(path string, st stat) error {
	return fault.Errorf(fault.Park, fault.PathTaken, "place %q: a %s that did not come through here stands there", path, st.kindName())
}

// spot is a name in an open folder, and what stands there now.
type spot struct {
	dir   *dir
	name  string
	path  string
	stat  stat
	empty bool
}

func (b *batch) spot(path string) (*spot, error) {
	parent, name := split(path)
	d, err := b.dir(parent)
	if err != nil {
		return nil, err
	}
	s := &spot{dir: d, name: name, path: path}
	s.stat, err = d.at(name)
	if errors.Is(err, fs.ErrNotExist) {
		s.empty = true
		return s, nil
	}
	return s, err
}

// source is where the object stands now; nil when there is nothing of the kind
// that could be moved from there.
func (b *batch) source(j *job) (*spot, error) {
	if j.op.From == "" || j.op.From == j.op.To {
		return nil, nil
	}
	s, err := b.spot(j.op.From)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotFolder) {
		return nil, nil
	}
	if err != nil || s.empty || !s.stat.isDir() && !s.stat.isRegular() {
		return nil, targetFault(err, "move %q", j.op.From)
	}
	return s, nil
}

// inFolders does something to entries of folders: their times are set back later,
// they are synced later, and if it is refused they get the owner's rights for a while.
func (b *batch) inFolders(i int, do func() error, dirs ...*dir) error {
	for _, d := range dirs {
		if err := b.hold(d); err != nil {
			return err
		}
		b.mark(i, d, "")
	}
	err := do()
	if errors.Is(err, unix.EACCES) && b.widen(dirs) {
		err = do()
	}
	return err
}

func (b *batch) remove(j *job, i int) error {
	if j.op.From == "" {
		return nil
	}
	s, err := b.spot(j.op.From)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotFolder) {
		b.mark(i, b.place.tree.top, "")
		b.t.counts.skipped.Add(1)
		return nil
	}
	if err != nil {
		return targetFault(err, "remove %q", j.op.From)
	}
	if s.empty || !s.stat.isDir() && !s.stat.isRegular() {
		return b.nothingToRemove(s, i)
	}
	return b.removeAt(j, i, s)
}

func (b *batch) nothingToRemove(s *spot, i int) error {
	if !s.empty {
		b.t.opts.Log.Warn("not removed", "path", s.path, "why", "a "+s.stat.kindName()+" stands there, which is none of ours")
	}
	b.mark(i, s.dir, "")
	b.t.counts.skipped.Add(1)
	return nil
}

func (b *batch) removeAt(j *job, i int, s *spot) error {
	flags := 0
	if s.stat.isDir() {
		flags = unix.AT_REMOVEDIR
		b.forget(s.path)
	}
	err := b.inFolders(i, func() error { return unix.Unlinkat(s.dir.fd(), s.name, flags) }, s.dir)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return targetFault(err, "remove %q", s.path)
	}
	b.did(effectRemove, j, s.path)
	return nil
}

// rename is for both ends in the tree; from is another folder of the same file
// system when a staged file comes into place.
func rename(from *dir, name string, to *spot) error {
	return unix.Renameat(from.fd(), name, to.dir.fd(), to.name)
}

func (b *batch) placeFolder(j *job, i int) error {
	to, err := b.spot(j.op.To)
	if err != nil {
		return targetFault(err, "place folder %q", j.op.To)
	}
	from, err := b.source(j)
	if err != nil {
		return err
	}
	existed := from == nil && !to.empty && to.stat.isDir()
	switch {
	case from != nil && from.stat.isDir():
		err = b.moveFolder(j, i, from, to)
	case from != nil: // it was a file
		if err = b.removeAt(j, i, from); err == nil {
			err = b.makeFolder(j, i, to)
		}
	default:
		err = b.makeFolder(j, i, to)
	}
	if err != nil {
		return err
	}
	return b.finishFolder(j, i, to, existed)
}

func (b *batch) moveFolder(j *job, i int, from, to *spot) error {
	if !to.empty && !to.stat.isDir() {
		return taken(to.path, to.stat)
	}
	b.forget(from.path)
	b.forget(to.path)
	move := func() error { return rename(from.dir, from.name, to) }
	err := b.inFolders(i, move, from.dir, to.dir)
	if errors.Is(err, unix.EACCES) && b.widenMoved(from) {
		err = move()
	}
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return fault.New(fault.Park, fault.PathTaken, fmt.Errorf("move folder %q to %q: %w", from.path, to.path, err))
	}
	if err != nil {
		return targetFault(err, "move folder %q to %q", from.path, to.path)
	}
	b.forget(from.path)
	b.did(effectMove, j, to.path)
	return nil
}

func (b *batch) makeFolder(j *job, i int, to *spot) error {
	switch {
	case to.empty:
	case to.stat.isDir():
		return nil
	case to.stat.isRegular() && j.op.From == j.op.To:
		if err := b.removeAt(j, i, to); err != nil {
			return err
		}
	default:
		return taken(to.path, to.stat)
	}
	err := b.inFolders(i, func() error { return unix.Mkdirat(to.dir.fd(), to.name, 0o700) }, to.dir)
	if err != nil {
		return targetFault(err, "make folder %q", to.path)
	}
	b.did(effectMkdir, j, to.path)
	return nil
}

// finishFolder gives a folder its time and then its mode, which may take away the
// right to set the time.
func (b *batch) finishFolder(j *job, i int, to *spot, existed bool) error {
	d, err := b.dir(to.path)
	if err != nil {
		return targetFault(err, "open folder %q", to.path)
	}
	b.mark(i, d, "")
	b.mark(i, to.dir, "")
	st, err := d.at(".")
	if err != nil {
		return targetFault(err, "look at folder %q", to.path)
	}
	if j.op.From != "" {
		b.place.keeper.set(j.op.From, j.want)
	}
	b.place.keeper.set(to.path, j.want)
	if j.want.matches(st) {
		if existed {
			b.t.counts.skipped.Add(1)
		}
		return nil
	}
	if err := setTime(d.fd(), ".", j.want.mtime); err != nil {
		return targetFault(err, "set the time of folder %q", to.path)
	}
	if err := unix.Fchmod(d.fd(), j.want.mode); err != nil {
		return targetFault(err, "set the mode of folder %q", to.path)
	}
	if existed {
		b.did(effectMeta, j, to.path)
	}
	return nil
}
