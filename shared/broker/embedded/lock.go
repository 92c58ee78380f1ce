package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"synchro.example/shared/fault"
)

// lockFile is held, and holds the pid, for as long as a broker owns the directory.
const lockFile = "LOCK"

// lockPatience is how long somebody else may have the directory: a command that finds no
// broker running opens it for a moment, and nobody should fail because of that.
const lockPatience = 3 * time.Second

// lock takes the directory for this process. The kernel frees it when the process
// ends, however it ends.
func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "make the broker's directory: %w", err)
	}
	name := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "take the broker's directory: %w", err)
	}
	if err := flock(f); err != nil {
		defer f.Close()
		return nil, inUse(dir, name, err)
	}
	return f, sign(f)
}

func flock(f *os.File) error {
	for end := time.Now().Add(lockPatience); ; time.Sleep(50 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(end) {
			return err
		}
	}
}

func inUse(dir, name string, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fault.Errorf(fault.Stop, fault.Misconfigured, "lock %s: %w; the broker needs a local file system", name, err)
	}
	owner := "another process"
	if b, err := os.ReadFile(name); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			owner = fmt.Sprintf("the broker of process %d", pid)
		}
	}
	return fault.Errorf(fault.Stop, fault.Misconfigured, "the directory %s belongs to %s; stop it, or give this one a directory of its own", dir, owner)
}

// sign writes who we are, for whoever finds the directory taken.
func sign(f *os.File) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("write the broker's lock: %w", err)
	}
	return nil
}
