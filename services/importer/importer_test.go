package importer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path"
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
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/publish"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/status"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

const patience = 20 * time.Second

// world is a broker with the log of one channel, and a site in memory that receives it.
type world struct {
	t    testing.TB
	nc   *nats.Conn
	js   jetstream.JetStream
	log  *publish.Publisher
	site *contenttest.Site

	clock *version.Clock
	uids  map[string]string // path to uid

	mu      sync.Mutex
	applied []string // paths, in order
}

func newWorld(t testing.TB) *world {
	t.Helper()
	nc := brokertest.Conn(t)
	w := &world{
		t: t, nc: nc, js: brokertest.JetStream(t, nc), site: contenttest.NewSite(),
		clock: version.NewClock(0, nil), uids: map[string]string{"": ""},
	}
	w.log = publish.New(nc, w.js, publish.Options{})
	w.site.OnApplied = func(_ context.Context, op content.Op) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.applied = append(w.applied, op.To)
		return nil
	}
	w.must(stream.Ensure(t.Context(), w.js, stream.Import("public")))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// put makes the change that creates or edits an object; its uid is made of its first path.
func (w *world) put(p string, t contenttest.Thing) *content.Change {
	uid, ok := w.uids[p]
	if !ok {
		uid = "uid-" + strings.ReplaceAll(p, "/", "-")
		w.uids[p] = uid
	}
	typ, ps := contenttest.EncodeTree(p, t)
	c := contenttest.Change(uid, p, typ, ps)
	return w.stamp(c, p)
}

func (w *world) stamp(c *content.Change, p string) *content.Change {
	c.Source, c.Version = "hq", w.clock.Next()
	c.Object.Name, c.Object.ParentUID = path.Base(p), w.uids[parentOf(p)]
	c.ID = c.Version.String()
	return c
}

func parentOf(p string) string {
	if up := path.Dir(p); up != "." {
		return up
	}
	return ""
}

func (w *world) remove(p, typ string) *content.Change {
	return w.stamp(contenttest.Removal(w.uids[p], p, typ), p)
}

// publish puts changes into the log, in this order.
func (w *world) publish(changes ...*content.Change) {
	w.t.Helper()
	w.publishTo("public", changes...)
}

func (w *world) publishTo(channel string, changes ...*content.Change) {
	w.t.Helper()
	var msgs []*nats.Msg
	for _, c := range changes {
		m, err := envelope.Message(subject.ImportToProcess(channel, c.Object.UID), c, "", "")
		w.must(err)
		msgs = append(msgs, m)
	}
	_, err := w.log.Publish(w.t.Context(), msgs)
	w.must(err)
}

func (w *world) importer(change ...func(*Options)) *Importer {
	w.t.Helper()
	o := Options{
		Site: "paris", Channels: []string{"public"}, NC: w.nc, JS: w.js, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
		Open:    func(string) (content.Target, error) { return w.site, nil },
		Workers: 4, Window: 100, Attempts: 2, Host: "here", Software: "test",
	}
	for _, f := range change {
		f(&o)
	}
	i, err := New(w.t.Context(), o)
	w.must(err)
	return i
}

// settle imports everything that is there, with an importer of its own.
func (w *world) settle(change ...func(*Options)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*patience)
	defer cancel()
	ended := make(chan struct{})
	close(ended)
	w.must(w.importer(change...).Settle(ctx, ended))
	w.must(ctx.Err())
}

// start runs an importer until the test ends or stop is called.
func (w *world) start(i *Importer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx, ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the importer ends with %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain: %s; the site has %v, failures %v", what, w.paths(), w.failures())
		}
	}
}

func (w *world) paths() []string {
	things, err := w.site.Things()
	w.must(err)
	return slices.Sorted(maps.Keys(things))
}

func (w *world) has(paths ...string) bool { return slices.Equal(w.paths(), paths) }

// want compares the paths on the site.
func (w *world) want(paths ...string) {
	w.t.Helper()
	if !w.has(paths...) {
		w.t.Fatalf("the site has %v, want %v; failures: %v", w.paths(), paths, w.failures())
	}
}

