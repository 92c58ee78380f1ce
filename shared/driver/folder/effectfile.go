//go:build unix

package folder

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"synchro.example/shared/fault"
)

func (b *batch) placeFile(j *job, i int) error {
	to, err := b.spot(j.op.To)
	if err != nil {
		return targetFault(err, "place %q", j.op.To)
	}
	if j.done {
		b.mark(i, to.dir, to.name)
		b.mark(i, to.dir, "")
		b.t.counts.skipped.Add(1)
		return nil
	}
	if err := b.makeRoom(j, i, to); err != nil {
		return err
	}
	switch {
	case j.staged != "":
		return b.placeStaged(j, i, to)
	case j.op.From == j.op.To:
		return b.setFile(j, i, to)
	default:
		return b.moveFile(j, i, to)
	}
}

// makeRoom leaves a file at the spot, which a rename replaces, and takes an empty
// folder away. The object's own folder may still be emptied by removals to come.
func (b *batch) makeRoom(j *job, i int, to *spot) error {
	if to.empty || to.stat.isRegular() {
		return nil
	}
	if !to.stat.isDir() {
		return taken(to.path, to.stat)
	}
	err := b.removeAt(j, i, to)
	if f := fault.Of(err); err != nil && f.Code == fault.NotEmpty && j.op.From != j.op.To {
		return fault.New(fault.Park, fault.PathTaken, err)
	}
	to.empty = err == nil
	return err
}

// placeStaged replaces the old file first and moves it then. A crash in between leaves
// a whole file at the old place, which is where the ledger has the object.
func (b *batch) placeStaged(j *job, i int, to *spot) error {
	from, err := b.source(j)
	switch {
	case err != nil:
		return err
	case from == nil:
		return b.bringIn(j, i, to)
	case from.stat.isDir(): // it was a folder
		if err := b.removeAt(j, i, from); err != nil {
			return err
		}
		return b.bringIn(j, i, to)
	}
	if err := b.bringIn(j, i, from); err != nil {
		return err
	}
	return b.renameFile(j, i, from, to)
}

// bringIn gives a spot the file that was made for a job.
func (b *batch) bringIn(j *job, i int, to *spot) error {
	in := func() error { return rename(b.place.staging.top, j.staged, to) }
	if err := b.inFolders(i, in, to.dir); err != nil {
		return targetFault(err, "place %q", to.path)
	}
	j.staged = ""
	if to.empty {
		b.did(effectCreate, j, to.path)
	} else {
		b.did(effectRewrite, j, to.path)
	}
	return nil
}

func (b *batch) renameFile(j *job, i int, from, to *spot) error {
	if err := b.inFolders(i, func() error { return rename(from.dir, from.name, to) }, from.dir, to.dir); err != nil {
		return targetFault(err, "move %q to %q", from.path, to.path)
	}
	b.did(effectMove, j, to.path)
	return nil
}

// moveFile sets the state at the old place, so that the move makes everything
// visible at once.
func (b *batch) moveFile(j *job, i int, to *spot) error {
	from, err := b.source(j)
	if err != nil {
		return err
	}
	if from == nil {
		return fault.Errorf(fault.Retry, fault.Unknown, "move %q to %q: it went away just now", j.op.From, j.op.To)
	}
	if err := b.setState(from, j.want); err != nil {
		return err
	}
	if err := b.renameFile(j, i, from, to); err != nil {
		return errors.Join(err, b.setState(from, state{mode: from.stat.perm(), mtime: from.stat.mtime}))
	}
	if !j.want.matches(from.stat) {
		b.mark(i, to.dir, to.name)
	}
	return nil
}

func (b *batch) setFile(j *job, i int, to *spot) error {
	b.mark(i, to.dir, to.name)
	if j.want.matches(to.stat) {
		b.t.counts.skipped.Add(1)
		return nil
	}
	if err := b.setState(to, j.want); err != nil {
		return err
	}
	b.did(effectMeta, j, to.path)
	return nil
}

// setState sets mode and time of a file, both or none.
func (b *batch) setState(s *spot, want state) error {
	now, err := s.dir.at(s.name)
	if err != nil || want.matches(now) {
		return targetFault(err, "look at %q", s.path)
	}
	if err := b.chmod(s, want.mode); err != nil {
		return targetFault(err, "set the mode of %q", s.path)
	}
	if err := setTime(s.dir.fd(), s.name, want.mtime); err != nil {
		return errors.Join(targetFault(err, "set the time of %q", s.path), b.chmod(s, now.perm()))
	}
	return nil
}

// chmod sets the mode of what stands at a spot and not of what a link there points
// to. Linux before 6.6 cannot say so in the call; os.Root then looks before.
func (b *batch) chmod(s *spot, mode uint32) error {
	err := unix.Fchmodat(s.dir.fd(), s.name, mode, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return b.place.tree.root.Chmod(s.path, fileMode(mode))
	}
	return err
}

func fileMode(mode uint32) os.FileMode {
	m := os.FileMode(mode & 0o777)
	for bit, flag := range map[uint32]os.FileMode{unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky} {
		if mode&bit != 0 {
			m |= flag
		}
	}
	return m
}
