//go:build unix

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// acceptance is the file for what is measured; with one the tests have their full form.
var acceptance = os.Getenv("SYNCHRO_ACCEPTANCE")

var (
	buildFlags = []string{"build"}
	programs   string // the folder of what was built
)

const (
	synchro = "synchro"
	module  = "synchro.example/services/"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "synchro-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = filepath.Join(dir, "bin")
	args := append(buildFlags, "-o", programs+"/", module+"synchro",
		module+"exporter/cmd/synchro-exporter", module+"relay/cmd/synchro-relay", module+"importer/cmd/synchro-importer",
		module+"bridge/cmd/synchro-bridge")
	build := exec.CommandContext(context.Background(), "go", args...)
	build.Stderr = os.Stderr
	// Other accounts run the programs too.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		return 1
	}
	return m.Run()
}

// long leaves a test out where little time is wanted.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short")
	}
}

// pick gives the value of the form that the tests have.
func pick[T any](normal, full T) T {
	if acceptance != "" {
		return full
	}
	return normal
}

// figure notes something measured: in the test's log, and where the file is named.
func figure(t *testing.T, name, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf("%s: %s", name, fmt.Sprintf(format, args...))
	t.Log(line)
	if acceptance == "" {
		return
	}
	f, err := os.OpenFile(acceptance, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintln(f, line)
	if closed := f.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
}

// goSource is the source tree of the Go that runs the tests.
func goSource(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src")
}

// memoryBound is by how many MiB a process may grow while a large file passes. The race
// detector takes several times what the program does.
var memoryBound = 64
