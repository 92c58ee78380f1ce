package folder

import (
	"encoding/hex"

	"golang.org/x/sys/unix"
)

// statAt looks at a name in an open folder without following a link; the empty
// name is the open file itself.
func statAt(fd int, name string) (stat, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var x unix.Statx_t
	if err := unix.Statx(fd, name, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_MNT_ID, &x); err != nil {
		return stat{}, err
	}
	s := stat{
		dev: unix.Mkdev(x.Dev_major, x.Dev_minor), ino: x.Ino, mount: x.Mnt_id,
		mode: uint32(x.Mode), links: x.Nlink, size: int64(x.Size),
		mtime: stamp{x.Mtime.Sec, int64(x.Mtime.Nsec)}, ctime: stamp{x.Ctime.Sec, int64(x.Ctime.Nsec)},
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		s.birth = stamp{x.Btime.Sec, int64(x.Btime.Nsec)}
	}
	return s, nil
}

// fileHandle holds the inode number and its generation on the file systems that
// keep no birth time; empty where there is no such thing either.
func fileHandle(fd int, name string) string {
	h, _, err := unix.NameToHandleAt(fd, name, 0)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(h.Bytes())
}

const haveSyncFS = true

func syncFS(fd int) error { return unix.Syncfs(fd) }

// accessTime leaves the access time alone.
func accessTime(stamp) unix.Timespec { return unix.Timespec{Nsec: unix.UTIME_OMIT} }
