package relay

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/signature"
	"synchro.example/shared/subject"
	"synchro.example/shared/tales"
	"synchro.example/shared/version"
)

func newKey(t testing.TB) *signature.Key {
	t.Helper()
	k, err := signature.Create(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func trusting(keys ...*signature.Key) func(*Options) {
	return func(o *Options) { o.Trust = signature.OfSource("hq", publics(keys)) }
}

func publics(keys []*signature.Key) (list []string) {
	for _, k := range keys {
		list = append(list, k.Public())
	}
	return list
}

// change makes the message of a change of hq, signed with a key unless that is nil.
func (w *world) change(k *signature.Key, kind content.Kind, uid, data string) *nats.Msg {
	w.t.Helper()
	typ, ps := contenttest.EncodeTree(uid, contenttest.Leaf(data, 1))
	c := contenttest.Change(uid, uid, typ, ps)
	c.Kind, c.Version, c.Source, c.ID = kind, w.clock.Next(), "hq", uuid.NewString()
	m, err := envelope.Message(subject.ExportToProcess("hq", uid), c, "fingerprint", "identity")
	w.must(err)
	w.must(k.Sign(m.Subject, m))
	return m
}

// store puts a message into the broker, past all publishers.
func store(t testing.TB, js jetstream.JetStream, subj string, h nats.Header, body []byte) {
	t.Helper()
	m := nats.NewMsg(subj)
	m.Data = body
	for name, values := range h {
		if strings.HasPrefix(name, subject.HeaderPrefix) {
			m.Header[name] = slices.Clone(values)
		}
	}
	m.Header.Set(nats.MsgIdHdr, uuid.NewString())
	if _, err := js.PublishMsg(context.Background(), m); err != nil {
		t.Fatal(err)
	}
}

func (w *world) store(m *nats.Msg) {
	w.t.Helper()
	store(w.t, w.js, m.Subject, m.Header, m.Data)
}

// told gives "uid code" of what failed on the way into a channel.
func told(t testing.TB, js jetstream.JetStream) (list []string) {
	t.Helper()
	all, err := deadletter.New(js).All(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		list = append(list, fmt.Sprintf("%s %s", e.UID, e.Code))
	}
	slices.Sort(list)
	return list
}

func wantTold(t testing.TB, js jetstream.JetStream, want ...string) {
	t.Helper()
	if got := told(t, js); !slices.Equal(got, want) {
		t.Fatalf("told are %v, want %v", got, want)
	}
}

// wantSigned fails unless everything in a log is as a rule asks. It gives what it has, by uid.
func wantSigned(t testing.TB, js jetstream.JetStream, stream string, rule *signature.Rule) map[string]version.Version {
	t.Helper()
	have := map[string]version.Version{}
	err := changelog.Scan(context.Background(), js, stream, changelog.Options{}, func(m jetstream.Msg) error {
		h, err := envelope.ParseHead(m.Headers())
		if err == nil {
			err = rule.Check(m.Subject(), m.Headers(), m.Data())
		}
		if err != nil {
			t.Errorf("%s %s: %v", h.UID, h.Kind, err)
		}
		have[h.UID] = h.Version
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return have
}

func TestWhatTheSourceHasSignedStaysSignedInTheChannel(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	for _, uid := range uids(0, 20) {
		w.store(w.change(k, content.Modified, uid, uid))
	}
	w.store(w.change(k, content.Removed, "uid-3", ""))
	w.settle(w.relay(trusting(k)))
	if have := wantSigned(t, w.js, subject.ImportStream("public"), signature.OfChannel("public", "hq", nil, []string{k.Public()})); len(have) != 20 {
		t.Errorf("the channel has %d objects", len(have))
	}
	wantTold(t, w.js)
}

func TestWhatTheSourceHasNotSignedGoesNoFurtherAndIsTold(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	w.store(w.change(k, content.Modified, "genuine", "x"))
	w.store(w.change(nil, content.Modified, "unsigned", "x"))
	w.store(w.change(newKey(t), content.Modified, "by-another", "x"))
	altered := w.change(k, content.Modified, "altered", "x")
	altered.Data = w.change(k, content.Modified, "altered", "y").Data
	w.store(altered)
	moved := w.change(k, content.Modified, "moved", "x")
	moved.Subject = subject.ExportToProcess("hq", "elsewhere")
	w.store(moved)
	gone := w.change(nil, content.Removed, "unsigned-removal", "")
	w.store(gone)

	w.settle(w.relay(trusting(k)))
	if have := w.heads(subject.ImportStream("public")); len(have) != 1 || have["genuine"].Version == 0 {
		t.Fatalf("the channel has %v", have)
	}
	all := []string{"altered untrusted", "by-another untrusted", "elsewhere untrusted", "unsigned untrusted", "unsigned-removal untrusted"}
	wantTold(t, w.js, all...)
	w.settle(w.relay(trusting(k)))
	wantTold(t, w.js, all...)

	e, err := deadletter.New(w.js).OnTheWay(t.Context(), "hq", "public", "altered")
	w.must(err)
	if e.Class != fault.Park || e.Stage != deadletter.Export || e.Channel != "public" || !strings.Contains(e.Reason, k.Public()) {
		t.Errorf("told is %+v", e)
	}
	for _, uid := range []string{"altered", "by-another", "elsewhere", "unsigned"} {
		w.store(w.change(k, content.Modified, uid, "z"))
	}
	w.store(w.change(k, content.Removed, "unsigned-removal", ""))
	w.settle(w.relay(trusting(k)))
	wantTold(t, w.js)
	if !w.complete() {
		t.Error("what is right is not passed on")
	}
}

func TestWhatSomebodyElsePutsIntoTheChannelGivesWay(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	for _, uid := range []string{"a", "b", "c"} {
		w.store(w.change(k, content.Modified, uid, "x"))
	}
	w.settle(w.relay(trusting(k)))
	forged := w.change(nil, content.Modified, "a", "evil")
	forged.Header.Set(subject.HeaderVersion, "ffffffffffffffff")
	store(t, w.js, subject.ImportToProcess("public", "a"), forged.Header, forged.Data)
	moved := w.change(k, content.Modified, "c", "x")
	store(t, w.js, subject.ImportToProcess("public", "b"), moved.Header, moved.Data)

	// For five seconds the broker takes what comes again for the same message.
	w.eventually("what belongs there is there", func() bool {
		w.settle(w.relay(trusting(k)))
		return w.complete() && w.heads(subject.ImportStream("public"))["b"].UID == "b"
	})
	wantSigned(t, w.js, subject.ImportStream("public"), signature.OfSource("hq", []string{k.Public()}))
	before := w.sequence()
	w.settle(w.relay(trusting(k)))
	if after := w.sequence(); after != before {
		t.Errorf("another run stores %d messages", after-before)
	}
}

func TestAnotherKeyIsTakenWhileTheListHasBoth(t *testing.T) {
	w, old, k := newWorld(t), newKey(t), newKey(t)
	w.store(w.change(old, content.Modified, "a", "x"))
	w.store(w.change(k, content.Modified, "b", "x"))
	w.settle(w.relay(trusting(old, k)))
	if !w.complete() {
		t.Error("one of both is not taken")
	}
	w.store(w.change(old, content.Modified, "c", "x"))
	w.settle(w.relay(trusting(k)))
	wantTold(t, w.js, "a untrusted", "c untrusted")
}

// sign makes a scene's relay one that believes a source's key and signs with its own.
func (w *scene) signing(expression string, source, own *signature.Key) *Relay {
	w.t.Helper()
	e, err := tales.Compile(expression)
	must(w.t, err)
	o := w.relay(expression).filter.options
	o.Expression, o.Trust, o.Key = e, signature.OfSource(w.source(), publics([]*signature.Key{source})), own
	r, err := New(context.Background(), o)
	must(w.t, err)
	return r
}

// signAll signs what the source's log has.
func (w *scene) signAll(k *signature.Key) {
	w.t.Helper()
	err := changelog.Scan(context.Background(), w.js, subject.ExportStream(w.source()), changelog.Options{}, func(m jetstream.Msg) error {
		signed := &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()}
		must(w.t, k.Sign(m.Subject(), signed))
		store(w.t, w.js, signed.Subject, signed.Header, signed.Data)
		return nil
	})
	must(w.t, err)
}

func TestARelaySignsAllThatItPutsIntoAChannelWithAKey(t *testing.T) {
	w := newScene(t, newWorld(t).nc, "sign")
	k, own := newKey(t), newKey(t)
	rule := signature.OfChannel("sign", w.source(), []string{own.Public()}, []string{k.Public()})
	published := map[string]any{"review_state": "published"}
	w.put("folder", "", nil)
	w.put("page", "folder", published)
	w.put("leaves", "", published)
	w.put("hidden", "", nil)
	w.signAll(k)
	r := w.signing("python: object.review_state == 'published'", k, own)
	settle(t, r)
	if have := wantSigned(t, w.js, subject.ImportStream("sign"), rule); len(have) != 3 {
		t.Fatalf("the channel has %v", have)
	}
	w.put("leaves", "", nil)
	w.signAll(k)
	settle(t, r)
	if have := wantSigned(t, w.js, subject.ImportStream("sign"), rule); len(have) != 3 {
		t.Fatalf("the channel has %v", have)
	}

	// What the source has signed, but the relay has kept out of the channel.
	at := subject.ImportToProcess("sign", "hidden")
	m, err := changelog.Newest(t.Context(), w.js, subject.ExportStream(w.source()), subject.ExportToProcess(w.source(), "hidden"))
	must(t, err)
	if err := rule.Check(at, m.Header, m.Data); fault.Of(err).Code != fault.Untrusted {
		t.Errorf("got %v", err)
	}
	store(t, w.js, at, m.Header, m.Data)
	again := newKey(t)
	settle(t, w.signing("python: object.review_state == 'published'", k, again))
	wantSigned(t, w.js, subject.ImportStream("sign"), signature.OfChannel("sign", w.source(), []string{again.Public()}, nil))
	wantTold(t, w.js)
}

func TestAForgedChangeDoesNotPassAnExpressionAndAForgedRemovalTakesNothingAway(t *testing.T) {
	w := newScene(t, newWorld(t).nc, "forged")
	k, own := newKey(t), newKey(t)
	published := map[string]any{"review_state": "published"}
	for _, uid := range []string{"stays", "edited"} {
		w.put(uid, "", published)
	}
	w.signAll(k)
	const expression = "python: object.review_state == 'published'"
	settle(t, w.signing(expression, k, own))
	before := w.carried()

	w.remove("stays")
	w.put("edited", "", map[string]any{"review_state": "published", "title": "evil"})
	w.put("new", "", published)
	want := []string{"edited untrusted", "new untrusted", "stays untrusted"}
	settle(t, w.signing(expression, k, own)) // which reads the whole log
	wantTold(t, w.js, want...)
	if got := w.carried(); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("the channel has %v, had %v", got, before)
	}
	settle(t, w.signing(expression, k, own))
	wantTold(t, w.js, want...)
	w.signAll(k)
	settle(t, w.signing(expression, k, own))
	wantTold(t, w.js)
	if got := w.carried(); got["stays"] != "" || got["new"] == "" {
		t.Errorf("the channel has %v", got)
	}
}
