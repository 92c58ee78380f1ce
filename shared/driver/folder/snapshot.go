//go:build unix

package folder

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

func snapshot(st stat, closeFn func() error) *content.Snapshot {
	b := state{mode: st.perm(), mtime: st.mtime}.encode()
	return &content.Snapshot{
		Meta:        metaOf(st),
		Fingerprint: st.fingerprint(),
		Parts: []content.Part{{
			Plugin: content.PluginContent, MediaType: MediaState, Size: int64(len(b)), Body: bytes.NewReader(b),
		}},
		Close: closeFn,
	}
}

// readFile opens without blocking, so that a pipe that was slipped in does no
// harm, and takes nothing but the very file that was listed, in the state in
// which it was listed.
func (s *source) readFile(h *handle, path string, listed stat) (*content.Snapshot, error) {
	f, err := h.root.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, readFault(err, path)
	}
	now, err := statAt(int(f.Fd()), "")
	if err == nil && !now.sameState(listed) {
		err = fault.Errorf(fault.Retry, fault.Unsettled, "read %q: it changed since it was listed", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	snap := snapshot(now, func() error { return s.finish(f, path, now) })
	_, name := split(path)
	snap.Parts = append(snap.Parts, content.Part{
		Plugin: content.PluginFSS, MediaType: MediaBytes, Names: []string{"file", name}, Size: now.size, Body: f,
	})
	return snap, nil
}

// finish closes the file and tells whether it is still the one at its path, and
// still in the state that was read.
func (s *source) finish(f *os.File, path string, before stat) error {
	awaitCut(f)
	after, err := statAt(int(f.Fd()), "")
	if err := errors.Join(err, f.Close()); err != nil {
		return readFault(err, path)
	}
	if !after.sameState(before) {
		return fault.Errorf(fault.Retry, fault.Unsettled, "read %q: it was written meanwhile", path)
	}
	return s.confirm(path, before)
}

// awaitCut waits until nobody is cutting the file. ext4 shows the new size while it cuts
// and sets the change time when it is done, so that a file which is being written anew
// looks empty and at rest for a moment. To seek for data takes the lock that the cutting
// has; what it finds, or that a file system cannot do it, does not matter.
func awaitCut(f *os.File) {
	_, _ = unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA)
}

func (s *source) confirm(path string, before stat) error {
	h, err := s.open()
	if err != nil {
		return err
	}
	defer h.close()
	named, err := h.glance(path)
	if err != nil || !named.sameState(before) {
		return fault.New(fault.Retry, fault.Unsettled, fmt.Errorf("read %q: something else stands there now", path))
	}
	return nil
}