// failures gives "path code" of each open failure.
func (w *world) failures() []string {
	w.t.Helper()
	all, err := deadletter.New(w.js).All(w.t.Context())
	w.must(err)
	var list []string
	for _, e := range all {
		list = append(list, fmt.Sprintf("%s %s", e.Path, e.Code))
	}
	slices.Sort(list)
	return list
}

func (w *world) wantFailures(want ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("failures are %v, want %v", w.failures(), want), func() bool { return slices.Equal(w.failures(), want) })
}

// ask replays or discards all open failures.
func (w *world) ask(r deadletter.Request) {
	w.t.Helper()
	all, err := deadletter.New(w.js).All(w.t.Context())
	w.must(err)
	var msgs []*nats.Msg
	for i := range all {
		m, err := deadletter.Ask(&all[i], r)
		w.must(err)
		msgs = append(msgs, m)
	}
	_, err = w.log.Publish(w.t.Context(), msgs)
	w.must(err)
}

// poison lets some paths fail until the cause is mended.
type poison struct {
	mu    sync.Mutex
	paths map[string]*fault.Error
	tries map[string]int
}

func (w *world) poison(f *fault.Error, paths ...string) *poison {
	p := &poison{paths: map[string]*fault.Error{}, tries: map[string]int{}}
	for _, at := range paths {
		p.paths[at] = f
	}
	w.site.OnApply = func(_ context.Context, op content.Op) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		at := op.To
		if at == "" {
			at = op.From
		}
		p.tries[at]++
		if f := p.paths[at]; f != nil {
			return f
		}
		return nil
	}
	return p
}

func (p *poison) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.paths)
}

var denied = fault.New(fault.Park, fault.Permission, errors.New("permission denied"))

func folder() contenttest.Thing          { return contenttest.Container(1) }
func page(data string) contenttest.Thing { return contenttest.Leaf(data, 1) }

func TestAContainerComesBeforeItsContentWhateverTheLogsOrder(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.put("a", folder()), w.put("a/b", folder()), w.put("a/b/c", page("c"))
	w.publish(c, b, a)
	w.settle()
	w.want("a", "a/b", "a/b/c")
	if want := []string{"a", "a/b", "a/b/c"}; !slices.Equal(w.applied, want) {
		t.Fatalf("applied %v, want %v", w.applied, want)
	}
}

func TestASecondRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("a", folder()), w.put("a/b", page("b")))
	w.settle()
	before := w.site.Effects()
	w.settle()
	if got := w.site.Effects(); got != before {
		t.Fatalf("%d effects more", got-before)
	}
}

func TestAFailedContainerHoldsOnlyWhatLiesBelowItAndOneReplayClearsAll(t *testing.T) {
	w := newWorld(t)
	poison := w.poison(denied, "bad")
	w.publish(w.put("bad", folder()), w.put("bad/x", folder()), w.put("bad/x/y", page("y")), w.put("good", page("g")))
	w.settle()
	w.want("good")
	w.wantFailures("bad permission", "bad/x waiting", "bad/x/y waiting")
	for _, e := range w.entries() {
		if e.Path == "bad/x" && e.Reason != "waits for bad" || e.Path == "bad/x/y" && e.Reason != "waits for bad/x" {
			t.Errorf("%s: %s", e.Path, e.Reason)
		}
	}
	poison.mend()
	w.ask(deadletter.Request{By: "me"})
	w.settle()
	w.want("bad", "bad/x", "bad/x/y", "good")
	w.wantFailures()
}

func (w *world) entries() []deadletter.Entry {
	w.t.Helper()
	all, err := deadletter.New(w.js).All(w.t.Context())
	w.must(err)
	return all
}

