//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/subject"
)

// editors do random things to a site, as people do.
type editors struct {
	*plone
	random  *rand.Rand
	n       int
	done    map[string]int // what they did, how often
	removed int            // objects, with what they held
}

// pick gives one of the paths that meet a condition, empty when none does.
func (e *editors) pick(rows map[string]object, want func(path, typ string) bool) string {
	var all []string
	for _, p := range sortedKeys(rows) {
		if want(p, rows[p]["@type"].(string)) {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return all[e.random.IntN(len(all))]
}

func (e *editors) name() string { e.n++; return fmt.Sprintf("n%d", e.n) }

func (e *editors) make(in, typ string) {
	body := object{"@type": typ, "id": e.name(), "title": "made"}
	if typ == "Document" {
		body["text"] = object{"data": fmt.Sprintf("<p>%d &amp;amp; &amp;nbsp;</p>", e.n), "content-type": "text/html", "encoding": "utf8"}
	}
	e.call("POST", in, body)
}

// act does one thing. What turns out to be impossible is not done.
func (e *editors) act() {
	rows := e.rows()
	folder := e.pick(rows, func(_, typ string) bool { return typ == "Folder" })
	page := e.pick(rows, func(_, typ string) bool { return typ == "Document" })
	one := e.pick(rows, func(string, string) bool { return true })
	switch what := e.random.IntN(12); {
	case what < 2 || one == "" || folder == "":
		e.done["folder"]++
		e.make(folder, "Folder")
	case what < 4:
		e.done["page"]++
		e.make(folder, "Document")
	case what < 6:
		e.done["edit"]++
		e.call("PATCH", one, object{"title": e.name(), "subjects": []string{e.name()}})
	case what == 6 && !strings.HasPrefix(folder+"/", one+"/") && path.Dir(one) != folder:
		e.done["move"]++
		e.call("POST", folder+"/@move", object{"source": e.base + "/" + one})
	case what == 7:
		e.done["rename"]++
		e.call("PATCH", one, object{"id": e.name()})
	case what == 8 && strings.Contains(one, "/"):
		e.done["remove"]++
		for p := range rows {
			if p == one || strings.HasPrefix(p, one+"/") {
				e.removed++
			}
		}
		e.call("DELETE", one, nil)
	case what == 9 && !strings.HasPrefix(folder+"/", one+"/"):
		e.done["copy"]++
		e.call("POST", folder+"/@copy", object{"source": e.base + "/" + one})
	case what == 10 && page != "":
		e.done["workflow"]++
		e.try("POST", page+"/@workflow/"+[]string{"publish", "retract", "submit"}[e.random.IntN(3)], object{})
	case what == 11:
		if child := e.pick(rows, func(p, _ string) bool { return path.Dir(p) == folder }); child != "" {
			e.done["order"]++
			e.call("PATCH", folder, object{"ordering": object{"obj_id": path.Base(child), "delta": "top"}})
		}
	}
}

func TestWhateverEditorsDoToAPloneSiteTheTargetFollows(t *testing.T) {
	w, from, to := plones(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	e := &editors{plone: from, random: rand.New(rand.NewPCG(seed, 1)), done: map[string]int{}}
	w.start(synchro, "up")
	start := time.Now()
	for range pick(60, 300) {
		e.act()
	}
	acted := time.Since(start)
	w.eventually("the target has what the editors made", func() string {
		if d := differs(from, to); d != "" {
			return d
		}
		return w.unsettled("paris")
	})
	figure(t, "Plone, editors", "%v in %.1f s; equal %.1f s after the last; asked of the source: %s; of the target: %s",
		e.done, acted.Seconds(), (time.Since(start) - acted).Seconds(), from.requests(), to.requests())
	if n, ok := to.asked.Load("DELETE"); ok && int(n.(counter).Load()) > e.removed {
		t.Errorf("%d objects were removed, and the target was asked for %d removals: a move was made of a removal", e.removed, n.(counter).Load())
	}
	if failures := w.failures(); len(failures) > 0 {
		t.Errorf("there are failures: %v", failures)
	}
}

// counter is what plone counts with.
type counter interface{ Load() int64 }

func TestAPloneSiteWithoutChangesCostsLittle(t *testing.T) {
	w, from, _ := plones(t)
	const each = 100
	n := pick(200, 10_000)
	from.call("POST", "", object{"@type": "Folder", "id": "f", "title": "f"})
	for i := range each - 1 {
		from.call("POST", "f", object{"@type": "Document", "id": fmt.Sprintf("p%d", i), "title": fmt.Sprint("page ", i)})
	}
	for range n/each - 1 {
		from.call("POST", "@copy", object{"source": from.base + "/f"})
	}
	w.start(synchro, "broker")
	w.eventually("the broker answers", func() string {
		if w.status() == nil {
			return "it does not"
		}
		return ""
	})
	start := time.Now()
	w.start(synchro, "exporter", "--site", "hq")
	log := subject.ExportStream("hq")
	patience := time.Now().Add(10 * time.Minute)
	for int(w.streams()[log].Msgs) < n && time.Now().Before(patience) {
		time.Sleep(time.Second)
		w.alive()
	}
	figure(t, "Plone, exported at first", "%d objects in %.0f s", n, time.Since(start).Seconds())
	time.Sleep(pick(10*time.Second, 200*time.Second)) // what was made lately is asked for again for two minutes
	w.costs(from, fmt.Sprintf("Plone, %d objects, idle", n), func() { time.Sleep(20 * time.Second) })
	last := w.streams()[log].LastSeq
	w.costs(from, fmt.Sprintf("Plone, one edit in %d objects", n), func() {
		from.call("PATCH", "f/p7", object{"title": "edited"})
		w.eventually("the edit is in the log", func() string {
			if w.streams()[log].LastSeq == last {
				return "it is not"
			}
			return ""
		})
	})
}

// costs measures what something costs a site.
func (w *world) costs(p *plone, what string, do func()) {
	w.t.Helper()
	p.asked.Clear()
	p.sent.Store(0)
	start := time.Now()
	do()
	figure(w.t, what, "%.1f s; %s; %d KiB", time.Since(start).Seconds(), p.requests(), p.sent.Load()>>10)
}
