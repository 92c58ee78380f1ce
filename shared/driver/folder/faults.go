//go:build unix

package folder

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"synchro.example/shared/fault"
)

func misconfigured(format string, args ...any) error {
	return fault.OfSite(fault.Stop, fault.Misconfigured, fmt.Errorf(format, args...))
}

// targetFault gives the decision about an error that a target met: doing says
// what it tried, on what. An error that has a decision keeps it.
func targetFault(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf(doing+": %w", append(args, err)...)
	if _, ok := errors.AsType[*fault.Error](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return wrapped
	}
	if errors.Is(err, errNotFolder) {
		return fault.New(fault.Park, fault.PathTaken, wrapped)
	}
	return decide(err, wrapped)
}

func decide(err, wrapped error) error {
	var errno unix.Errno
	errors.As(err, &errno)
	switch errno {
	case unix.ENOSPC, unix.EDQUOT:
		return fault.OfSite(fault.Retry, fault.DiskFull, wrapped)
	case unix.EROFS, unix.EIO, unix.ESTALE:
		return fault.OfSite(fault.Retry, fault.TargetDown, wrapped)
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM:
		return fault.OfSite(fault.Retry, fault.TargetDown, wrapped)
	case unix.EACCES, unix.EPERM:
		return fault.New(fault.Park, fault.Permission, wrapped)
	case unix.ENAMETOOLONG:
		return fault.New(fault.Park, fault.NameTooLong, wrapped)
	case unix.EILSEQ:
		return fault.New(fault.Park, fault.NameRefused, wrapped)
	case unix.ENOTEMPTY, unix.EEXIST:
		return fault.New(fault.Retry, fault.NotEmpty, wrapped)
	case unix.ENOTDIR, unix.EISDIR, unix.ELOOP:
		return fault.New(fault.Park, fault.PathTaken, wrapped)
	case unix.ENOENT:
		return fault.New(fault.Retry, fault.ParentMissing, wrapped)
	case unix.EXDEV, unix.EFBIG, unix.EOPNOTSUPP:
		return fault.New(fault.Park, fault.Unsupported, wrapped)
	case unix.EINVAL:
		return fault.New(fault.Park, fault.Invalid, wrapped)
	default:
		return fault.New(fault.Retry, fault.Unknown, wrapped)
	}
}

// checkPath refuses what cannot name an object: an empty path, a step to nowhere
// or upwards, and NUL, which would cut the name short.
func checkPath(p string) error {
	for name := range strings.SplitSeq(p, "/") {
		if name == "" || name == "." || name == ".." || strings.IndexByte(name, 0) >= 0 {
			return fault.Errorf(fault.Park, fault.NameRefused, "path %q: a folder cannot hold the name %q", p, name)
		}
	}
	return nil
}
