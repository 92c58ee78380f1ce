package importer

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/signature"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

func newKey(t *testing.T) *signature.Key {
	t.Helper()
	k, err := signature.Create(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// trusting makes an importer take only what hq has signed with one of some keys.
func trusting(keys ...*signature.Key) func(*Options) {
	return func(o *Options) {
		var list []string
		for _, k := range keys {
			list = append(list, k.Public())
		}
		o.Signed = map[string]*signature.Rule{"public": signature.OfChannel("public", "hq", nil, list)}
	}
}

// send puts a change into the channel's log, past everybody who does that properly. It is
// signed unless the key is nil; alter may change it afterwards.
func (w *world) send(k *signature.Key, c *content.Change, alter ...func(*nats.Msg)) {
	w.t.Helper()
	m, err := envelope.Message(subject.ExportToProcess("hq", c.Object.UID), c, "fingerprint", "")
	w.must(err)
	w.must(k.Sign(m.Subject, m))
	on := envelope.Forward(subject.ImportToProcess("public", c.Object.UID), m.Header, m.Data)
	on.Header.Set(nats.MsgIdHdr, uuid.NewString())
	for _, f := range alter {
		f(on)
	}
	_, err = w.js.PublishMsg(context.Background(), on)
	w.must(err)
}

func TestWhatTheSourceHasSignedTakesEffectAndRemovalsDoToo(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	w.send(k, w.put("a", folder()))
	w.send(k, w.put("a/b", page("b")))
	w.send(k, w.put("c", page("c")))
	w.settle(trusting(k))
	w.want("a", "a/b", "c")
	w.send(k, w.remove("c", content.TypeFile))
	w.settle(trusting(k))
	w.want("a", "a/b")
	w.wantFailures()
}

func TestWhatTheSourceHasNotSignedIsNotAppliedAndIsTold(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	for _, p := range []string{"kept", "edited"} {
		w.send(k, w.put(p, page(p)))
	}
	w.settle(trusting(k))

	w.send(nil, w.put("unsigned", page("x")))
	w.send(newKey(t), w.put("by another", page("x")))
	w.send(nil, w.remove("kept", content.TypeFile))
	w.send(k, w.put("edited", page("x")), func(m *nats.Msg) {
		forged, err := envelope.Encode(w.put("edited", page("evil")))
		w.must(err)
		m.Data = forged
	})
	w.send(k, w.put("elsewhere", page("x")), func(m *nats.Msg) { m.Subject = subject.ImportToProcess("public", "another") })
	w.send(nil, w.put("garbage", page("x")), func(m *nats.Msg) { m.Header, m.Data = nats.Header{}, []byte("?") })
	want := []string{"by another untrusted", "edited untrusted", "elsewhere untrusted", "kept untrusted", "uid-garbage untrusted", "unsigned untrusted"}
	for range 2 {
		w.settle(trusting(k))
		w.want("edited", "kept")
		w.wantData("edited", "edited")
		w.wantFailures(want...)
	}
	for _, e := range w.entries() {
		if e.Class != fault.Park || e.Channel != "public" || e.Stage != deadletter.Import || e.Reason == "" || e.Version != 0 || e.Next.IsZero() {
			t.Errorf("told is %+v", e)
		}
	}

	w.ask(deadletter.Request{By: "me"})
	w.settle(trusting(k))
	w.want("edited", "kept")
	w.wantFailures(want...)
	for _, e := range w.entries() {
		if e.Attempts < 2 {
			t.Errorf("%s was not looked at again", e.Path)
		}
	}

	for _, p := range []string{"unsigned", "by another", "kept", "edited"} {
		w.send(k, w.put(p, page("right")))
	}
	w.settle(trusting(k))
	w.want("by another", "edited", "kept", "unsigned")
	w.wantFailures("elsewhere untrusted", "uid-garbage untrusted")
}

func TestWhatIsRefusedIsTriedAgainByItselfAndTakenWhenTheKeyIsNamed(t *testing.T) {
	w, old, k := newWorld(t), newKey(t), newKey(t)
	w.send(old, w.put("a", page("a")))
	w.settle(trusting(old))
	w.send(k, w.put("a", page("b")))
	w.send(k, w.put("new", page("n")))
	first := w.importer(trusting(old))
	first.delay = func(int) time.Duration { return 100 * time.Millisecond }
	stop := w.start(first)
	w.eventually("both are refused, again and again", func() bool {
		return len(w.entries()) == 2 && !slices.ContainsFunc(w.entries(), func(e deadletter.Entry) bool { return e.Code != fault.Untrusted || e.Attempts < 3 })
	})
	stop()
	w.wantData("a", "a")

	w.start(w.importer(trusting(old, k)))
	w.eventually("both keys are taken", func() bool { return w.has("a", "new") && len(w.failures()) == 0 })
	w.wantData("a", "b")
}

func TestAForgedChangeThatIsDiscardedLeavesTheLogAndKeepsNothingBack(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	c := w.put("a", page("a"))
	far := *c
	far.Version = 1 << 63
	w.send(nil, &far)
	w.settle(trusting(k))
	w.wantFailures("a untrusted")
	w.ask(deadletter.Request{Discard: true, By: "me", Why: "forged"})
	w.settle(trusting(k))
	w.wantFailures()
	m, err := changelog.Newest(t.Context(), w.js, subject.ImportStream("public"), subject.ImportToProcess("public", c.Object.UID))
	if m != nil || err != nil {
		t.Errorf("the log has %v, %v", m, err)
	}
	w.send(k, w.put("a", page("a")))
	w.settle(trusting(k))
	w.want("a")
	w.wantFailures()
}

func TestAForgedContainerIsNotLookedUpForWhatItHolds(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	box, in := w.put("box", folder()), w.put("box/in", page("x"))
	w.send(k, in)
	w.send(nil, box)
	w.settle(trusting(k))
	w.want()
	w.wantFailures("box untrusted", "box/in waiting")
	w.send(k, box)
	w.settle(trusting(k))
	w.want("box", "box/in")
	w.wantFailures()
}

func TestAChannelWithAKeyTakesNothingThatItsRelayHasNotPutThere(t *testing.T) {
	w, source, relay := newWorld(t), newKey(t), newKey(t)
	rule := signature.OfChannel("public", "hq", []string{relay.Public()}, []string{source.Public()})
	byRelay := func(o *Options) { o.Signed = map[string]*signature.Rule{"public": rule} }
	w.send(source, w.put("of the source alone", page("x")))
	w.send(nil, w.put("relayed", page("x")), func(m *nats.Msg) { w.must(relay.Sign(m.Subject, m)) })
	w.settle(byRelay)
	w.want("relayed")
	w.wantFailures("of the source alone untrusted")
}

func TestAReceiverWithoutKeysTakesWhatIsSigned(t *testing.T) {
	w := newWorld(t)
	w.send(newKey(t), w.put("a", page("a")))
	w.settle()
	w.want("a")
	w.wantFailures()
}

func TestOnACircleTheSitesOwnLogIsBelievedOnlyWhereTheSiteHasSignedIt(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	w.must(stream.Ensure(t.Context(), w.js, stream.Export("paris")))
	own := func(o *Options) { o.Own = signature.OfSource("paris", []string{k.Public()}) }
	export := func(k *signature.Key, c *content.Change) {
		t.Helper()
		m, err := envelope.Message(subject.ExportToProcess("paris", c.Object.UID), c, "fingerprint", "")
		w.must(err)
		w.must(k.Sign(m.Subject, m))
		m.Header.Set(nats.MsgIdHdr, uuid.NewString())
		_, err = w.js.PublishMsg(t.Context(), m)
		w.must(err)
	}
	forged, edited := w.put("forged", page("x")), w.put("edited here", page("x"))
	for _, c := range []*content.Change{forged, edited} {
		later := *c
		later.Version += 1 << 32
		if c == edited {
			export(k, &later)
		} else {
			export(nil, &later)
		}
	}
	w.publish(forged, edited)
	w.settle(onCircle, own)
	w.want("forged")
}
