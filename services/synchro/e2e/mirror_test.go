//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// shows waits until a folder of mirrors has so many files in each of its folders.
func (w *world) shows(side, want string) {
	w.t.Helper()
	w.eventually("the mirror shows "+side, func() string {
		counts := map[string]int{}
		all, err := filepath.Glob(w.path(side, "*", "data_*.json"))
		must(w.t, err)
		for _, file := range all {
			counts[filepath.Base(filepath.Dir(file))]++
		}
		if got := fmt.Sprint(counts); got != want {
			return got + ", and not " + want
		}
		return ""
	})
}

// TestMirrorShowsTheStateOfASite has a source and a receiver shown, after one run and
// during another, with a file that fails and is replayed, and a mirror that is deleted.
func TestMirrorShowsTheStateOfASite(t *testing.T) {
	w := newWorld(t, "paris")
	w.configure("hq: {", "hq: {mirror: ./look-hq, ", "paris: {", "paris: {attempts: 1, mirror: ./look-paris, ")
	w.write("hq/a/one", "1")
	w.write("hq/two", "2")
	if r := w.synchro("up", "--once"); r.status != 0 {
		t.Fatalf("status %d: %s", r.status, r.stderr)
	}
	w.shows("look-hq/EXPORT", "map[DONE:3]")
	w.shows("look-paris/IMPORT", "map[DONE:3]")

	w.mkdir("paris", "three", "foreign")
	w.write("hq/three", "a folder of somebody else is in the way")
	w.start("synchro", "up")
	w.shows("look-paris/IMPORT", "map[DONE:3 ERROR:1]")
	must(t, os.RemoveAll(w.path("look-paris")))
	w.shows("look-paris/IMPORT", "map[DONE:3 ERROR:1]")
	must(t, os.RemoveAll(w.path("paris", "three")))
	w.succeeds("replay", "--site", "paris")
	w.shows("look-paris/IMPORT", "map[DONE:4]")
	w.shows("look-hq/EXPORT", "map[DONE:4]")
}

// TestMirrorGoesOnAfterTheBrokerWasKilled has each service as a process of its own; two of
// them keep a side each of mirrors.
func TestMirrorGoesOnAfterTheBrokerWasKilled(t *testing.T) {
	w := newWorld(t, "paris")
	w.configure("hq: {", "hq: {mirror: ./look-hq, ", "paris: {", "paris: {mirror: ./look-paris, ")
	f := thin(w)
	f.up("broker", "exporter", "relay", "paris")
	w.write("hq/one", "1")
	w.shows("look-paris/IMPORT", "map[DONE:1]")
	f.alive["broker"].kill()
	w.write("hq/two", "2")
	f.up("broker")
	w.shows("look-paris/IMPORT", "map[DONE:2]")
	w.shows("look-hq/EXPORT", "map[DONE:2]")
}
