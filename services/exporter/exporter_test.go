package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/control"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
	"synchro.example/shared/subject"
)

const patience = 20 * time.Second

// world is a broker, and a source in memory.
type world struct {
	t    *testing.T
	nc   *nats.Conn
	js   jetstream.JetStream
	site *contenttest.Site
}

func newWorld(t *testing.T) *world {
	t.Helper()
	nc := brokertest.Conn(t)
	return &world{t: t, nc: nc, js: brokertest.JetStream(t, nc), site: contenttest.NewSite()}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exporter(change ...func(*Options)) *Exporter {
	w.t.Helper()
	told, err := control.Follow(w.t.Context(), w.js)
	w.must(err)
	o := Options{
		Site: "hq", Source: w.site, NC: w.nc, JS: w.js, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Control: told,
		Rescan: 100 * time.Millisecond, LookAgain: 20 * time.Millisecond, Host: "here", Software: "test",
	}
	for _, f := range change {
		f(&o)
	}
	e, err := New(w.t.Context(), o)
	w.must(err)
	return e
}

// settle exports once and tells how many changes it published.
func (w *world) settle(change ...func(*Options)) int {
	w.t.Helper()
	e := w.exporter(change...)
	_, err := e.Settle(w.t.Context())
	w.must(err)
	return int(e.Done())
}

func (w *world) wantPublished(want int, change ...func(*Options)) {
	w.t.Helper()
	if got := w.settle(change...); got != want {
		w.t.Fatalf("%d changes are published, want %d; the log has %v", got, want, w.log())
	}
}

func (w *world) start(e *Exporter) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx, ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the exporter ends with %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain: %s; the log has %v, failures %v", what, w.log(), w.failures())
		}
	}
}

// log gives name and kind of each object in the log.
func (w *world) log() []string {
	w.t.Helper()
	var list []string
	err := changelog.Heads(w.t.Context(), w.js, subject.ExportStream("hq"), func(_ uint64, h envelope.Head) {
		list = append(list, fmt.Sprintf("%s %s", h.Name, h.Kind))
	}, func(s string, err error) { w.t.Error(s, err) })
	w.must(err)
	slices.Sort(list)
	return list
}

func (w *world) failures() []string {
	w.t.Helper()
	all, err := deadletter.New(w.js).All(w.t.Context())
	w.must(err)
	var list []string
	for _, e := range all {
		list = append(list, fmt.Sprintf("%s %s %s", e.Stage, e.Path, e.Code))
	}
	slices.Sort(list)
	return list
}

// fill puts a folder with pages into the source.
func (w *world) fill(count int) {
	w.t.Helper()
	w.must(w.site.Put("pages", contenttest.Container(1)))
	for i := range count {
		w.must(w.site.Put(fmt.Sprintf("pages/%d", i), contenttest.Leaf("page", i)))
	}
}

func TestOnlyWhatTheLogLacksIsPublished(t *testing.T) {
	w := newWorld(t)
	w.fill(30)
	w.wantPublished(31)
	w.wantPublished(0)
	w.must(w.site.Put("pages/3", contenttest.Leaf("edited", 3)))
	w.must(w.site.Move("pages/4", "pages/renamed"))
	w.must(w.site.Remove("pages/5"))
	w.wantPublished(3)
	w.wantPublished(0)
}

func TestALogThatIsLostIsMadeAgainWithTheSameIds(t *testing.T) {
	w := newWorld(t)
	w.fill(5)
	w.settle()
	before := w.log()
	w.must(w.js.DeleteStream(t.Context(), subject.ExportStream("hq")))
	w.wantPublished(6)
	if after := w.log(); !slices.Equal(before, after) {
		t.Fatalf("the log had %v and has %v", before, after)
	}
}

func TestWhatARunningExportersLogLosesIsPublishedAgain(t *testing.T) {
	w := newWorld(t)
	w.fill(5)
	w.start(w.exporter(func(o *Options) { o.Reconcile = 200 * time.Millisecond }))
	w.eventually("all is in the log", func() bool { return len(w.log()) == 6 })
	s, err := w.js.Stream(t.Context(), subject.ExportStream("hq"))
	w.must(err)
	w.must(s.DeleteMsg(t.Context(), firstChange(t, s)))
	w.eventually("what was lost is there again", func() bool { return len(w.log()) == 6 })
	w.must(w.js.DeleteStream(t.Context(), subject.ExportStream("hq")))
	w.eventually("the whole log is there again", func() bool {
		_, err := w.js.Stream(t.Context(), subject.ExportStream("hq"))
		return err == nil && len(w.log()) == 6
	})
}

