//go:build unix

package e2e

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/subject"
)

func TestUpOnceMakesReceiversEqualAndDoesNothingTwice(t *testing.T) {
	w := newWorld(t, "paris", "lyon", "nice")
	w.fill(normalParts...)
	objects := len(w.look(source, false))

	start := time.Now()
	first := w.once()
	copied := time.Since(start)
	w.equal(w.receivers...)
	for _, name := range append([]string{source}, w.receivers...) {
		if first[name] != objects {
			t.Errorf("first run: %s has %d changes, the source %d objects", name, first[name], objects)
		}
	}
	figure(t, "first copy to three receivers", "%.2f s for %d objects: %.0f objects/s on each receiver", copied.Seconds(), objects, float64(objects)/copied.Seconds())

	start = time.Now()
	unchanged(w)
	figure(t, "unchanged second run", "%.2f s; published 0, files written 0", time.Since(start).Seconds())
	w.compareWithCp(copied)

	edited(w)
	unchanged(w)
}

// unchanged runs once more, which must neither publish nor write.
func unchanged(w *world) {
	w.t.Helper()
	before := w.newest()
	lines := map[string]int{}
	for _, name := range w.receivers {
		lines[name] = len(w.writes(name, 0))
	}
	for name, n := range w.once() {
		if n != 0 {
			w.t.Errorf("a run without any change counts %d for %s", n, name)
		}
	}
	for _, name := range w.receivers {
		if more := w.writes(name, lines[name]); len(more) > 0 {
			w.t.Errorf("a run without any change writes %d times to %s: %v …", len(more), name, more[0])
		}
	}
	if after := w.newest(); !maps.Equal(after, before) {
		w.t.Errorf("a run without any change stores changes: the newest were %v, and are %v", before, after)
	}
}

// edited edits the source and runs once: everything must arrive, and what only moved
// costs one message and one rename.
func edited(w *world) {
	w.t.Helper()
	before, from := w.streams(), map[string]int{}
	for _, name := range w.receivers {
		from[name] = len(w.writes(name, 0))
	}
	moved := len(w.look(source+"/net", false))
	e := w.edit()
	counts := w.once()
	w.equal(w.receivers...)
	for _, name := range sortedKeys(counts) {
		if counts[name] != e.all() {
			w.t.Errorf("after %+v %s counts %d changes, want %d", e, name, counts[name], e.all())
		}
	}
	log := subject.ImportStream("public")
	if n := w.streams()[log].LastSeq - before[log].LastSeq; n != uint64(e.all()) {
		w.t.Errorf("after %+v %s got %d messages, want %d", e, log, n, e.all())
	}
	for _, name := range w.receivers {
		onlyRenamed(w, name, from[name])
	}
	figure(w.t, "renamed folder, changed, deleted, added", "%d messages for %+v; %d objects below the renamed folder cost none, each receiver renamed once", e.all(), e, moved)
}

// onlyRenamed checks that a site has got net2 by one rename.
func onlyRenamed(w *world, name string, from int) {
	w.t.Helper()
	renames := 0
	for _, l := range w.writes(name, from) {
		switch {
		case l.Path == "net2" && l.Op == "move":
			renames++
		case l.Path == "net2", strings.HasPrefix(l.Path, "net2/"):
			w.t.Errorf("%s: %s of %s, which only moved", name, l.Op, l.Path)
		}
	}
	if renames != 1 {
		w.t.Errorf("%s has renamed net2 %d times", name, renames)
	}
}

// compareWithCp measures what a user would do without: cp -a, three times.
func (w *world) compareWithCp(copied time.Duration) {
	w.t.Helper()
	run := func(args ...string) {
		if out, err := exec.CommandContext(w.t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			w.t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	start := time.Now()
	for _, n := range []string{"1", "2", "3"} {
		run("cp", "-a", w.path(source), w.path("copy"+n))
	}
	plain := time.Since(start)
	run("sync", "-f", w.dir)
	synced := time.Since(start)
	figure(w.t, "cp -a three times", "%.2f s, and %.2f s until the disk has it; Synchro's first copy takes %.1f and %.1f times as long",
		plain.Seconds(), synced.Seconds(), copied.Seconds()/plain.Seconds(), copied.Seconds()/synced.Seconds())
}

func TestSyncsPerFileAreCounted(t *testing.T) {
	if acceptance == "" {
		t.Skip("only for scripts/acceptance")
	}
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("there is no strace")
	}
	w := newWorld(t, "paris", "lyon", "nice")
	w.fill(normalParts...)
	objects := len(w.look(source, false))
	out := w.path("strace")
	cmd := exec.CommandContext(t.Context(), "strace", "-f", "-c", "--seccomp-bpf", "-e", "trace=fsync,fdatasync,syncfs", "-o", out,
		filepath.Join(programs, synchro), "up", "--once", "--config", w.path("synchro.yaml"))
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("strace does not work here: %v: %s", err, tail(string(b), 3))
	}
	w.equal(w.receivers...)
	figure(t, "calls to sync, first copy to three receivers", "%.2f for each object and receiver, the broker's included\n%s",
		float64(total(t, w.read("strace")))/float64(3*objects), strings.TrimSpace(w.read("strace")))
}

// total reads the number of calls from strace's last line.
func total(t *testing.T, table string) (calls int) {
	t.Helper()
	var percent, seconds, each string
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if _, err := fmt.Sscan(lines[len(lines)-1], &percent, &seconds, &each, &calls); err != nil {
		t.Fatalf("%v in %s", err, table)
	}
	return calls
}
