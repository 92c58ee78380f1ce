//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// newCircle makes sites each of which sends to the next, and the last to the first.
func newCircle(t *testing.T, sites ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), listen: freeAddress(t), receivers: sites}
	t.Cleanup(w.end)
	var b strings.Builder
	fmt.Fprintf(&b, "broker: {embedded: {dir: ./broker, listen: %q}}\nsites:\n", w.listen)
	for _, site := range sites {
		fmt.Fprintf(&b, "  %s: {folder: {path: ./%s, writes: ./%s.writes, rescan: 2s}, max_removals: 100%%}\n", site, site, site)
		w.mkdir(site)
	}
	b.WriteString("channels:\n")
	for i, site := range sites {
		next := sites[(i+1)%len(sites)]
		fmt.Fprintf(&b, "  %s-%s: {from: %s, to: [%s]}\n", site, next, site, next)
	}
	w.write("synchro.yaml", b.String())
	return w
}

// agrees waits until all sites have the same, and nothing happens any more.
func (w *world) agrees() map[string]entry {
	w.t.Helper()
	quiet := 0
	before := ""
	w.eventually("the sites agree", func() string {
		first := w.look(w.receivers[0], true)
		for _, other := range w.receivers[1:] {
			if d := differences(first, w.look(other, true)); d != "" {
				quiet = 0
				return fmt.Sprintf("%s and %s: %s", w.receivers[0], other, d)
			}
		}
		for name, s := range w.status() {
			if s.State != "running" || *s.Pending > 0 || *s.Errors > 0 {
				quiet = 0
				return fmt.Sprintf("%s is %s with %d pending, %d errors: %s", name, s.State, *s.Pending, *s.Errors, s.Reason)
			}
		}
		if now := fmt.Sprint(w.passed(), first); now != before {
			before, quiet = now, 0
			return "something still happens"
		}
		if quiet++; quiet < 12 { // longer than a scan
			return "it may still happen"
		}
		return ""
	})
	return w.look(w.receivers[0], true)
}

// passed counts the changes that each channel has ever carried.
func (w *world) passed() map[string]uint64 {
	w.t.Helper()
	all := map[string]uint64{}
	for name, s := range w.streams() {
		if channel, ok := strings.CutPrefix(name, "IMPORT_"); ok {
			all[channel] = s.LastSeq
		}
	}
	return all
}

func (w *world) appendTo(name, text string) {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), os.O_APPEND|os.O_WRONLY, 0)
	must(w.t, err)
	_, err = f.WriteString(text)
	must(w.t, err)
	must(w.t, f.Close())
}

// pages makes n files in folders of ten below a folder of a site.
func (w *world) pages(site, folder string, n int) {
	for i := range n {
		w.write(fmt.Sprintf("%s/%s/%d/p%d.html", site, folder, i/10, i), fmt.Sprintf("page %d of %s\n", i, folder))
	}
}

func TestTwoSitesSendEachOtherTheirEditsAndNothingComesBack(t *testing.T) {
	const each = 1000
	w := newCircle(t, "a", "b")
	w.pages("a", "from-a", each)
	w.pages("b", "from-b", each)
	w.start(synchro, "up")
	w.agrees()
	objects := uint64(each + each/10 + 1)
	if got := w.passed(); got["a-b"] != objects || got["b-a"] != objects {
		t.Errorf("the channels carried %v, each has %d objects of its own to carry", got, objects)
	}

	before, start := w.passed(), time.Now()
	for i := range each { // each edits what the other has made
		w.appendTo(fmt.Sprintf("a/from-b/%d/p%d.html", i/10, i), "edited at a\n")
		w.appendTo(fmt.Sprintf("b/from-a/%d/p%d.html", i/10, i), "edited at b\n")
	}
	final := w.agrees()
	after := w.passed()
	if a, b := after["a-b"]-before["a-b"], after["b-a"]-before["b-a"]; a != each || b != each {
		t.Errorf("%d and %d changes passed for %d edits on each side", a, b, each)
	}
	if want := int(2 * objects); len(final) != want {
		t.Errorf("there are %d objects, want %d", len(final), want)
	}
	for i := range each {
		if got := w.read(fmt.Sprintf("a/from-a/%d/p%d.html", i/10, i)); !strings.HasSuffix(got, "edited at b\n") {
			t.Fatalf("page %d is %q", i, got)
		}
	}
	figure(t, "1,000 edits on each of two sites at once", "equal and quiet after %.1f s, %v changes passed", time.Since(start).Seconds(), after)
}