func TestALogThatIsDeletedUnderAnIdleExporterIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.fill(5)
	w.start(w.exporter(func(o *Options) { o.Rescan = time.Hour }))
	w.eventually("all is in the log", func() bool { return len(w.log()) == 6 })
	time.Sleep(200 * time.Millisecond) // until it waits for the next scan
	w.must(w.js.DeleteStream(t.Context(), subject.ExportStream("hq")))
	w.eventually("the whole log is there again", func() bool {
		_, err := w.js.Stream(t.Context(), subject.ExportStream("hq"))
		return err == nil && len(w.log()) == 6
	})
}

// firstChange gives the sequence of a change, and not of the lease.
func firstChange(t *testing.T, s jetstream.Stream) uint64 {
	t.Helper()
	m, err := s.GetMsg(t.Context(), 1, jetstream.WithGetMsgSubject(subject.ExportToProcessAll("hq")))
	if err != nil {
		t.Fatal(err)
	}
	return m.Sequence
}

// few lets no more than 20 objects go.
func few(o *Options) { o.MaxRemovals = func(int) int { return 20 } }

func TestASourceThatLosesTooMuchIsNotExportedUntilSomebodyLetsIt(t *testing.T) {
	w := newWorld(t)
	w.fill(30)
	w.settle()
	w.must(w.site.Remove("pages"))
	w.must(w.site.Put("new", contenttest.Leaf("new", 1)))
	e := w.exporter(few)
	_, err := e.Settle(t.Context())
	if fault.Of(err).Code != fault.Guarded {
		t.Fatalf("got %v", err)
	}
	if len(w.log()) != 31 {
		t.Fatalf("the log has %v", w.log())
	}
	w.start(w.exporter(few))
	store, err := control.New(t.Context(), w.js)
	w.must(err)
	state, err := store.Read(t.Context())
	w.must(err)
	g, held := state.Guard("hq")
	if !held || g.Removals != 31 || g.Objects != 31 || len(g.Sample) != samplePaths {
		t.Fatalf("the guard says %+v", g)
	}
	g.Released = true
	w.must(store.Guard(t.Context(), g))
	w.eventually("the removals are in the log", func() bool { return slices.Contains(w.log(), "pages removed") })
	w.eventually("the guard is over", func() bool {
		state, err := store.Read(t.Context())
		_, held := state.Guard("hq")
		return err == nil && !held
	})
}

func TestAGuardIsOverWhenTheContentIsBack(t *testing.T) {
	w := newWorld(t)
	w.fill(30)
	w.settle()
	w.site.Lock(func() {})
	things, err := w.site.Things()
	w.must(err)
	w.must(w.site.Remove("pages"))
	if _, err := w.exporter(few).Settle(t.Context()); fault.Of(err).Code != fault.Guarded {
		t.Fatalf("got %v", err)
	}
	w.must(w.site.Put("pages", things["pages"]))
	for p, thing := range things {
		w.must(w.site.Put(p, thing))
	}
	w.settle(few)
	state, err := mustStore(t, w).Read(t.Context())
	w.must(err)
	if g, held := state.Guard("hq"); held {
		t.Fatalf("still held: %+v", g)
	}
}

func mustStore(t *testing.T, w *world) *control.Store {
	t.Helper()
	s, err := control.New(t.Context(), w.js)
	w.must(err)
	return s
}

func TestAPausedSourceIsNotExportedUntilItMayGoOn(t *testing.T) {
	w := newWorld(t)
	store := mustStore(t, w)
	p := control.Pause{Site: "hq", Reason: "freeze", By: "me"}
	w.must(store.Pause(t.Context(), p))
	e := w.exporter()
	w.start(e)
	w.fill(3)
	w.eventually("it says so", func() bool { return e.report.Load().State == "paused" })
	time.Sleep(300 * time.Millisecond)
	if n := len(w.log()); n != 0 {
		t.Fatalf("%d changes are in the log", n)
	}
	p.Ended = true
	w.must(store.Pause(t.Context(), p))
	w.eventually("it goes on", func() bool { return len(w.log()) == 4 })
}