func TestAFailureCarriesItsEnvelopeAndWhatHappened(t *testing.T) {
	w := newWorld(t)
	w.poison(fault.New(fault.Retry, fault.Unknown, errors.New("no luck")), "page")
	c := w.put("page", page("x"))
	w.publish(c)
	w.settle()
	all := w.entries()
	if len(all) != 1 {
		t.Fatalf("%d failures", len(all))
	}
	e := all[0]
	if e.Attempts != 2 || e.Reason != "no luck" || e.Host != "here" || e.Software != "test" || e.Channel != "public" || e.Next.IsZero() {
		t.Errorf("%+v", e)
	}
	raw, err := deadletter.New(w.js).Envelope(t.Context(), &e)
	w.must(err)
	if kept, err := envelope.Decode(raw); err != nil || kept.ID != c.ID {
		t.Errorf("the envelope is %v (%v)", kept, err)
	}
}

func TestALaterChangeSupersedesAParkedOne(t *testing.T) {
	w := newWorld(t)
	poison := w.poison(denied, "page")
	w.publish(w.put("page", page("one")))
	stop := w.start(w.importer())
	w.eventually("it fails", func() bool { return len(w.failures()) == 1 })
	poison.mend()
	w.publish(w.put("page", page("two")))
	w.eventually("it arrives", func() bool { return w.has("page") && len(w.failures()) == 0 })
	stop()
	things, _ := w.site.Things()
	if things["page"].Data != "two" {
		t.Fatalf("the page holds %q", things["page"].Data)
	}
}

func TestAReplayOfWhatIsDoneIsClosedAndNotApplied(t *testing.T) {
	w := newWorld(t)
	poison := w.poison(denied, "page")
	w.publish(w.put("page", page("one")))
	w.settle()
	w.ask(deadletter.Request{})
	late := w.entries()[0]
	poison.mend()
	w.settle()
	before := w.site.Effects()
	for range 3 {
		m, err := deadletter.Ask(&late, deadletter.Request{})
		w.must(err)
		_, err = w.log.Publish(t.Context(), []*nats.Msg{m})
		w.must(err)
		w.settle()
	}
	if got := w.site.Effects(); got != before {
		t.Fatalf("%d effects more", got-before)
	}
	w.wantFailures()
}

func TestARemovedContainerWaitsForWhatCouldNotLeaveIt(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("a", folder()), w.put("a/b", page("b")))
	w.settle()
	poison := w.poison(denied, "a/b")
	w.publish(w.remove("a/b", content.TypeFile), w.remove("a", content.TypeFolder))
	w.settle()
	w.want("a", "a/b")
	w.wantFailures("a waiting", "a/b permission")
	poison.mend()
	w.ask(deadletter.Request{})
	w.settle()
	w.want()
	w.wantFailures()
}

func TestADiscardedChangeStaysAwayUntilThereIsANewerOne(t *testing.T) {
	w := newWorld(t)
	poison := w.poison(denied, "page")
	w.publish(w.put("page", page("one")))
	w.settle()
	w.ask(deadletter.Request{Discard: true, By: "me", Why: "not needed"})
	w.settle()
	w.wantFailures()
	closed, err := deadletter.New(w.js).Closed(t.Context())
	w.must(err)
	if len(closed) != 1 || closed[0].Closed.As != deadletter.Discarded || closed[0].Closed.By != "me" || closed[0].Closed.Why != "not needed" {
		t.Fatalf("closed: %+v", closed)
	}
	poison.mend()
	w.settle() // compares with the log, which still has it
	w.want()
	w.publish(w.put("page", page("two")))
	w.settle()
	w.want("page")
}

// shelf is a site that shows failed changes, until it is told that they are given up.
type shelf struct {
	*contenttest.Site
	discarded []string
}

func (s *shelf) Discard(uid string) error {
	s.discarded = append(s.discarded, uid)
	return errors.New("no luck")
}

func TestASiteIsToldWhatWasGivenUp(t *testing.T) {
	w := newWorld(t)
	w.poison(denied, "page")
	w.publish(w.put("page", page("one")))
	w.settle()
	w.ask(deadletter.Request{Discard: true, By: "me"})
	site := &shelf{Site: w.site}
	w.settle(func(o *Options) { o.Open = func(string) (content.Target, error) { return site, nil } })
	if !slices.Equal(site.discarded, []string{w.uids["page"]}) {
		t.Errorf("the site was told of %q", site.discarded)
	}
	w.wantFailures()
}

