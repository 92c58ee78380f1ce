package transfer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Lock takes the lock that the classic commands take, DIR/NAME.lock with the number of the
// process. That of a process that has ended, or an empty one, is taken over.
func Lock(dir, name string) (release func() error, err error) {
	file := filepath.Join(dir, name+".lock")
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("take the lock: %w", err)
	}
	// The classic commands know nothing of this one, which keeps two of ours from taking
	// over at once.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: another run has the lock", file), f.Close())
	}
	if pid := holder(file); pid != os.Getpid() && lives(pid) {
		return nil, errors.Join(fmt.Errorf("%s: process %d has the lock; wait for its end, or remove the file if that process is no queue's", file, pid), f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take the lock %s: %w", file, err), f.Close())
	}
	return func() error { return errors.Join(os.Remove(file), f.Close()) }, nil
}

func holder(file string) int {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(raw)))
	return pid
}

func lives(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
