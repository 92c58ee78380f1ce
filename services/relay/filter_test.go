package relay

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/control"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/tales"
	"synchro.example/shared/version"
)

// scene is a broker with the log of a source, and the relay of one channel.
type scene struct {
	t     testing.TB
	nc    *nats.Conn
	js    jetstream.JetStream
	log   *publish.Publisher
	clock *version.Clock
	known map[string]content.Object // what the source has, by uid

	seen map[string]stored // what the channel had of each object

	channel     string
	maxRemovals func(int) int
	require     bool
	control     *control.Following
}

func newScene(t testing.TB, nc *nats.Conn, channel string) *scene {
	t.Helper()
	w := &scene{
		t: t, nc: nc, js: brokertest.JetStream(t, nc), clock: version.NewClock(0, nil),
		known: map[string]content.Object{}, seen: map[string]stored{}, channel: channel,
	}
	must(t, stream.Ensure(context.Background(), w.js, stream.Export(w.source()), stream.Errors(), stream.Control()))
	w.log = publish.New(nc, w.js, publish.Options{})
	return w
}

func (w *scene) source() string { return "hq-" + w.channel }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// path is where an object is now.
func (w *scene) path(uid string) string {
	o := w.known[uid]
	if o.ParentUID == "" {
		return o.Name
	}
	return w.path(o.ParentUID) + "/" + o.Name
}

// put gives the source an object, or another state of it. The uid is the first name.
func (w *scene) put(uid, parent string, meta map[string]any) {
	w.t.Helper()
	o := content.Object{UID: uid, ParentUID: parent, Name: uid, Type: "Document", Meta: meta}
	w.known[uid] = o
	o.Path = w.path(uid)
	w.publish(content.Modified, o)
}

func (w *scene) remove(uid string) {
	w.t.Helper()
	o := w.known[uid]
	delete(w.known, uid)
	w.publish(content.Removed, o)
}

func (w *scene) publish(kind content.Kind, o content.Object) {
	w.t.Helper()
	id, err := uuid.NewV7()
	must(w.t, err)
	c := &content.Change{ID: id.String(), Source: w.source(), Kind: kind, Object: o, Version: w.clock.Next(), Digest: content.DigestOf(nil)}
	m, err := envelope.Message(subject.ExportToProcess(w.source(), o.UID), c, "", "")
	must(w.t, err)
	_, err = w.log.Publish(context.Background(), []*nats.Msg{m})
	must(w.t, err)
}

// relay starts a relay with an expression and gives it.
func (w *scene) relay(expression string) *Relay {
	w.t.Helper()
	o := Options{
		Channel: w.channel, From: w.source(), NC: w.nc, JS: w.js, Log: slog.New(slog.DiscardHandler),
		MaxRemovals: w.maxRemovals, Control: w.control, RequireParents: w.require,
	}
	if expression != "" {
		e, err := tales.Compile(expression)
		must(w.t, err)
		o.Expression = e
	}
	r, err := New(context.Background(), o)
	must(w.t, err)
	return r
}

func settle(t testing.TB, r *Relay) {
	t.Helper()
	upstream := make(chan struct{})
	close(upstream)
	must(t, r.Settle(context.Background(), upstream))
}