func TestWhileTheWholeSiteIsAwayNoAttemptIsCounted(t *testing.T) {
	w := newWorld(t)
	w.site.SetGone(true)
	i := w.importer()
	w.start(i)
	w.publish(w.put("a", folder()), w.put("a/b", page("b")))
	w.eventually("it is paused", func() bool { return i.report.Load().State == "paused" })
	time.Sleep(time.Second) // several probes
	w.wantFailures()
	w.site.SetGone(false)
	w.eventually("it goes on", func() bool { return w.has("a", "a/b") })
	w.wantFailures()
}

func TestAFailureIsTriedAgainByItselfWhereItsCodeAllowsIt(t *testing.T) {
	w := newWorld(t)
	poison := w.poison(denied, "page")
	i := w.importer()
	i.delay = func(int) time.Duration { return 300 * time.Millisecond }
	w.start(i)
	w.publish(w.put("page", page("one")))
	w.eventually("it fails", func() bool { return len(w.failures()) == 1 })
	poison.mend()
	w.eventually("it is tried again", func() bool { return w.has("page") && len(w.failures()) == 0 })
}

func TestALostLedgerIsFilledAgainWithoutWritingToTheSite(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("a", folder()), w.put("a/b", page("b")), w.put("c", page("c")))
	w.settle()
	before := w.site.Effects()
	w.must(w.js.DeleteStream(t.Context(), subject.LedgerStream("paris")))
	w.settle()
	if got := w.site.Effects(); got != before {
		t.Errorf("%d effects more", got-before)
	}
	if n := w.ledger(); n != 3 {
		t.Errorf("the ledger has %d entries, want 3", n)
	}
}

func (w *world) ledger() (n int) {
	w.t.Helper()
	count := func(*ledger.Entry) { n++ }
	w.must(ledger.Load(w.t.Context(), w.js, "paris", count, func(s string, err error) { w.t.Error(s, err) }))
	return n
}

func TestAFailureIsClosedWhenTheLedgerHasWhatBecameOfIt(t *testing.T) {
	w := newWorld(t)
	poison := w.poison(denied, "bad")
	changes := []*content.Change{w.put("bad", folder())}
	for i := range 50 {
		changes = append(changes, w.put(fmt.Sprintf("bad/%d", i), page("x")))
	}
	w.publish(changes...)
	w.settle()
	poison.mend()
	w.ask(deadletter.Request{By: "me"})
	w.settle()
	w.wantFailures()
	for _, c := range changes {
		done := w.newest(subject.LedgerStream("paris"), subject.ImportDone("paris", c.Object.UID))
		closed := w.newest(subject.ErrorStream, subject.ImportError("paris", c.Object.UID))
		if closed.Before(done) {
			t.Fatalf("%s is neither in the ledger nor in ERROR for %v", c.Object.Path, done.Sub(closed))
		}
	}
}

// newest tells when the newest message of a subject was stored.
func (w *world) newest(stream, subj string) time.Time {
	w.t.Helper()
	m, err := changelog.Newest(w.t.Context(), w.js, stream, subj)
	w.must(err)
	if m == nil {
		w.t.Fatalf("%s has nothing of %s", stream, subj)
	}
	return m.Time
}

func TestALedgerThatIsDeletedUnderARunningImporterIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("a", folder()), w.put("a/b", page("b")))
	w.start(w.importer())
	w.eventually("it arrives", func() bool { return w.has("a", "a/b") })
	w.must(w.js.DeleteStream(t.Context(), subject.LedgerStream("paris")))
	w.eventually("the ledger is there again", func() bool {
		_, err := w.js.Stream(t.Context(), subject.LedgerStream("paris"))
		return err == nil && w.ledger() == 2
	})
	w.publish(w.put("c", page("c")))
	w.eventually("it works on", func() bool { return w.has("a", "a/b", "c") })
}