// overruled gives the changes that lost to others, by path.
func (w *world) overruled() map[string]string {
	w.t.Helper()
	var entries []struct {
		Site, Path, Reason string
		Closed             struct{ As string }
	}
	must(w.t, json.Unmarshal([]byte(w.succeeds("errors", "--closed", "--json").stdout), &entries))
	lost := map[string]string{}
	for _, e := range entries {
		if e.Closed.As == "overruled" {
			lost[e.Path] += e.Site + ": " + e.Reason + "\n"
		}
	}
	return lost
}

func TestWhenTwoSitesEditOneObjectTheLaterWinsOnBoth(t *testing.T) {
	w := newCircle(t, "a", "b")
	w.pages("a", "news", 100)
	w.start(synchro, "up")
	w.agrees()
	for i := range 100 {
		name := fmt.Sprintf("news/%d/p%d.html", i/10, i)
		w.write("a/"+name, fmt.Sprintf("a wrote %d\n", i))
		w.write("b/"+name, fmt.Sprintf("b wrote %d\n", i))
	}
	w.write("a/same.html", "made at a\n")
	w.write("b/same.html", "made at b\n")
	for name, e := range w.agrees() {
		if e.mode.IsRegular() && !strings.Contains(w.read("b/"+name), " wrote ") && name != "same.html" {
			t.Errorf("%s is %q", name, w.read("b/"+name))
		}
	}
	lost := w.overruled()
	if len(lost) < 90 {
		t.Errorf("%d edits are told to have lost, of about 101", len(lost))
	}
	t.Logf("%d edits lost: %s", len(lost), lost["news/0/p0.html"])
}

func TestMovesAndRemovalsGoRoundACircleOfThree(t *testing.T) {
	w := newCircle(t, "a", "b", "c")
	w.pages("a", "one", 50)
	w.pages("b", "two", 50)
	w.pages("c", "three", 50)
	w.start(synchro, "up")
	if got := len(w.agrees()); got != 3*(50+5+1) {
		t.Fatalf("there are %d objects", got)
	}
	w.rename("b/one", "b/uno")                                 // made at a, moved at b
	must(t, os.RemoveAll(w.path("c", "two")))                  // made at b, removed at c
	w.write("a/three/0/p0.html", "edited at a\n")              // made at c, edited at a
	w.rename("a/three/1/p10.html", "a/three/2/elsewhere.html") // made at c, moved at a
	final := w.agrees()
	for name, want := range map[string]bool{"uno/0/p0.html": true, "one": false, "two": false, "three/2/elsewhere.html": true, "three/1/p10.html": false} {
		if _, got := final[name]; got != want {
			t.Errorf("%s is there: %v", name, got)
		}
	}
	if got := w.read("b/three/0/p0.html"); got != "edited at a\n" {
		t.Errorf("b has %q", got)
	}
	if r := w.synchro("verify"); r.status != 0 {
		t.Errorf("verify ends with %d:\n%s%s", r.status, r.stdout, r.stderr)
	}
	if passed := w.passed(); passed["a-b"] > 3*60+70 || passed["b-c"] > 3*60+70 || passed["c-a"] > 3*60+70 {
		t.Errorf("more passed than was done: %v", passed)
	}
}

func TestAFolderThatIsRemovedAndFilledAtTheSameTimeStays(t *testing.T) {
	w := newCircle(t, "a", "b")
	w.pages("a", "news", 10)
	w.start(synchro, "up")
	w.agrees()
	w.write("b/news/0/new.html", "put in at b\n")
	must(t, os.RemoveAll(w.path("a", "news")))
	if final := w.agrees(); final["news/0/new.html"].size == 0 {
		t.Errorf("what was put in is lost: %v", sortedKeys(final))
	}
}

func TestKillingTheProcessOfACircleLosesNothing(t *testing.T) {
	long(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	w := newCircle(t, "a", "b")
	w.pages("a", "from-a", 1000)
	w.pages("b", "from-b", 1000)
	for round := range pick(5, 20) {
		p := w.start(synchro, "up")
		for i := range 200 {
			n := rnd.IntN(1000)
			w.write(fmt.Sprintf("a/from-a/%d/p%d.html", n/10, n), fmt.Sprintf("round %d edit %d\n", round, i))
			n = rnd.IntN(1000)
			w.write(fmt.Sprintf("b/from-b/%d/p%d.html", n/10, n), fmt.Sprintf("round %d edit %d\n", round, i))
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(2500 * time.Millisecond))))
		p.kill()
	}
	want := map[string]entry{}
	for site, folder := range map[string]string{"a": "from-a", "b": "from-b"} {
		for name, e := range w.look(site+"/"+folder, true) {
			want[folder+"/"+name] = e
		}
	}
	w.start(synchro, "up")
	final := w.agrees()
	for name, e := range want {
		if e.mode.IsRegular() && final[name].digest != e.digest {
			t.Errorf("%s is not as its editor left it: %q", name, w.read("a/"+name))
		}
	}
	if lost := w.overruled(); len(lost) > 0 {
		t.Errorf("edits are told to have lost, although nobody edited beside another: %v", lost)
	}
	figure(t, "kill -9 of two sites that send to each other", "equal; %v changes passed, %d objects", w.passed(), len(final))
}

