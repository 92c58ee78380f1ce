//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"synchro.example/services/bridge/classictest"
)

// classicChanges is how many the original exports: created, edited, removed.
const classicChanges = 1000

// values are those of an object, by plugin, as the original sees them.
type values map[string]string

// TestOriginalExportsAndImportsThroughTheBridge has the package of 2008 at both ends, which
// knows nothing of what is between: its exports go from one queue to the broker and
// into another queue, and its importer finds the same as its exporter wrote.
func TestOriginalExportsAndImportsThroughTheBridge(t *testing.T) {
	original := classictest.New(t)
	w := newClassicWorld(t)
	w.start("synchro", "up")
	exported := make(chan []byte, 1)
	go func() {
		exported <- original.Queue(t, "export", w.path("one"), fmt.Sprint(classicChanges), w.path("export.zexp"))
	}()

	var want map[string]values
	start := time.Now()
	runs := 0
	for have := []byte(nil); ; runs++ {
		select {
		case said := <-exported:
			must(t, json.Unmarshal(said, &want))
			if len(want) < 100 {
				t.Fatalf("only %d objects are left of what was exported", len(want))
			}
		default:
		}
		have = original.Queue(t, "import", w.path("two"), w.path("site.json"))
		if want != nil && w.isWith(have, want) {
			break
		}
		if time.Since(start) > 2*patience {
			t.Fatalf("after %d imports the site still differs; the queues have %v and %v", runs, w.queued("one/EXPORT"), w.queued("two/IMPORT"))
		}
		w.alive()
	}
	figure(t, "the original through the bridge", "%d changes in %.1f s, %d imports", classicChanges, time.Since(start).Seconds(), runs+1)

	if left := w.queued("one/EXPORT"); left["TO_PROCESS"] != strays || left["PROCESSING"] != 0 || left["ERROR"] != 0 || left["DONE"] != classicChanges {
		t.Errorf("the queue of the exporter has %v", left)
	}
	if left := w.queued("two/IMPORT"); left["TO_PROCESS"] != 0 || left["PROCESSING"] != 0 || left["ERROR"] != 0 {
		t.Errorf("the queue of the importer has %v", left)
	}
	w.toldOfStrays(w.processes[0].output())
}

// strays are the files that nobody takes: two of newClassicWorld, and one that the exporter
// leaves, of an object whose uid no name of a file can have.
const strays = 3

// toldOfStrays holds that a log tells of each once, and of files with equal times.
func (w *world) toldOfStrays(log string) {
	w.t.Helper()
	for _, about := range []string{"TO_PROCESS/README", "is being written for long", "has a uid with _"} {
		if n := strings.Count(log, about); n != 1 {
			w.t.Errorf("the log tells of %q %d times", about, n)
		}
	}
	if !strings.Contains(log, "has the time of") {
		w.t.Error("the log tells of no files with equal times")
	}
}

func newClassicWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.write("synchro.yaml", fmt.Sprintf(`broker: {embedded: {dir: ./broker, listen: %q}}
sites:
  one: {queue: {path: ./one, rescan: 50ms}, accept: [zexp, fss, delete]}
  two: {queue: {path: ./two, rescan: 50ms}, accept: [zexp, fss, delete]}
channels:
  all: {from: one, to: [two]}
`, w.listen))
	for _, side := range []string{"EXPORT", "IMPORT"} {
		for _, state := range []string{"TO_PROCESS", "PROCESSING", "DONE", "ERROR"} {
			w.mkdir("one", side, state)
			w.mkdir("two", side, state)
		}
	}
	export, err := os.ReadFile("../../bridge/zexp/testdata/golden/content.python2.zexp")
	must(t, err)
	w.write("export.zexp", string(export))
	w.write("one/EXPORT/TO_PROCESS/README", "nobody reads me") // harmless, and stays
	const lock = "one/EXPORT/TO_PROCESS/data_u_1600000000.000000_7.zs.lock"
	w.write(lock, "half")
	must(t, os.Chtimes(w.path(lock), time.Time{}, time.Now().Add(-3*time.Hour)))
	return w
}

// isWith tells whether the site of the importer has what the exporter wrote.
func (w *world) isWith(have []byte, want map[string]values) bool {
	w.t.Helper()
	var got map[string]values
	must(w.t, json.Unmarshal(have, &got))
	return reflect.DeepEqual(got, want)
}

// queued counts the files in the folders of one side.
func (w *world) queued(side string) map[string]int {
	w.t.Helper()
	counts := map[string]int{}
	all, err := filepath.Glob(w.path(side, "*", "*"))
	must(w.t, err)
	for _, file := range all {
		counts[filepath.Base(filepath.Dir(file))]++
	}
	if strings.Contains(side, "IMPORT") {
		delete(counts, "DONE") // the log keeps the newest state only, so there may be fewer
	}
	return counts
}