func TestAnObjectThatCannotBeReadIsAFailureUntilItCan(t *testing.T) {
	w := newWorld(t)
	w.fill(3)
	var mu sync.Mutex
	broken := map[string]bool{"pages/1": true}
	w.site.OnRead = func(_ context.Context, item content.Item) error {
		mu.Lock()
		defer mu.Unlock()
		if broken[item.Path] {
			return fault.New(fault.Park, fault.ReadFailed, errors.New("input/output error"))
		}
		return nil
	}
	w.start(w.exporter())
	w.eventually("it fails", func() bool { return slices.Equal(w.failures(), []string{"export pages/1 read-failed"}) })
	if n := len(w.log()); n != 3 {
		t.Fatalf("the log has %v", w.log())
	}
	mu.Lock()
	clear(broken)
	mu.Unlock()
	w.eventually("it succeeds", func() bool { return len(w.failures()) == 0 && len(w.log()) == 4 })
}

func TestAFailedExportCanBeDiscardedAndStaysSo(t *testing.T) {
	w := newWorld(t)
	w.fill(2)
	w.site.OnRead = func(_ context.Context, item content.Item) error {
		if item.Path == "pages/1" {
			return fault.New(fault.Park, fault.ReadFailed, errors.New("input/output error"))
		}
		return nil
	}
	stop := w.start(w.exporter())
	w.eventually("it fails", func() bool { return len(w.failures()) == 1 })
	all, err := deadletter.New(w.js).All(t.Context())
	w.must(err)
	m, err := deadletter.Ask(&all[0], deadletter.Request{Discard: true, By: "me", Why: "known"})
	w.must(err)
	_, err = publish.New(w.nc, w.js, publish.Options{}).Publish(t.Context(), []*nats.Msg{m})
	w.must(err)
	w.eventually("it is given up", func() bool { return len(w.failures()) == 0 })
	stop()
	w.settle()
	if got := w.failures(); len(got) != 0 {
		t.Fatalf("it is back: %v", got)
	}
}

func TestAFailureOnTheWayIntoAChannelCanBeDiscarded(t *testing.T) {
	w := newWorld(t)
	w.start(w.exporter())
	failed := &deadletter.Entry{Stage: deadletter.Export, Site: "hq", Channel: "public", UID: "a", Path: "a", Version: 7, Code: fault.BadExpression, Class: fault.Park}
	log := publish.New(w.nc, w.js, publish.Options{})
	put := func(m *nats.Msg, err error) {
		t.Helper()
		w.must(err)
		_, err = log.Publish(t.Context(), []*nats.Msg{m})
		w.must(err)
	}
	put(deadletter.Message(failed, nil))
	put(deadletter.Ask(failed, deadletter.Request{Discard: true, By: "me", Why: "known"}))
	store := deadletter.New(w.js)
	w.eventually("it is given up", func() bool {
		e, err := store.OnTheWay(t.Context(), "hq", "public", "a")
		return err == nil && e != nil && e.Closed != nil && e.Closed.Why == "known"
	})
	newer := *failed
	newer.Version = 8
	put(deadletter.Message(&newer, nil))
	put(deadletter.Ask(failed, deadletter.Request{Discard: true, By: "me", Why: "known"}))
	w.eventually("the request is taken", func() bool {
		s, err := w.js.Stream(t.Context(), subject.ReplayStream)
		return err == nil && s.CachedInfo().State.Msgs == 0
	})
	if e, err := store.OnTheWay(t.Context(), "hq", "public", "a"); err != nil || e.Closed != nil {
		t.Errorf("a newer failure was given up: %+v, %v", e, err)
	}
}

func TestTwoExportersOfASourceDoNotExportTwice(t *testing.T) {
	w := newWorld(t)
	first, second := w.exporter(), w.exporter()
	stop := w.start(first)
	w.eventually("the first works", func() bool { return first.report.Load().State == "running" })
	w.start(second)
	w.eventually("the second stands by", func() bool { return second.report.Load().State == "standby" })
	w.fill(10)
	w.eventually("all is in the log", func() bool { return len(w.log()) == 11 })
	stop()
	w.must(w.site.Put("late", contenttest.Leaf("late", 1)))
	w.eventually("the second works", func() bool { return len(w.log()) == 12 })
	if n := first.Done() + second.Done(); n > 12 {
		t.Errorf("%d changes were published, want 12", n)
	}
}

func TestASourceThatIsAwayLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.fill(5)
	e := w.exporter()
	w.start(e)
	w.eventually("all is in the log", func() bool { return len(w.log()) == 6 })
	w.site.SetGone(true)
	w.eventually("it says so", func() bool { return e.report.Load().State == "paused" })
	w.site.SetGone(false)
	w.must(w.site.Put("late", contenttest.Leaf("late", 1)))
	w.eventually("it goes on", func() bool { return len(w.log()) == 7 })
	for _, line := range w.log() {
		if _, kind, _ := cut(line); kind == "removed" {
			t.Errorf("removed: %s", line)
		}
	}
}