// editor is somebody who works on one site, at random.
type editor struct {
	*world
	site string
	rnd  *rand.Rand
	// places counts where this editor has moved something to, which is a new one each time.
	places int
}

// work makes, edits, moves and removes files and folders, but for the four that all stand in.
// What somebody else has just moved or removed is left.
func (e *editor) work(steps int) {
	for i := range steps {
		tree := e.look(e.site, false)
		names := slices.DeleteFunc(sortedKeys(tree), func(name string) bool { return !strings.Contains(name, "/") })
		name := fmt.Sprintf("d%d", e.rnd.IntN(4))
		if len(names) > 0 {
			name = names[e.rnd.IntN(len(names))]
		}
		path := e.path(e.site, name)
		switch what := e.rnd.IntN(10); {
		case what < 3:
			dir := e.path(e.site, fmt.Sprintf("d%d", e.rnd.IntN(4)))
			_ = os.MkdirAll(dir, 0o755)
			_ = os.WriteFile(fmt.Sprintf("%s/f%d", dir, e.rnd.IntN(20)), fmt.Appendf(nil, "%s made %d\n", e.site, i), 0o600)
		case what < 7 && tree[name].mode.IsRegular():
			if f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0); err == nil {
				_, _ = fmt.Fprintf(f, "%s edited %d\n", e.site, i)
				_ = f.Close()
			}
		case what < 9 && len(names) > 0:
			e.places++
			_ = os.Rename(path, e.path(e.site, fmt.Sprintf("d%d/%s%d", e.rnd.IntN(4), e.site, e.places)))
		case what == 9 && tree[name].mode.IsRegular() || e.rnd.IntN(10) == 0:
			_ = os.RemoveAll(path)
		}
		time.Sleep(time.Duration(e.rnd.IntN(30)) * time.Millisecond)
	}
}

func TestSitesThatAreEditedAtRandomAgreeInTheEnd(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	for _, sites := range [][]string{{"a", "b"}, {"a", "b", "c"}} {
		w := newCircle(t, sites...)
		w.start(synchro, "up")
		for range pick(2, 10) {
			var all sync.WaitGroup
			for i, site := range sites {
				e := &editor{world: w, site: site, rnd: rand.New(rand.NewPCG(seed, uint64(i)))}
				all.Go(func() { e.work(150) })
			}
			all.Wait()
			seed++
			final := w.agrees()
			if r := w.synchro("verify"); r.status != 0 {
				t.Errorf("verify ends with %d:\n%s%s", r.status, r.stdout, r.stderr)
			}
			t.Logf("%d objects, %v passed, %d edits lost", len(final), w.passed(), len(w.overruled()))
		}
	}
}

