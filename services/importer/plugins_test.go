package importer

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/micro"

	"synchro.example/shared/blob"
	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/locate"
	"synchro.example/shared/plugin"
	"synchro.example/shared/status"
	"synchro.example/shared/subject"
)

// plugins gives the importer the plugins of its site.
func (w *world) plugins(list ...config.Plugin) func(*Options) {
	for i := range list {
		p := &list[i]
		if p.Sides == nil {
			p.Sides = []string{"import", "locate"}
		}
		p.Format, p.Timeout = cmp.Or(p.Format, config.FormatJSON), cmp.Or(p.Timeout, config.Duration(10*time.Second))
	}
	return func(o *Options) { o.Plugins = plugin.Open("paris", list, w.nc, blob.New(w.js)) }
}

// call is what a program is asked.
type call struct {
	Operation, Path, From, To, Version, UID string
}

// serve answers for a plugin until stop is called.
func (w *world) serve(id string, answer func(side string, c call, r micro.Request)) (stop func()) {
	w.t.Helper()
	s, err := micro.AddService(w.nc, micro.Config{Name: subject.PluginService(id), Version: "1.0.0"})
	w.must(err)
	for _, side := range []string{"import", "locate"} {
		w.must(s.AddEndpoint(side, micro.HandlerFunc(func(r micro.Request) {
			var c call
			if err := json.Unmarshal(r.Data(), &c); err != nil {
				w.t.Error(err)
			}
			answer(side, c, r)
		}), micro.WithEndpointSubject(subject.Plugin(id, side))))
	}
	stop = sync.OnceFunc(func() { _ = s.Stop() })
	w.t.Cleanup(stop)
	return stop
}

func fine(_ string, _ call, r micro.Request) { _ = r.Respond(nil) }

// shout is a plugin that writes the bytes of all files in capitals, as long as it is on.
var shout = struct {
	sync.Once
	off atomic.Bool
}{}

