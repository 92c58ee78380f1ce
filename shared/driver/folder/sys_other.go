//go:build unix && !linux

package folder

import (
	"errors"

	"golang.org/x/sys/unix"
)

// statAt looks at a name in an open folder without following a link; the empty
// name is the open file itself. There is no birth time here, so that objects have
// no identity and a rename travels as a removal and a new object.
func statAt(fd int, name string) (stat, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if name != "" {
		err = unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return stat{}, err
	}
	return stat{
		dev: uint64(st.Dev), ino: st.Ino, mode: uint32(st.Mode), links: uint32(st.Nlink), size: st.Size,
		mtime: stamp{int64(st.Mtim.Sec), int64(st.Mtim.Nsec)}, ctime: stamp{int64(st.Ctim.Sec), int64(st.Ctim.Nsec)},
	}, nil
}

func fileHandle(int, string) string { return "" }

const haveSyncFS = false

func syncFS(int) error { return errors.ErrUnsupported }

// accessTime follows the modification time, as there is no common way to leave it alone.
func accessTime(t stamp) unix.Timespec { return timespec(t) }
