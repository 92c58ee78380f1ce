//go:build unix

package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"synchro.example/shared/fault"
	"synchro.example/shared/preflight"
)

// scarce is how much room is worth a word.
const scarce = 1 << 30

// Check looks whether a tree is fit for its roles. It does not open a target: that would
// take the tree from whoever writes to it now. Only a thorough check writes: an empty file
// beside the tree and in it, which it removes.
func Check(opts Options, roles preflight.Roles) (r preflight.Report) {
	names, err := os.ReadDir(opts.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Fail("folder", "Create it, or mount what belongs there.", "%s is not there", opts.Path)
		return r
	case err != nil:
		r.Fail("folder", fault.Advice(fault.Permission), "%v", err)
		return r
	}
	r.Good("folder", "%s can be read, and has %d entries at its top", opts.Path, len(names))
	if roles.Receiver {
		checkTarget(&r, opts, roles.Thorough)
	}
	return r
}

func checkTarget(r *preflight.Report, opts Options, thorough bool) {
	if err := outside(opts.Path, stagingPath(opts.Path, opts.Staging)); err != nil {
		r.Error("staging", err)
		return
	}
	checkRoom(r, opts.Path)
	if !thorough {
		return
	}
	checkStaging(r, opts)
	if err := tryFile(opts.Path); err != nil {
		r.Fail("rights", "Give the account of the service the right to write there.", "%v", err)
		return
	}
	r.Good("rights", "a file was made in %s and removed", opts.Path)
}

// checkStaging looks whether files can be made where a target makes them. A folder for
// them that is not there yet is made beside the tree.
func checkStaging(r *preflight.Report, opts Options) {
	path := stagingPath(opts.Path, opts.Staging)
	at := path
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		at = filepath.Dir(path)
	}
	if err := tryFile(at); err != nil {
		r.Fail("staging", "Give the account of the service the right to write there, or set staging.", "%v", err)
		return
	}
	same, err := sameMount(opts.Path, at)
	switch {
	case err != nil:
		r.Error("staging", err)
	case !same:
		r.Fail("staging", "Sync into a subfolder of the mount, or set staging to a folder within it.", "%s is on another file system than %s", path, opts.Path)
	default:
		r.Good("staging", "%s can be used", path)
	}
}

// sameMount tells whether a file can be renamed from one folder into the other.
func sameMount(a, b string) (bool, error) {
	one, err := openHandle(a)
	if err != nil {
		return false, err
	}
	defer one.close()
	other, err := openHandle(b)
	if err != nil {
		return false, err
	}
	defer other.close()
	from, to := one.top.stat, other.top.stat
	return from.dev == to.dev && from.mount == to.mount, nil
}

// tryFile makes an empty file and removes it.
func tryFile(dir string) error {
	f, err := os.CreateTemp(dir, ".synchro-check-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func checkRoom(r *preflight.Report, path string) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		r.Fail("room", fault.Advice(fault.Unknown), "%v", err)
		return
	}
	free := uint64(st.Bavail) * uint64(st.Bsize) //nolint:unconvert // signed on other systems
	if free < scarce {
		r.Advise("room", fault.Advice(fault.DiskFull), "%d MiB are free at %s", free>>20, path)
		return
	}
	r.Good("room", "%d GiB are free", free>>30)
}
