//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that must happen.
const patience = 2 * time.Minute

const source = "hq"

// world is a folder with a configuration, the folders of its sites, and all that runs
// on it. Receivers keep a log of writes.
type world struct {
	t         *testing.T
	dir       string
	listen    string
	receivers []string
	account   *syscall.Credential // of the processes, nil for one's own
	processes []*process
}

// newWorld makes a source and receivers, all empty, with one channel from the one to
// the others.
func newWorld(t *testing.T, receivers ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), listen: freeAddress(t), receivers: receivers}
	t.Cleanup(w.end)
	w.write("synchro.yaml", w.configuration())
	for _, site := range append([]string{source}, receivers...) {
		w.mkdir(site)
	}
	return w
}

// configuration lets all removals go: a source whose first copy was killed knows so
// little that a deleted folder is most of it.
func (w *world) configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, "broker: {embedded: {dir: ./broker, listen: %q}}\nsites:\n  %s: {folder: {path: ./%s}, max_removals: 100%%}\n", w.listen, source, source)
	for _, site := range w.receivers {
		fmt.Fprintf(&b, "  %s: {folder: {path: ./%s, writes: ./%s.writes}}\n", site, site, site)
	}
	fmt.Fprintf(&b, "channels:\n  public: {from: %s, to: [%s]}\n", source, strings.Join(w.receivers, ", "))
	return b.String()
}

// configure replaces parts of the configuration, each of which must be there.
func (w *world) configure(oldNew ...string) {
	w.t.Helper()
	text := w.read("synchro.yaml")
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			w.t.Fatalf("%q is not in\n%s", oldNew[i], text)
		}
		text = strings.ReplaceAll(text, oldNew[i], oldNew[i+1])
	}
	w.write("synchro.yaml", text)
}

// end stops what runs and shows what a failure leaves to see.
func (w *world) end() {
	for _, p := range slices.Backward(w.processes) {
		if w.t.Failed() && p.running() {
			p.tellWhere()
		}
		p.kill()
	}
	for _, p := range w.processes {
		p.judge()
	}
	if w.t.Failed() {
		for _, p := range w.processes {
			w.t.Logf("the last lines of %s (status %d):\n%s", p.name, p.status, tail(beforeDump(p.output()), 15))
		}
		// Kept for whoever runs the test with -artifacts.
		if err := os.CopyFS(filepath.Join(w.t.ArtifactDir(), "world"+filepath.Base(w.dir)), os.DirFS(w.dir)); err != nil {
			w.t.Log(err)
		}
	}
}

// beforeDump leaves out where a process says it was when it was asked.
func beforeDump(text string) string {
	text, _, _ = strings.Cut(text, "SIGQUIT: quit")
	return text
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// freeAddress gives an address whose port lies below those that the system gives away: else
// somebody's connection may have it before the program listens there.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err == nil {
			must(t, l.Close())
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func (w *world) path(names ...string) string {
	return filepath.Join(append([]string{w.dir}, names...)...)
}

func (w *world) mkdir(names ...string) {
	w.t.Helper()
	must(w.t, os.MkdirAll(w.path(names...), 0o755))
}

func (w *world) write(name, text string) {
	w.t.Helper()
	must(w.t, os.MkdirAll(filepath.Dir(w.path(name)), 0o755))
	must(w.t, os.WriteFile(w.path(name), []byte(text), 0o644))
}

func (w *world) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(w.path(name))
	must(w.t, err)
	return string(data)
}

func (w *world) rename(from, to string) {
	w.t.Helper()
	must(w.t, os.Rename(w.path(from), w.path(to)))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check finds nothing missing any more.
func (w *world) eventually(what string, check func() (missing string)) {
	w.t.Helper()
	missing := ""
	for start := time.Now(); time.Since(start) < patience; time.Sleep(100 * time.Millisecond) {
		if missing = check(); missing == "" {
			return
		}
		w.alive()
	}
	w.t.Fatalf("waited %v in vain: %s: %s", patience, what, missing)
}

// alive fails when a process has ended that nobody has stopped.
func (w *world) alive() {
	w.t.Helper()
	for _, p := range w.processes {
		if p.died() {
			w.t.Fatalf("%s has ended by itself, with status %d:\n%s", p.name, p.status, tail(beforeDump(p.output()), 15))
		}
	}
}

// site is one entry of `status --json`. The names are those of the contract.
type site struct {
	Name       string   `json:"name"`
	State      string   `json:"state"`
	Reason     string   `json:"reason"`
	Pending    *int     `json:"pending"`
	LagSeconds *float64 `json:"lag_seconds"`
	Errors     *int     `json:"errors"`
	Folders    map[string]int
	Odd        []string
	Plugins    []struct{ ID, State, Reason string }
}

func (w *world) status() map[string]site {
	w.t.Helper()
	r := w.synchro("status", "--json")
	if r.status != 0 {
		return nil // the broker is just coming or going
	}
	var answer struct{ Sites []site }
	must(w.t, json.Unmarshal([]byte(r.stdout), &answer))
	sites := map[string]site{}
	for _, s := range answer.Sites {
		if s.Pending == nil || s.LagSeconds == nil || s.Errors == nil {
			w.t.Fatalf("status --json lacks a field: %s", r.stdout)
		}
		sites[s.Name] = s
	}
	return sites
}

// becomesEqual waits until the sites have what the source has, and nothing is pending.
func (w *world) becomesEqual(receivers ...string) {
	w.t.Helper()
	w.eventually("equal, and nothing pending", func() string {
		for _, name := range receivers {
			if d := differences(w.look(source, false), w.look(name, false)); d != "" {
				return name + ": " + d
			}
		}
		return w.unsettled(receivers...)
	})
	w.equal(receivers...)
}

// unsettled says what status shows that is not at rest.
func (w *world) unsettled(receivers ...string) string {
	w.t.Helper()
	sites := w.status()
	for _, name := range append([]string{source}, receivers...) {
		s, ok := sites[name]
		if !ok {
			return "no status of " + name
		}
		if s.State != "running" || *s.Pending > 0 || *s.Errors > 0 {
			return fmt.Sprintf("%s is %s with %d pending, %d errors: %s", name, s.State, *s.Pending, *s.Errors, s.Reason)
		}
	}
	return ""
}

// becomes waits for a state of a site and gives the reason that status shows for it.
func (w *world) becomes(name, state string) string {
	w.t.Helper()
	reason := ""
	w.eventually(name+" becomes "+state, func() string {
		s := w.status()[name]
		reason = s.Reason
		if s.State != state {
			return "it is " + s.State + " " + s.Reason
		}
		return ""
	})
	return reason
}

// equal fails when a site differs from the source in a name, bytes, mode or time.
func (w *world) equal(receivers ...string) {
	w.t.Helper()
	want := w.look(source, true)
	if len(want) == 0 {
		w.t.Fatal("the source is empty, so that equality proves nothing")
	}
	for _, name := range receivers {
		if d := differences(want, w.look(name, true)); d != "" {
			w.t.Fatalf("%s differs from the source: %s", name, d)
		}
	}
}