func cut(line string) (name, kind string, ok bool) {
	_, err := fmt.Sscanf(line, "%s %s", &name, &kind)
	return name, kind, err == nil
}

// prover is a source that says of some objects that they are not gone.
type prover struct {
	content.Source
	there map[string]bool
}

func (p *prover) Gone(_ context.Context, _, path string) (bool, error) { return !p.there[path], nil }

func TestWhatASourceStillHasIsNotRemovedThoughItIsNotListed(t *testing.T) {
	w := newWorld(t)
	w.fill(3)
	w.settle()
	p := &prover{Source: w.site, there: map[string]bool{"pages/0": true}}
	w.must(w.site.Remove("pages/0"))
	w.must(w.site.Remove("pages/1"))
	careful := func(o *Options) { o.Source = p }
	w.wantPublished(1, careful)
	p.there = nil
	w.wantPublished(1, careful)
}

func TestBytesThatTheBrokerHasLostAreSentAgainWhenAReceiverAsks(t *testing.T) {
	w := newWorld(t)
	w.must(w.site.Put("large", contenttest.Leaf(strings.Repeat("0123456789abcdef", 100_000), 1)))
	e := w.exporter()
	w.start(e)
	w.eventually("it is in the log", func() bool { return len(w.log()) == 1 })
	chunks := func() uint64 {
		s, err := w.js.Stream(t.Context(), subject.BlobStream)
		w.must(err)
		return s.CachedInfo().State.Msgs
	}
	before := chunks()
	s, err := w.js.Stream(t.Context(), subject.BlobStream)
	w.must(err)
	w.must(s.Purge(t.Context()))
	lost := &deadletter.Entry{Stage: deadletter.Export, Site: "hq", UID: w.uid()}
	m, err := deadletter.Ask(lost, deadletter.Request{Upload: true})
	w.must(err)
	_, err = publish.New(w.nc, w.js, publish.Options{}).Publish(t.Context(), []*nats.Msg{m})
	w.must(err)
	w.eventually("the chunks are there again", func() bool { return before > 0 && chunks() == before })
	if e.Done() != 1 {
		t.Errorf("%d changes are published, want 1", e.Done())
	}
}

// uid gives the uid of the only object in the log.
func (w *world) uid() (uid string) {
	w.t.Helper()
	w.must(changelog.Heads(w.t.Context(), w.js, subject.ExportStream("hq"), func(_ uint64, h envelope.Head) { uid = h.UID },
		func(s string, err error) { w.t.Error(s, err) }))
	return uid
}

// sweeping is a source that has every object read, and counts the bytes that are read of
// stable parts.
type sweeping struct {
	content.Source
	bytes int
}

func (s *sweeping) List(ctx context.Context) iter.Seq2[content.Item, error] {
	return func(yield func(content.Item, error) bool) {
		for it, err := range s.Source.List(ctx) {
			it.Fingerprint += " swept"
			if !yield(it, err) {
				return
			}
		}
	}
}

func (s *sweeping) Read(ctx context.Context, it content.Item) (*content.Snapshot, error) {
	snap, err := s.Source.Read(ctx, it)
	if err != nil {
		return nil, err
	}
	for i := range snap.Parts {
		if p := &snap.Parts[i]; p.Plugin == content.PluginFSS {
			p.Stable, p.Body = true, io.TeeReader(p.Body, counting{&s.bytes})
		}
	}
	return snap, nil
}

type counting struct{ n *int }

func (c counting) Write(b []byte) (int, error) {
	*c.n += len(b)
	return len(b), nil
}

func TestBytesThatAreKnownToStandAreNotReadAgain(t *testing.T) {
	w := newWorld(t)
	w.must(w.site.Put("f", contenttest.Leaf(strings.Repeat("x", 1<<20), 1)))
	s := &sweeping{Source: w.site}
	sweep := func(o *Options) { o.Source = s }
	w.wantPublished(1, sweep)
	if s.bytes != 1<<20 {
		t.Fatalf("%d bytes are read first", s.bytes)
	}
	s.bytes = 0
	w.wantPublished(0, sweep)
	if s.bytes != 0 {
		t.Errorf("%d bytes are read again", s.bytes)
	}
	w.must(w.site.Put("f", contenttest.Leaf(strings.Repeat("y", 1<<20), 2)))
	w.wantPublished(1, sweep)
	if s.bytes != 1<<20 {
		t.Errorf("%d bytes are read of what has changed", s.bytes)
	}
}