func TestWhatLeavesAChannelOfACircleStaysWhereItWasMade(t *testing.T) {
	w := newCircle(t, "a", "b", "c")
	shared := `, expression: "python: object.getPhysicalPath()[1] == 'shared'"}`
	for _, channel := range []string{"a-b: {from: a, to: [b]", "b-c: {from: b, to: [c]", "c-a: {from: c, to: [a]"} {
		w.configure(channel+"}", channel+shared)
	}
	w.pages("a", "shared", 30)
	w.write("a/own.html", "only at a\n")
	w.write("b/own.html", "only at b\n")
	w.start(synchro, "up")
	w.has("c", slices.DeleteFunc(sortedKeys(w.look("a", false)), func(p string) bool { return p == "own.html" })...)
	w.appendTo("c/shared/0/p0.html", "edited at c\n")
	w.eventually("a has the edit", func() string {
		if text := w.read("a/shared/0/p0.html"); !strings.HasSuffix(text, "edited at c\n") {
			return text
		}
		return ""
	})
	w.rename("a/shared/0", "a/private") // made at a, edited at c
	w.eventually("it is gone from where the channel leads", func() string {
		if _, there := w.look("b", false)["shared/0/p0.html"]; there {
			return "b has it"
		}
		return ""
	})
	time.Sleep(4 * time.Second) // longer than it takes to go round
	if _, there := w.look("c", false)["shared/0/p0.html"]; !there {
		t.Error("it is gone from a site behind")
	}
	if got := w.read("a/private/p0.html"); !strings.HasSuffix(got, "edited at c\n") {
		t.Errorf("a has %q", got)
	}
	for site, want := range map[string]string{"a": "only at a\n", "b": "only at b\n"} {
		if got := w.read(site + "/own.html"); got != want {
			t.Errorf("%s has %q", site, got)
		}
	}
	w.rename("a/private", "a/shared/back")
	for _, site := range []string{"b", "c"} {
		w.eventually(site+" has it again", func() string {
			if _, there := w.look(site, false)["shared/back/p0.html"]; !there {
				return "it has not"
			}
			return ""
		})
	}
	if r := w.synchro("errors"); r.status != 0 || !strings.Contains(r.stdout, "Nothing has failed.") {
		t.Errorf("something has failed: %s", r.stdout)
	}
}

func TestKillingAnyProcessOfACircleLosesNothing(t *testing.T) {
	long(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	w := newCircle(t, "a", "b")
	w.pages("a", "from-a", 300)
	w.pages("b", "from-b", 300)
	commands := map[string][]string{"broker": {synchro, "broker"}, "relay": {synchro, "relay"}}
	for _, site := range w.receivers {
		commands["exporter "+site] = []string{synchro, "exporter", "--site", site}
		commands["importer "+site] = []string{synchro, "importer", "--site", site}
	}
	alive := map[string]*process{"broker": w.start(commands["broker"]...)}
	w.listens()
	names := sortedKeys(commands)
	for _, name := range names {
		if name != "broker" {
			alive[name] = w.start(commands[name]...)
		}
	}
	for round := range pick(12, 100) {
		for i := range 60 {
			n := rnd.IntN(300)
			w.write(fmt.Sprintf("a/from-a/%d/p%d.html", n/10, n), fmt.Sprintf("round %d edit %d\n", round, i))
			w.write(fmt.Sprintf("b/from-b/%d/new-%d-%d.html", n/10, round, i), "new\n")
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(700 * time.Millisecond))))
		name := names[rnd.IntN(len(names))]
		alive[name].kill()
		time.Sleep(time.Duration(rnd.Int64N(int64(300 * time.Millisecond))))
		if alive[name] = w.start(commands[name]...); name == "broker" {
			w.listens()
		}
	}
	want := w.look("b/from-b", true)
	mine := w.look("a/from-a", true)
	final := w.agrees()
	for name, e := range mine {
		if e.mode.IsRegular() && final["from-a/"+name].digest != e.digest {
			t.Errorf("%s is not as its editor left it", name)
		}
	}
	for name := range want {
		if _, there := final["from-b/"+name]; !there {
			t.Errorf("%s is lost", name)
		}
	}
	if lost := w.overruled(); len(lost) > 0 {
		t.Errorf("edits are told to have lost, although nobody edited beside another: %v", lost)
	}
	figure(t, "kill -9 of each process of two sites that send to each other", "equal; %v changes passed, %d objects", w.passed(), len(final))
}

func TestAnEditThatIsNotSentYetIsNotOverwritten(t *testing.T) {
	w := newCircle(t, "a", "b")
	w.write("a/page.html", "first\n")
	w.start(synchro, "broker")
	w.listens()
	w.start(synchro, "relay")
	var exporter *process
	for _, site := range w.receivers {
		w.start(synchro, "importer", "--site", site)
		exporter = w.start(synchro, "exporter", "--site", site)
	}
	w.agrees()
	exporter.stop() // that of b
	w.write("b/page.html", "edited at b\n")
	w.write("a/page.html", "edited at a\n")
	w.eventually("the edit of a waits", func() string {
		return map[bool]string{false: "it does not"}[strings.Contains(w.synchro("errors").stdout, "edited")]
	})
	if got := w.read("b/page.html"); got != "edited at b\n" {
		t.Fatalf("b has %q", got)
	}
	w.start(synchro, "exporter", "--site", "b")
	w.agrees()
	if got := w.read("a/page.html"); got != "edited at b\n" || len(w.overruled()) != 1 {
		t.Errorf("a has %q, lost: %v", got, w.overruled())
	}
}
