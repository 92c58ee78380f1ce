// Package classictest lets tests run the original collective.synchro, of 2008, under a
// real Python 2.7. It is installed when a test first asks for it, from the Python package
// registry into a cache of the user, and runs as a program of its own: nothing of it, which
// is under the GPL, is in this repository or in what is built from it.
//
// A test that cannot have it is skipped and says what is missing. The files that the
// original made, in testdata folders, stand in for it then.
package classictest

import (
	"context"
	"embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

//go:embed peer
var scripts embed.FS

// setupTime is enough for a slow registry.
const setupTime = 10 * time.Minute

// Peer is an installed original.
type Peer struct {
	python, folder, scripts string
}

// New finds or installs the original. CLASSIC_PYTHON names a Python 2.7 to use, and
// CLASSIC_CACHE the folder to install into.
func New(t testing.TB) *Peer {
	t.Helper()
	if testing.Short() {
		t.Skip("the original is left out of a short run; golden files stand in")
	}
	p := &Peer{python: findPython(t), folder: cache(t), scripts: t.TempDir()}
	if err := os.CopyFS(p.scripts, scripts); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), setupTime)
	defer cancel()
	setup := exec.CommandContext(ctx, "bash", p.script("setup"), p.python, p.folder)
	if out, err := setup.CombinedOutput(); err != nil {
		t.Skipf("the original cannot be installed (%v); golden files stand in:\n%s", err, tail(out))
	}
	return p
}

func findPython(t testing.TB) string {
	t.Helper()
	for _, name := range candidates() {
		version, err := exec.CommandContext(t.Context(), name, "--version").CombinedOutput()
		if err == nil && strings.HasPrefix(string(version), "Python 2.7.") {
			return name
		}
	}
	t.Skip("there is no Python 2.7 (set CLASSIC_PYTHON to one with pip); golden files stand in")
	return ""
}

func candidates() []string {
	if chosen := os.Getenv("CLASSIC_PYTHON"); chosen != "" {
		return []string{chosen}
	}
	names := []string{"python2.7", "python2"}
	if home, err := os.UserHomeDir(); err == nil {
		found, _ := filepath.Glob(filepath.Join(home, ".pyenv/versions/2.7.*/bin/python"))
		names = append(names, found...)
	}
	return names
}

func cache(t testing.TB) string {
	t.Helper()
	if chosen := os.Getenv("CLASSIC_CACHE"); chosen != "" {
		return chosen
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("there is no folder to install the original into (set CLASSIC_CACHE): %v", err)
	}
	return filepath.Join(dir, "synchro-classic")
}

func (p *Peer) script(name string) string { return filepath.Join(p.scripts, "peer", name) }

// ZS runs zs.py, which makes and reads .zs files, and gives what it prints.
func (p *Peer) ZS(t testing.TB, args ...string) []byte {
	t.Helper()
	return p.run(t, "zs.py", append([]string{p.folder}, args...)...)
}

// ZEXP runs zexp.py, which makes exports and imports others, and gives what it prints.
func (p *Peer) ZEXP(t testing.TB, args ...string) []byte {
	t.Helper()
	return p.run(t, "zexp.py", append([]string{p.folder}, args...)...)
}

// Queue runs queue.py, which exports into and imports from queues, and gives what it prints.
func (p *Peer) Queue(t testing.TB, args ...string) []byte {
	t.Helper()
	return p.run(t, "queue.py", append([]string{p.folder}, args...)...)
}

// Sync is a run of the original's synchronize_queue, for the caller to start. It finds `ssh` and
// `sftp` on the PATH.
func (p *Peer) Sync(t testing.TB, options ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), p.python, append([]string{"-B", p.script("sync.py"), p.folder}, options...)...)
}

func (p *Peer) run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), p.python, append([]string{"-B", p.script(name)}, args...)...)
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, tail([]byte(said.String())))
	}
	return out
}

// tail gives the last lines, where the cause is.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