func TestEntriesThatTheLedgerLosesAreWrittenAgain(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("a", folder()), w.put("a/b", page("b")))
	w.start(w.importer(func(o *Options) { o.Reconcile = 300 * time.Millisecond }))
	w.eventually("it arrives", func() bool { return w.has("a", "a/b") && w.ledger() == 2 })
	s, err := w.js.Stream(t.Context(), subject.LedgerStream("paris"))
	w.must(err)
	w.must(s.Purge(t.Context(), jetstream.WithPurgeSubject(subject.ImportDone("paris", w.uids["a"]))))
	w.eventually("the entry is there again", func() bool { return w.ledger() == 2 })
}

func TestAStandByTakesOver(t *testing.T) {
	w := newWorld(t)
	stop := w.start(w.importer())
	w.publish(w.put("a", folder()))
	w.eventually("it arrives", func() bool { return w.has("a") })
	second := w.importer()
	w.start(second)
	w.eventually("the second stands by", func() bool { return second.report.Load().State == "standby" })
	stop()
	w.publish(w.put("b", page("b")))
	w.eventually("the second works", func() bool { return w.has("a", "b") })
	w.eventually("the second has applied what came after it took over", func() bool { return second.Done() == 1 })
}

func TestSettleDoesNotWaitForEverForAnotherImporter(t *testing.T) {
	w := newWorld(t)
	w.start(w.importer())
	second := w.importer(func(o *Options) { o.Patience = 1500 * time.Millisecond })
	w.eventually("the first has the lease", func() bool {
		m, err := changelog.Newest(t.Context(), w.js, subject.LedgerStream("paris"), subject.ImportLease("paris"))
		return err == nil && m != nil
	})
	ended := make(chan struct{})
	close(ended)
	err := second.Settle(t.Context(), ended)
	if !errors.Is(err, errBusy) || !strings.Contains(err.Error(), "process") {
		t.Fatalf("got %v", err)
	}
}

func TestARingOfMovesIsCarriedOut(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("a", page("1")), w.put("b", page("2")), w.put("c", page("3")))
	w.settle()
	one, two, three := w.uids["a"], w.uids["b"], w.uids["c"]
	w.uids["b"], w.uids["c"], w.uids["a"] = one, two, three
	w.publish(w.put("b", page("1")), w.put("c", page("2")), w.put("a", page("3")))
	w.settle()
	w.want("a", "b", "c")
	things, _ := w.site.Things()
	if got := things["a"].Data + things["b"].Data + things["c"].Data; got != "312" {
		t.Fatalf("the pages hold %q, want 312", got)
	}
}

func TestAMessageThatIsNoChangeIsAFailureAndHoldsNobody(t *testing.T) {
	w := newWorld(t)
	bad := w.put("bad", page("x"))
	m, err := envelope.Message(subject.ImportToProcess("public", bad.Object.UID), bad, "", "")
	w.must(err)
	m.Data = m.Data[:len(m.Data)/2]
	_, err = w.log.Publish(t.Context(), []*nats.Msg{m})
	w.must(err)
	w.publish(w.put("good", page("g")))
	w.settle()
	w.want("good")
	w.wantFailures("bad invalid")
}

// inspected lets an importer look at the site.
func (w *world) inspected(o *Options) {
	o.Inspect = func() (content.Source, error) { return w.site, nil }
}

func (w *world) verify() (list []string) {
	w.t.Helper()
	found, err := w.importer(w.inspected).Verify(w.t.Context())
	w.must(err)
	for _, d := range found {
		list = append(list, fmt.Sprintf("%s %s %s", d.Hop, d.Path, d.What))
	}
	slices.Sort(list)
	return list
}

func (w *world) wantVerified(want ...string) {
	w.t.Helper()
	if got := w.verify(); !slices.Equal(got, want) {
		w.t.Fatalf("verify finds %v, want %v", got, want)
	}
}

// tampered is a site with three objects, all of which somebody else has changed.
func (w *world) tamper() {
	w.t.Helper()
	w.publish(w.put("a", folder()), w.put("a/b", page("b")), w.put("a/c", page("c")))
	w.settle(w.inspected)
	w.wantVerified()
	w.must(w.site.Put("a/b", page("edited there")))
	w.must(w.site.Remove("a/c"))
	w.must(w.site.Put("a/own", page("their own")))
}

