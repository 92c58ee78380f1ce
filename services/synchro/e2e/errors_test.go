//go:build unix

package e2e

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// failure is one element of `errors --json`. The names are those of the contract.
type failure struct {
	Site, Channel, UID, Path, Code, Class, Reason string

	Attempts    int
	First, Last time.Time
}

func (w *world) failures() []failure {
	w.t.Helper()
	r := w.succeeds("errors", "--json")
	var failures []failure
	if err := json.Unmarshal([]byte(r.stdout), &failures); err != nil || !strings.HasPrefix(r.stdout, "[") {
		w.t.Fatalf("errors --json is no array: %v\n%s", err, r.stdout)
	}
	var fields []map[string]any
	must(w.t, json.Unmarshal([]byte(r.stdout), &fields))
	for _, f := range fields {
		for _, name := range []string{"site", "channel", "uid", "path", "code", "class", "reason", "attempts", "first", "last"} {
			if _, ok := f[name]; !ok {
				w.t.Errorf("errors --json lacks %s: %v", name, f)
			}
		}
	}
	return failures
}

// obstructed is a world in which something foreign stands where a file belongs on
// paris, and something else where a folder belongs.
func obstructed(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "paris", "lyon")
	w.small()
	w.write(source+"/docs/guide/page.html", "<p>page</p>\n")
	w.write("paris/index.html/foreign", "a folder of somebody else")
	w.write("paris/docs", "a file of somebody else")
	return w
}

func (w *world) clearTheWay() {
	w.t.Helper()
	must(w.t, os.RemoveAll(w.path("paris/index.html")))
	must(w.t, os.Remove(w.path("paris/docs")))
}

// checkFailures looks at what `errors` lists of an obstructed world.
func (w *world) checkFailures() {
	w.t.Helper()
	byPath := map[string]failure{}
	for _, f := range w.failures() {
		byPath[f.Path] = f
	}
	want := []string{"docs", "docs/guide", "docs/guide/page.html", "index.html"}
	if got := sortedKeys(byPath); !slices.Equal(got, want) {
		w.t.Fatalf("errors lists %v, want %v", got, want)
	}
	for path, f := range byPath {
		code := "path-taken"
		if strings.Contains(path, "/") {
			code = "waiting"
		}
		if f.Code != code || f.Site != "paris" || f.Channel != "public" || f.UID == "" || f.Class == "" || f.Reason == "" ||
			f.First.IsZero() || f.Last.Before(f.First) || code == "path-taken" && f.Attempts < 1 {
			w.t.Errorf("got %+v, want the code %s", f, code)
		}
	}
}

func TestWhatStandsInTheWayIsListedAndReplayedWhenItIsGone(t *testing.T) {
	w := obstructed(t)
	w.refuses(3, upOnce, "ERROR")
	w.equal("lyon")
	if w.read("paris/news/first.html") != w.read(source+"/news/first.html") {
		t.Error("others are held back")
	}
	if w.read("paris/index.html/foreign") == "" || w.read("paris/docs") == "" {
		t.Error("what somebody else put there is gone")
	}
	w.checkFailures()
	w.refuses(3, upOnce, "ERROR") // it stays known
	w.checkFailures()

	w.clearTheWay()
	w.succeeds("replay")
	w.once()
	w.equal("paris", "lyon")
	if left := w.failures(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

func TestAReplayReachesARunningImporter(t *testing.T) {
	w := obstructed(t)
	w.start(synchro, "up")
	w.becomesEqual("lyon")
	w.eventually("four failures", func() string {
		if n := len(w.failures()); n != 4 {
			return "there are not four yet"
		}
		return ""
	})
	w.checkFailures()
	w.clearTheWay()
	w.succeeds("replay", "--site", "paris")
	w.becomesEqual("paris", "lyon")
	if left := w.failures(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}