// carried reads the channel's log: for each object that it has, "full" or "bare", with
// its title.
func (w *scene) carried() map[string]string {
	w.t.Helper()
	got := map[string]string{}
	err := changelog.Scan(context.Background(), w.js, subject.ImportStream(w.channel), changelog.Options{}, func(m jetstream.Msg) error {
		c, err := envelope.Decode(m.Data())
		if err != nil {
			return err
		}
		if h, err := envelope.ParseHead(m.Headers()); err != nil || h.Version != c.Version {
			return fmt.Errorf("the header of %s has version %v, the body %v: %w", c.Object.UID, h.Version, c.Version, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		last := w.seen[c.Object.UID]
		if meta.Sequence.Stream != last.seq && c.Version <= last.version {
			w.t.Errorf("%s has version %v after %v: receivers would not take it", c.Object.UID, c.Version, last.version)
		}
		w.seen[c.Object.UID] = stored{seq: meta.Sequence.Stream, version: c.Version}
		switch {
		case c.Kind == content.Removed:
		case c.Object.Meta == nil:
			got[c.Object.UID] = "bare"
		default:
			got[c.Object.UID] = fmt.Sprint("full ", c.Object.Meta["title"])
		}
		return nil
	})
	must(w.t, err)
	return got
}

func (w *scene) wants(want map[string]string) {
	w.t.Helper()
	if got := w.carried(); !maps.Equal(got, want) {
		w.t.Errorf("the channel has %v, want %v", got, want)
	}
}

func titled(title string) map[string]any { return map[string]any{"title": title} }

const toBeExported = "python:object.Title() == 'To be Exported'"

func TestWhatStopsToMeetTheExpressionLeavesTheChannel(t *testing.T) {
	w := newScene(t, brokertest.Conn(t), "public")
	r := w.relay(toBeExported)
	w.put("a", "", titled("draft"))
	settle(t, r)
	w.wants(map[string]string{})
	w.put("a", "", titled("To be Exported"))
	settle(t, r)
	w.wants(map[string]string{"a": "full To be Exported"})
	w.put("a", "", titled("draft"))
	settle(t, r)
	w.wants(map[string]string{})
	w.put("a", "", titled("To be Exported"))
	settle(t, r)
	w.remove("a")
	settle(t, r)
	w.wants(map[string]string{})
}

func TestAContainerComesBareIsFilledAndGoesWithTheLast(t *testing.T) {
	w := newScene(t, brokertest.Conn(t), "public")
	r := w.relay(toBeExported)
	w.put("a", "", titled("secret"))
	w.put("b", "a", titled("secret"))
	w.put("c", "b", titled("To be Exported"))
	settle(t, r)
	w.wants(map[string]string{"a": "bare", "b": "bare", "c": "full To be Exported"})
	w.put("b", "a", titled("To be Exported"))
	settle(t, r)
	w.put("c", "b", titled("secret"))
	settle(t, r)
	w.wants(map[string]string{"a": "bare", "b": "full To be Exported"})
	w.put("b", "a", titled("secret"))
	settle(t, r)
	w.wants(map[string]string{})
}

func TestAMoveOutOfAPathRemovesWhatLiesBelow(t *testing.T) {
	w := newScene(t, brokertest.Conn(t), "public")
	r := w.relay("python: object.absolute_url_path().startswith('/news/')")
	w.put("news", "", titled("1"))
	w.put("old", "", titled("2"))
	w.put("a", "news", titled("3"))
	w.put("b", "a", titled("4"))
	settle(t, r)
	in := map[string]string{"news": "bare", "a": "full 3", "b": "full 4"}
	w.wants(in)
	w.put("a", "old", titled("3"))
	settle(t, r)
	w.wants(map[string]string{})
	w.put("a", "news", titled("3"))
	settle(t, r)
	w.wants(in)
}

func TestAChangedExpressionIsAppliedToEverything(t *testing.T) {
	w := newScene(t, brokertest.Conn(t), "public")
	for i := range 30 {
		w.put(fmt.Sprintf("a%d", i), "", titled(fmt.Sprint(i%3)))
	}
	count := func(expression string, want int) {
		t.Helper()
		r := w.relay(expression)
		settle(t, r)
		if got := len(w.carried()); got != want {
			t.Errorf("%q: the channel has %d objects, want %d", expression, got, want)
		}
		again := w.relay(expression)
		settle(t, again)
		if again.Done() != 0 {
			t.Errorf("%q: a relay that starts again relays %d changes", expression, again.Done())
		}
	}
	for range 2 { // there and back: versions must rise although nothing happens to the source
		count("python: object.title == '1'", 10)
		count("python: object.title != '1'", 20)
		count("", 30)
	}
}

func TestMoreRemovalsThanAllowedWaitForAWord(t *testing.T) {
	w := newScene(t, brokertest.Conn(t), "public")
	var err error
	w.control, err = control.Follow(t.Context(), w.js)
	must(t, err)
	w.maxRemovals = func(int) int { return 2 }
	for i := range 5 {
		w.put(fmt.Sprintf("a%d", i), "", titled("1"))
	}
	settle(t, w.relay("python: True"))
	closed := make(chan struct{})
	close(closed)
	err = w.relay("python: False").Settle(t.Context(), closed)
	if f := fault.Of(err); err == nil || f.Code != fault.Guarded || !strings.Contains(err.Error(), "5 of 5") {
		t.Fatalf("got %v", err)
	}
	if n := len(w.carried()); n != 5 {
		t.Errorf("the channel has %d objects, want 5", n)
	}
	store, err := control.New(t.Context(), w.js)
	must(t, err)
	state, err := store.Read(t.Context())
	must(t, err)
	g, held := state.ChannelGuard("public")
	if !held || g.Removals != 5 {
		t.Fatalf("the guard is %+v", g)
	}
	g.Released = true
	must(t, store.Guard(t.Context(), g))
	w.control, err = control.Follow(t.Context(), w.js)
	must(t, err)
	settle(t, w.relay("python: False"))
	w.wants(map[string]string{})
}

func TestWhatTheExpressionFailsForIsListedUntilItDoesNot(t *testing.T) {
	w := newScene(t, brokertest.Conn(t), "public")
	r := w.relay("python: object.price > 3")
	w.put("a", "", titled("no price"))
	w.put("b", "", map[string]any{"title": "dear", "price": 5})
	settle(t, r)
	w.wants(map[string]string{"b": "full dear"})
	store := deadletter.New(w.js)
	open, err := store.OfChannel(t.Context(), w.source(), "public")
	must(t, err)
	list, err := r.Verify(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].What != reconcile.Failed {
		t.Errorf("differences: %+v", list)
	}
	if len(open) != 1 || open[0].UID != "a" || open[0].Code != fault.BadExpression || !strings.Contains(open[0].Reason, "the object has no price") {
		t.Fatalf("failed: %+v", open)
	}
	if others, err := store.OfExport(t.Context(), w.source()); err != nil || len(others) != 0 {
		t.Errorf("the exporter is told of %+v, %v", others, err)
	}
	w.put("b", "", titled("its price is gone")) // what the channel has stays until it is known
	settle(t, r)
	w.wants(map[string]string{"b": "full dear"})
	w.put("a", "", map[string]any{"title": "cheap", "price": 1})
	w.remove("b")
	settle(t, r)
	open, err = store.OfChannel(t.Context(), w.source(), "public")
	must(t, err)
	if len(open) != 0 {
		t.Errorf("still failed: %+v", open)
	}
	w.wants(map[string]string{})
}

func TestAChannelThatRequiresParentsHoldsWhatHasNone(t *testing.T) {
	w := newScene(t, brokertest.Conn(t), "public")
	w.require = true
	const expression = "python: object.Title() != 'hidden'"
	w.put("a", "", titled("hidden"))
	w.put("b", "a", titled("b"))
	w.put("c", "b", titled("c"))
	w.put("d", "", titled("d"))
	held := func() (list []string) {
		open, err := deadletter.New(w.js).OfChannel(t.Context(), w.source(), "public")
		must(t, err)
		for _, e := range open {
			list = append(list, e.Path+" "+e.Reason)
		}
		slices.Sort(list)
		return list
	}
	waiting := []string{`a/b its container "a" does not meet the expression of channel public`, `a/b/c its container "a" does not meet the expression of channel public`}
	r := w.relay(expression)
	settle(t, r)
	w.wants(map[string]string{"d": "full d"})
	if got := held(); !slices.Equal(got, waiting) {
		t.Fatalf("held are %q", got)
	}
	w.put("a", "", titled("shown"))
	settle(t, r)
	w.wants(map[string]string{"a": "full shown", "b": "full b", "c": "full c", "d": "full d"})
	if got := held(); len(got) != 0 {
		t.Fatalf("held are %q", got)
	}
	w.put("a", "", titled("hidden"))
	settle(t, r)
	w.wants(map[string]string{"d": "full d"})
	settle(t, w.relay(expression))
	if got := held(); !slices.Equal(got, waiting) {
		t.Fatalf("after a start held are %q", got)
	}
	w.put("b", "d", titled("b"))
	settle(t, w.relay(expression))
	w.wants(map[string]string{"d": "full d", "b": "full b", "c": "full c"})
	w.require = false
	w.put("e", "a", titled("e"))
	settle(t, w.relay(expression))
	w.wants(map[string]string{"a": "bare", "e": "full e", "d": "full d", "b": "full b", "c": "full c"})
	if got := held(); len(got) != 0 {
		t.Errorf("held are %q", got)
	}
}

func TestAFailureThatWasGivenUpStaysSoUntilTheObjectChanges(t *testing.T) {
	w := newScene(t, brokertest.Conn(t), "public")
	w.put("a", "", titled("no price"))
	settle(t, w.relay("python: object.price > 3"))
	store := deadletter.New(w.js)
	e, err := store.OnTheWay(t.Context(), w.source(), "public", "a")
	must(t, err)
	m, err := deadletter.Message(e.Close(deadletter.Closing{As: deadletter.Discarded, By: "me", Why: "known"}), nil)
	must(t, err)
	_, err = w.log.Publish(t.Context(), []*nats.Msg{m})
	must(t, err)
	failing := func() int {
		open, err := store.OfChannel(t.Context(), w.source(), "public")
		must(t, err)
		return len(open)
	}
	settle(t, w.relay("python: object.price > 3"))
	if n := failing(); n != 0 {
		t.Fatalf("it is back: %d", n)
	}
	w.put("a", "", titled("still no price"))
	settle(t, w.relay("python: object.price > 3"))
	if n := failing(); n != 1 {
		t.Errorf("the changed object is not told: %d", n)
	}
}

// The channel's log is at the end what the expression makes of the source, whatever
// happened in which order, with restarts and changes of the expression in between.
func TestTheChannelIsWhatTheExpressionMakesOfTheSource(t *testing.T) {
	nc := brokertest.Conn(t)
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := newScene(t, nc, fmt.Sprintf("c%d", seed))
			wanted := w.live(rand.New(rand.NewPCG(seed, 0)), 30)
			if got, want := w.carried(), w.model(wanted); !maps.Equal(got, want) {
				t.Errorf("the channel has %v, want %v", got, want)
			}
		})
	}
}