func TestVerifyFindsWhatSomebodyElseHasChanged(t *testing.T) {
	w := newWorld(t)
	w.tamper()
	want := []string{"site a/b different", "site a/c missing", "site a/own extra"}
	w.wantVerified(want...)
	w.settle(w.inspected)
	w.wantVerified(want...) // only reported
}

func TestVerifyFindsWhatIsNotThereYetAndWhatFailed(t *testing.T) {
	w := newWorld(t)
	w.poison(denied, "bad")
	w.publish(w.put("bad", page("x")), w.put("good", page("x")))
	w.settle()
	w.publish(w.put("late", page("x")), w.put("good", page("y")))
	w.wantVerified("import bad failed", "import good different", "import late missing")
}

func TestDriftIsUndoneWhereThatIsWanted(t *testing.T) {
	w := newWorld(t)
	w.tamper()
	w.settle(w.inspected, func(o *Options) { o.Repair = true })
	w.wantVerified("site a/own extra")
}

func TestARunningImporterReportsDriftAndRepairsItOnOrder(t *testing.T) {
	w := newWorld(t)
	w.tamper()
	i := w.importer(w.inspected)
	w.start(i)
	w.eventually("it is reported", func() bool { return i.report.Load().Drift == 2 })
	running, err := reconcile.Order(t.Context(), w.nc, status.Importer, "paris", reconcile.Repair)
	w.must(err)
	if !running {
		t.Fatal("nobody listens")
	}
	w.eventually("it is repaired", func() bool { return slices.Equal(w.verify(), []string{"site a/own extra"}) })
}

func TestARepairRemovesWhatNoLogKnowsAnyMore(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("a", folder()), w.put("a/b", page("b")), w.put("c", page("c")))
	w.settle(w.inspected)
	s, err := w.js.Stream(t.Context(), subject.ImportStream("public"))
	w.must(err)
	for _, p := range []string{"a", "a/b"} {
		w.must(s.Purge(t.Context(), jetstream.WithPurgeSubject(subject.ImportToProcess("public", w.uids[p]))))
	}
	w.settle(w.inspected)
	w.wantVerified("import a extra", "import a/b extra")
	w.settle(w.inspected, func(o *Options) { o.Repair, o.MaxRemovals = true, func(int) int { return 1 } })
	w.want("a", "a/b", "c")
	w.settle(w.inspected, func(o *Options) { o.Repair = true })
	w.want("c")
	w.wantVerified()
}

func TestVerifyTellsWhatWasDiscarded(t *testing.T) {
	w := newWorld(t)
	w.poison(denied, "page")
	w.publish(w.put("page", page("one")))
	w.settle()
	w.ask(deadletter.Request{Discard: true, By: "me", Why: "not needed"})
	w.settle()
	w.wantVerified("import page missing")
}

func TestFoldersThatAreTurnedInsideOutArriveWhateverTheLogsOrder(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("a", folder()), w.put("a/b", folder()), w.put("a/b/f", page("x")))
	w.settle(w.inspected)
	a, b, f := w.uids["a"], w.uids["a/b"], w.uids["a/b/f"]
	w.uids = map[string]string{"": "", "b": b, "b/a": a, "b/f": f}
	late := w.put("b", folder()) // b's newest message stands behind a's
	w.publish(w.put("b/a", folder()))
	w.publish(late, w.put("other", page("o")))
	late.Version = w.clock.Next()
	w.settle(w.inspected)
	w.want("b", "b/a", "b/f", "other")
	w.wantFailures()
}

func TestARingOfContainersHoldsNobodyElse(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("a", folder()), w.put("a/b", folder()))
	w.settle(w.inspected)
	w.uids["a/b/a"] = w.uids["a"]
	w.publish(w.put("a/b/a", folder()), w.put("other", page("o")))
	w.settle(w.inspected)
	w.want("a", "a/b", "other")
	w.wantFailures("a/b/a waiting")
}
