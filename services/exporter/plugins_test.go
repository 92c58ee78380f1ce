package exporter

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/blob"
	"synchro.example/shared/changelog"
	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/plugin"
	"synchro.example/shared/subject"
)

// asked are the calls of the plugins below.
var asked struct {
	sync.Mutex
	calls  []string
	refuse string // a path
}

// plugins gives the exporter two: one that writes down what it is asked, refuses a path, and
// changes nothing; and one that adds a payload of its own.
func plugins(t *testing.T, w *world) (listens, adds func(*Options)) {
	t.Helper()
	registerOnce.Do(func() {
		w.must(plugin.Register(plugin.Plugin{ID: "listens", Export: func(_ context.Context, c *plugin.Call) ([]plugin.Part, error) {
			asked.Lock()
			defer asked.Unlock()
			asked.calls = append(asked.calls, string(c.Operation)+" "+c.Change.Object.Path)
			if c.Change.Object.Path == asked.refuse {
				return nil, plugin.Refuse("not that one")
			}
			return nil, nil
		}}))
		w.must(plugin.Register(plugin.Plugin{ID: "adds", Events: []content.Kind{content.Modified}, Export: func(_ context.Context, c *plugin.Call) ([]plugin.Part, error) {
			text := []byte(strings.ToUpper(c.Change.Object.Name))
			return []plugin.Part{{Index: plugin.Added, Payload: content.Payload{Inline: text, Size: int64(len(text)), SHA256: sha256.Sum256(text)}}}, nil
		}}))
	})
	asked.Lock()
	defer asked.Unlock()
	asked.calls, asked.refuse = nil, ""
	with := func(id string) func(*Options) {
		return func(o *Options) {
			o.Plugins = plugin.Open("hq", []config.Plugin{{ID: id, Sides: []string{"export"}}}, w.nc, blob.New(w.js))
		}
	}
	return with("listens"), with("adds")
}

var registerOnce sync.Once

func wantAsked(t *testing.T, want ...string) {
	t.Helper()
	asked.Lock()
	defer asked.Unlock()
	if slices.Sort(asked.calls); !slices.Equal(asked.calls, want) {
		t.Fatalf("the plugin was asked %q, want %q", asked.calls, want)
	}
	asked.calls = nil
}

func (w *world) payloads(name string) (list []string) {
	w.t.Helper()
	for uid, found := range w.uids() {
		if found != name {
			continue
		}
		c, err := changelog.NewestChange(w.t.Context(), w.js, subject.ExportStream("hq"), subject.ExportToProcess("hq", uid))
		w.must(err)
		for _, p := range c.Payloads {
			list = append(list, p.Plugin+" "+string(p.Inline))
		}
	}
	return list
}

func (w *world) uids() map[string]string {
	w.t.Helper()
	e := w.exporter()
	w.must(e.load(w.t.Context()))
	uids := map[string]string{}
	for uid := range e.inv.tree.All() {
		p, _ := e.inv.tree.Place(uid)
		uids[uid] = p.Name
	}
	return uids
}

func TestEverythingPassesThroughThePluginsOfASourceOnce(t *testing.T) {
	w := newWorld(t)
	listens, _ := plugins(t, w)
	w.must(w.site.Put("a", contenttest.Leaf("a", 1)))
	w.wantPublished(1, listens)
	wantAsked(t, "modified a")
	w.wantPublished(0, listens)
	wantAsked(t)
	w.must(w.site.Put("a", contenttest.Leaf("b", 1)))
	w.must(w.site.Put("c", contenttest.Leaf("c", 1)))
	w.wantPublished(2, listens)
	wantAsked(t, "modified a", "modified c")
	w.must(w.site.Remove("a"))
	w.wantPublished(1, listens)
	wantAsked(t, "removed a")
}

func TestOtherPluginsAreAskedAboutWhatIsInTheLogAlready(t *testing.T) {
	w := newWorld(t)
	listens, adds := plugins(t, w)
	w.must(w.site.Put("a", contenttest.Leaf("text", 1)))
	w.wantPublished(1)
	if got := w.payloads("a"); len(got) != 2 {
		t.Fatalf("got %q", got)
	}
	w.wantPublished(1, adds)
	if got := w.payloads("a"); len(got) != 3 || got[2] != "adds A" {
		t.Fatalf("got %q", got)
	}
	w.wantPublished(0, adds)
	w.wantPublished(1, listens)
	w.wantPublished(0, listens) // although the plugin changes nothing
	wantAsked(t, "modified a")
	w.wantPublished(1)
	w.wantPublished(0)
	if got := w.payloads("a"); len(got) != 2 {
		t.Fatalf("got %q", got)
	}
}

func TestVerifyDoesNotTakeThePluginsWorkForADifference(t *testing.T) {
	w := newWorld(t)
	_, adds := plugins(t, w)
	w.must(w.site.Put("a", contenttest.Leaf("text", 1)))
	w.settle(adds)
	w.must(w.site.Put("a", contenttest.Leaf("text", 1))) // the same with another fingerprint
	found, err := w.exporter(adds).Verify(t.Context())
	if err != nil || len(found) > 0 {
		t.Errorf("verify finds %v, %v", found, err)
	}
}

func TestAnObjectThatAPluginRefusesStaysAsTheLogHasIt(t *testing.T) {
	w := newWorld(t)
	listens, _ := plugins(t, w)
	asked.refuse = "b"
	for _, p := range []string{"a", "b", "c"} {
		w.must(w.site.Put(p, contenttest.Leaf(p, 1)))
	}
	w.start(w.exporter(listens))
	w.eventually("it is listed", func() bool { return slices.Equal(w.failures(), []string{"export b plugin-refused"}) })
	w.eventually("the others pass", func() bool { return len(w.log()) == 2 })
	asked.Lock()
	asked.refuse = ""
	asked.Unlock()
	w.eventually("it passes", func() bool { return len(w.failures()) == 0 && len(w.log()) == 3 })
}

func TestASourceWhosePluginIsDownIsPausedAndLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.must(w.site.Put("a", contenttest.Leaf("a", 1)))
	e := w.exporter(func(o *Options) {
		entry := config.Plugin{ID: "outside", Sides: []string{"export"}, Timeout: config.Duration(time.Second)}
		o.Plugins = plugin.Open("hq", []config.Plugin{entry}, w.nc, blob.New(w.js))
	})
	w.start(e)
	w.eventually("it is paused", func() bool {
		r := e.said()
		return r.State == "paused" && strings.Contains(r.Reason, "plugin outside") && r.Plugins[0].State == "down"
	})
	if len(w.log()) > 0 || len(w.failures()) > 0 {
		t.Errorf("the log has %v, failures %v", w.log(), w.failures())
	}
	sub, err := w.nc.Subscribe(subject.Plugin("outside", "export"), func(m *nats.Msg) { _ = m.Respond(nil) })
	w.must(err)
	defer func() { _ = sub.Unsubscribe() }()
	w.eventually("it goes on", func() bool { return len(w.log()) == 1 && e.said().State == "running" })
}