// live has the source and the relay do steps at random, and gives the title that the
// expression asks for at the end.
func (w *scene) live(random *rand.Rand, steps int) (wanted string) {
	uids, titles := []string{"", "a", "b", "c", "d", "e"}, []string{"x", "y"}
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	restart := func() *Relay {
		wanted = pick(titles)
		return w.relay("python: object.title == '" + wanted + "'")
	}
	r := restart()
	for range steps {
		uid := pick(uids[1:])
		switch random.IntN(12) {
		case 0, 1:
			settle(w.t, r)
			w.carried()
		case 2:
			r = restart()
		case 3, 4:
			if _, ok := w.known[uid]; ok && !w.holds(uid) {
				w.remove(uid)
			}
		default:
			parent := pick(uids)
			if _, ok := w.known[parent]; (ok || parent == "") && !w.inside(parent, uid) {
				w.put(uid, parent, titled(pick(titles)))
			}
		}
	}
	settle(w.t, r)
	w.verifies(r)
	return wanted
}

// verifies wants that nothing differs, then spoils the channel's log, and wants that told.
func (w *scene) verifies(r *Relay) {
	w.t.Helper()
	list, err := r.Verify(context.Background())
	must(w.t, err)
	if len(list) != 0 {
		w.t.Errorf("differences where there are none: %+v", list)
	}
	before := len(w.carried())
	s, err := w.js.Stream(context.Background(), subject.ImportStream(w.channel))
	must(w.t, err)
	must(w.t, s.Purge(context.Background()))
	list, err = r.Verify(context.Background())
	must(w.t, err)
	if len(list) != before {
		w.t.Errorf("%d differences in a log that lacks %d objects: %+v", len(list), before, list)
	}
	r.have = nil
	settle(w.t, r)
}

func (w *scene) holds(uid string) bool {
	for _, o := range w.known {
		if o.ParentUID == uid {
			return true
		}
	}
	return false
}

func (w *scene) inside(container, uid string) bool {
	for ; container != ""; container = w.known[container].ParentUID {
		if container == uid {
			return true
		}
	}
	return false
}

func (w *scene) model(title string) map[string]string {
	want := map[string]string{}
	for uid, o := range w.known {
		if o.Meta["title"] != title {
			continue
		}
		want[uid] = "full " + title
		for p := o.ParentUID; p != ""; p = w.known[p].ParentUID {
			if _, ok := want[p]; !ok {
				want[p] = "bare"
			}
		}
	}
	for uid := range want {
		if w.known[uid].Meta["title"] == title {
			want[uid] = "full " + title
		}
	}
	return want
}
