//go:build unix

package folder

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// permBits are the mode bits that are carried: permissions, setuid, setgid, sticky.
const permBits = 0o7777

type stamp struct{ sec, nsec int64 }

func (s stamp) time() time.Time { return time.Unix(s.sec, s.nsec).UTC() }

// stat is what the driver knows of an entry without reading it.
type stat struct {
	dev, ino, mount     uint64
	mode                uint32 // with the type
	links               uint32
	size                int64
	mtime, ctime, birth stamp // birth is zero when the file system keeps none
}

func (s stat) isDir() bool     { return s.mode&unix.S_IFMT == unix.S_IFDIR }
func (s stat) isRegular() bool { return s.mode&unix.S_IFMT == unix.S_IFREG }
func (s stat) perm() uint32    { return s.mode & permBits }

func (s stat) sameFile(o stat) bool { return s.ino == o.ino && s.dev == o.dev }

// sameState tells whether nothing was written or changed between two looks.
func (s stat) sameState(o stat) bool {
	return s.sameFile(o) && s.mode == o.mode && s.size == o.size && s.mtime == o.mtime && s.ctime == o.ctime
}

func (s stat) kindName() string {
	switch s.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "folder"
	case unix.S_IFREG:
		return "file"
	case unix.S_IFLNK:
		return "symbolic link"
	case unix.S_IFIFO:
		return "named pipe"
	case unix.S_IFSOCK:
		return "socket"
	default:
		return "device"
	}
}

// fingerprint leaves out what says nothing about the state that is carried: a
// folder's size and change time move with its entries.
func (s stat) fingerprint() string {
	if s.isDir() {
		return join36("d", int64(s.perm()), s.mtime.sec, s.mtime.nsec)
	}
	return join36("f", int64(s.perm()), s.mtime.sec, s.mtime.nsec, s.size, s.ctime.sec, s.ctime.nsec, int64(s.ino))
}

// identity names the inode for as long as it lives. Inode numbers are used again,
// so that alone they would take a new file for an old one that was renamed. The
// device is left out because it changes when the tree is mounted anew.
func (d *dir) identity(name string, s stat) string {
	if s.birth != (stamp{}) {
		return join36("b", int64(s.ino), s.birth.sec, s.birth.nsec)
	}
	if h := fileHandle(d.fd(), name); h != "" {
		return "h" + h
	}
	return ""
}

func join36(kind string, parts ...int64) string {
	var b strings.Builder
	b.WriteString(kind)
	for i, p := range parts {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.FormatInt(p, 36))
	}
	return b.String()
}