func shouts(t *testing.T) {
	t.Helper()
	shout.Do(func() {
		err := plugin.Register(plugin.Plugin{ID: "shout", Import: func(ctx context.Context, c *plugin.Call) ([]plugin.Part, error) {
			i := slices.IndexFunc(c.Change.Payloads, func(p content.Payload) bool { return p.Plugin == content.PluginFSS })
			if i < 0 || shout.off.Load() {
				return nil, nil
			}
			r, err := c.Open(ctx, &c.Change.Payloads[i])
			if err != nil {
				return nil, err
			}
			defer r.Close()
			data, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			p, err := c.Store(ctx, strings.NewReader(strings.ToUpper(string(data))))
			return []plugin.Part{{Index: i, Payload: p}}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
	})
	shout.off.Store(false)
}

func (w *world) wantData(p, want string) {
	w.t.Helper()
	things, err := w.site.Things()
	w.must(err)
	if got := things[p].Data; got != want {
		w.t.Fatalf("%s has %q, want %q", p, got, want)
	}
}

func TestTheSiteGetsWhatPluginsMakeOfAChangeAndIsHeldAgainstThat(t *testing.T) {
	shouts(t)
	w := newWorld(t)
	with := w.plugins(config.Plugin{ID: "shout"})
	w.publish(w.put("a", folder()), w.put("a/b", page("hello")))
	w.settle(with)
	w.wantData("a/b", "HELLO")
	w.wantVerified()
	before := w.site.Effects()
	w.settle(with, w.inspected, func(o *Options) { o.Repair = true })
	if got := w.site.Effects(); got != before {
		t.Errorf("a second run has %d effects: it takes the plugin's work for somebody else's", got-before)
	}
}

func TestBytesComeAnewWhenAPluginMakesOthersOfTheSame(t *testing.T) {
	shouts(t)
	w := newWorld(t)
	with := w.plugins(config.Plugin{ID: "shout"})
	var same atomic.Bool
	w.site.OnApplied = func(_ context.Context, op content.Op) error {
		same.Store(op.SameBytes)
		return nil
	}
	for i, step := range []struct {
		off  bool
		want string
		same bool
	}{{false, "HELLO", false}, {false, "HELLO", true}, {true, "hello", false}, {true, "hello", true}, {false, "HELLO", false}} {
		shout.off.Store(step.off)
		w.publish(w.put("b", contenttest.Leaf("hello", i+1)))
		w.settle(with)
		w.wantData("b", step.want)
		if same.Load() != step.same {
			t.Errorf("step %d: the driver is told %v of whether the bytes are the same", i, same.Load())
		}
	}
	w.wantVerified()
}

func TestWhatAPluginMadeBeforeACrashIsFoundAgain(t *testing.T) {
	shouts(t)
	w := newWorld(t)
	with := w.plugins(config.Plugin{ID: "shout"})
	w.publish(w.put("page", page("text")))
	w.dies(with)
	w.want("page")
	w.publish(w.remove("page", content.TypeFile))
	w.settle(w.inspected, with)
	w.want()
}

func TestAPluginThatIsDownPausesTheSiteAndNothingIsLost(t *testing.T) {
	w := newWorld(t)
	i := w.importer(w.plugins(config.Plugin{ID: "audit"}))
	w.start(i)
	w.publish(w.put("a", folder()), w.put("a/b", page("b")), w.put("c", page("c")))
	w.eventually("it is paused", func() bool { return i.report.Load().State == status.Paused })
	if r := i.said(); !strings.Contains(r.Reason, "plugin audit") || !strings.Contains(r.Reason, "nobody answers on synchro.plugin.audit") || r.Plugins[0].State != status.Down {
		t.Errorf("status says %+v", r)
	}
	time.Sleep(time.Second) // several probes
	w.wantFailures()
	w.want()
	stop := w.serve("audit", fine)
	w.eventually("it goes on", func() bool { return w.has("a", "a/b", "c") })
	w.eventually("it says so", func() bool { r := i.said(); return r.State == status.Running && r.Plugins[0].State == status.Up })
	stop()
	w.publish(w.put("d", page("d")))
	w.eventually("it is paused again", func() bool { return i.report.Load().State == status.Paused })
	w.serve("audit", fine)
	w.eventually("it goes on again", func() bool { return w.has("a", "a/b", "c", "d") })
	w.wantFailures()
}

func TestAPluginThatComesBackAndRefusesHoldsNobodyElse(t *testing.T) {
	w := newWorld(t)
	i := w.importer(w.plugins(config.Plugin{ID: "audit"}), func(o *Options) { o.Workers = 1 })
	w.start(i)
	w.publish(w.put("a", page("a")))
	w.eventually("it is paused", func() bool { return i.report.Load().State == status.Paused })
	w.publish(w.put("b", page("b")))
	w.serve("audit", func(_ string, c call, r micro.Request) {
		if c.Path == "a" {
			_ = r.Error("409", "not this one", nil)
			return
		}
		_ = r.Respond(nil)
	})
	w.eventually("the other one arrives", func() bool { return w.has("b") })
	w.wantFailures("a plugin-refused")
	if e := w.entries()[0]; !strings.Contains(e.Reason, "not this one") || e.Attempts != 1 {
		t.Errorf("got %+v", e)
	}
}

func TestAPluginAfterTheDriverHearsOfEverythingThatTookEffect(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var heard []string
	failed := map[string]bool{}
	w.serve("late", func(_ string, c call, r micro.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !failed[c.Version] {
			failed[c.Version] = true
			_ = r.Error("500", "once", nil)
			return
		}
		heard = append(heard, c.Operation+" "+c.From+" "+c.To)
		_ = r.Respond(nil)
	})
	with := w.plugins(config.Plugin{ID: "late", Priority: 200})
	want := func(list ...string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if slices.Sort(heard); !slices.Equal(heard, list) {
			t.Fatalf("it heard %q, want %q", heard, list)
		}
		heard = nil
	}
	w.publish(w.put("a", page("a")), w.put("b", page("b")))
	w.settle(with)
	want("modified  a", "modified  b")
	before := w.site.Effects()
	w.publish(w.remove("a", content.TypeFile), w.move("b", "c", page("b")))
	w.settle(with)
	want("modified b c", "removed a ")
	if got := w.site.Effects() - before; got != 2 {
		t.Errorf("%d effects for two changes", got)
	}
	w.wantFailures()
}

func TestAPluginHearsAlsoOfWhatWasDoneRightBeforeACrash(t *testing.T) {
	w := newWorld(t)
	var heard atomic.Int64
	w.serve("late", func(_ string, _ call, r micro.Request) {
		heard.Add(1)
		_ = r.Respond(nil)
	})
	with := w.plugins(config.Plugin{ID: "late", Priority: 200})
	w.publish(w.put("a", page("a")))
	w.dies() // by an importer that does not know of the plugin, so that it cannot have asked
	w.settle(with, w.inspected)
	w.want("a")
	if heard.Load() == 0 {
		t.Error("it did not")
	}
}

func TestAPluginSaysWhereObjectsGo(t *testing.T) {
	w := newWorld(t)
	w.serve("names", func(side string, c call, r micro.Request) {
		switch {
		case side != "locate":
			_ = r.Respond(nil)
		case strings.HasSuffix(c.Path, ".tmp"):
			_ = r.Respond([]byte(`{"skip": true}`))
		case strings.Contains(c.Path, "bad"):
			_ = r.Respond([]byte(`{"path": "../x"}`))
		default:
			_ = r.RespondJSON(map[string]string{"path": strings.ToLower(c.Path)})
		}
	})
	there, with := rules(t, locate.Rule{Path: "/pics/**", Type: content.TypeFile, At: "plugin:names"}), w.plugins(config.Plugin{ID: "names"})
	w.publish(w.put("pics", folder()), w.put("pics/IMG 1.JPG", page("1")), w.put("pics/x.tmp", page("x")), w.put("pics/bad", page("b")), w.put("Other", page("o")))
	w.settle(there, with)
	w.want("Other", "pics", "pics/img 1.jpg")
	w.wantFailures("pics/bad plugin-answer")
	w.publish(w.move("pics/IMG 1.JPG", "IMG 1.JPG", page("1")), w.move("Other", "pics/OTHER", page("o")), w.move("pics/x.tmp", "pics/Y", page("x")))
	w.settle(there, with)
	w.want("IMG 1.JPG", "pics", "pics/other", "pics/y")
	if n := len(w.onSite()); n != 4 {
		t.Errorf("the ledger has %d objects: something was copied instead of moved", n)
	}
}

func TestAPlaceThatNobodyTellsPausesTheSite(t *testing.T) {
	w := newWorld(t)
	i := w.importer(rules(t, locate.Rule{At: "plugin:names"}), w.plugins(config.Plugin{ID: "names", Sides: []string{"locate"}}))
	w.start(i)
	w.publish(w.put("A", page("a")))
	w.eventually("it is paused", func() bool { return i.report.Load().State == status.Paused })
	w.wantFailures()
	w.serve("names", func(_ string, c call, r micro.Request) {
		_ = r.RespondJSON(map[string]string{"path": strings.ToLower(c.Path)})
	})
	w.eventually("it goes on", func() bool { return w.has("a") })
	w.wantFailures()
}

func TestAPayloadOfAPluginThatTheSiteDoesNotNameIsSetAside(t *testing.T) {
	w := newWorld(t)
	c := w.put("a", page("a"))
	c.Payloads = append(c.Payloads, contenttest.Payload("thumbs", "image/png", nil, []byte("png")))
	c.Digest = content.DigestOf(c.Payloads)
	w.publish(c)
	w.settle(func(o *Options) { o.Accept = []string{"content", "fss", "delete"} })
	w.wantFailures("a unsupported")
	w.serve("thumbs", fine)
	w.ask(deadletter.Request{UID: c.Object.UID, Channel: "public", Version: c.Version})
	w.settle(w.plugins(config.Plugin{ID: "thumbs"}), func(o *Options) { o.Accept = []string{"content", "fss", "delete"} })
	w.want("a")
	w.wantFailures()
	w.wantVerified()
}

func TestAReplayAsksThePluginAgain(t *testing.T) {
	w := newWorld(t)
	var mended atomic.Bool
	w.serve("audit", func(_ string, _ call, r micro.Request) {
		if mended.Load() {
			_ = r.Respond(nil)
		} else {
			_ = r.Respond([]byte("garbage"))
		}
	})
	with := w.plugins(config.Plugin{ID: "audit"})
	c := w.put("a", page("a"))
	w.publish(c)
	w.settle(with)
	w.wantFailures("a plugin-answer")
	mended.Store(true)
	w.ask(deadletter.Request{UID: c.Object.UID, Channel: "public", Version: c.Version})
	w.settle(with)
	w.want("a")
	w.wantFailures()
}

func TestNamesThatASiteDoesNotKeepAreNoDrift(t *testing.T) {
	w := newWorld(t)
	w.serve("names", func(_ string, c call, r micro.Request) {
		_ = r.RespondJSON(map[string]any{"payloads": []map[string]any{{"index": 1, "inline": []byte("renamed"), "names": []string{"file", "another.txt"}}}})
	})
	with := w.plugins(config.Plugin{ID: "names", Format: config.FormatJSON})
	w.publish(w.put("a", page("x")))
	w.settle(with)
	w.wantData("a", "renamed")
	w.wantVerified()
}
