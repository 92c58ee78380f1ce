// Package fleet runs Synchro as its users do: the binary, in one process or in one for
// each service, with folders on the disk. It kills, stops and restarts processes, asks
// the command line, and looks into the broker.
package fleet

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Repository gives the root of the repository, where go.work is.
func Repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("there is no go.work above the working folder")
}

var plain struct {
	sync.Once
	file string
	err  error
}

// Binary builds the program as it is, once in a process.
func Binary() (string, error) {
	plain.Do(func() { plain.file, plain.err = Build(context.Background(), "synchro") })
	return plain.file, plain.err
}

// builds is the folder of what was built here.
var builds = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "synchro-build-") })

// RemoveBuilds removes what was built.
func RemoveBuilds() {
	if dir, err := builds(); err == nil {
		_ = os.RemoveAll(dir)
	}
}

// Build builds the program under a name, with further flags of go build.
func Build(ctx context.Context, name string, flags ...string) (string, error) {
	root, err := Repository()
	if err != nil {
		return "", err
	}
	dir, err := builds()
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, name)
	args := append([]string{"build", "-o", file}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./services/synchro")...)
	cmd.Dir = root
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out.Bytes())
	}
	return file, nil
}

// Commit names what is checked out.
func Commit(ctx context.Context) string {
	root, err := Repository()
	if err != nil {
		return "unknown"
	}
	cmd := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return string(bytes.TrimSpace(out))
}
