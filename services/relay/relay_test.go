package relay

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

const patience = 20 * time.Second

// world is a broker with the log of a source.
type world struct {
	t     *testing.T
	nc    *nats.Conn
	js    jetstream.JetStream
	log   *publish.Publisher
	clock *version.Clock
}

func newWorld(t *testing.T) *world {
	t.Helper()
	nc := brokertest.Conn(t)
	w := &world{t: t, nc: nc, js: brokertest.JetStream(t, nc), clock: version.NewClock(0, nil)}
	w.log = publish.New(nc, w.js, publish.Options{})
	w.must(stream.Ensure(t.Context(), w.js, stream.Export("hq")))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// export puts a change of each object into the source's log.
func (w *world) export(kind content.Kind, uids ...string) {
	w.t.Helper()
	var msgs []*nats.Msg
	for _, uid := range uids {
		typ, ps := contenttest.EncodeTree(uid, contenttest.Leaf(uid, 1))
		c := contenttest.Change(uid, uid, typ, ps)
		c.Kind, c.Version, c.Source = kind, w.clock.Next(), "hq"
		m, err := envelope.Message(subject.ExportToProcess("hq", uid), c, "fingerprint", "identity")
		w.must(err)
		msgs = append(msgs, m)
	}
	_, err := w.log.Publish(w.t.Context(), msgs)
	w.must(err)
}

func (w *world) relay(change ...func(*Options)) *Relay {
	w.t.Helper()
	told, err := control.Follow(w.t.Context(), w.js)
	w.must(err)
	o := Options{Channel: "public", From: "hq", NC: w.nc, JS: w.js, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Control: told}
	for _, f := range change {
		f(&o)
	}
	r, err := New(w.t.Context(), o)
	w.must(err)
	return r
}

func (w *world) settle(r *Relay) {
	w.t.Helper()
	ended := make(chan struct{})
	close(ended)
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	w.must(r.Settle(ctx, ended))
}

func (w *world) start(r *Relay) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the relay ends with %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// heads gives what a log has by uid.
func (w *world) heads(stream string) map[string]envelope.Head {
	w.t.Helper()
	heads := map[string]envelope.Head{}
	err := changelog.Heads(w.t.Context(), w.js, stream, func(_ uint64, h envelope.Head) { heads[h.UID] = h },
		func(s string, err error) { w.t.Error(s, err) })
	w.must(err)
	return heads
}

// complete tells whether the channel's log has what the source's log has.
func (w *world) complete() bool {
	from, to := w.heads(subject.ExportStream("hq")), w.heads(subject.ImportStream("public"))
	for uid, h := range from {
		if to[uid].Version != h.Version || to[uid].Kind != h.Kind {
			return false
		}
	}
	return len(from) == len(to)
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (w *world) sequence() uint64 {
	w.t.Helper()
	s, err := w.js.Stream(w.t.Context(), subject.ImportStream("public"))
	w.must(err)
	return s.CachedInfo().State.LastSeq
}

func uids(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf("uid-%d", i))
	}
	return list
}

func TestAChangeIsStoredOnceForTheChannelWithItsBytes(t *testing.T) {
	w := newWorld(t)
	w.export(content.Modified, uids(0, 700)...)
	w.export(content.Removed, "uid-3")
	w.settle(w.relay())
	if !w.complete() {
		t.Fatal("the channel's log is another one than the source's")
	}
	from, err := changelog.Newest(t.Context(), w.js, subject.ExportStream("hq"), subject.ExportToProcess("hq", "uid-9"))
	w.must(err)
	to, err := changelog.Newest(t.Context(), w.js, subject.ImportStream("public"), subject.ImportToProcess("public", "uid-9"))
	w.must(err)
	if !slices.Equal(from.Data, to.Data) {
		t.Error("the bytes have changed on the way")
	}
	if to.Header.Get(subject.HeaderFingerprint) != "" || from.Header.Get(subject.HeaderFingerprint) == "" {
		t.Error("what only the source needs has been passed on, or was not there")
	}
	before := w.sequence()
	w.settle(w.relay())
	if after := w.sequence(); after != before {
		t.Errorf("a second run stores %d messages", after-before)
	}
}

func TestALostChannelLogIsFilledAgain(t *testing.T) {
	w := newWorld(t)
	w.export(content.Modified, uids(0, 50)...)
	r := w.relay(func(o *Options) { o.Reconcile = 300 * time.Millisecond })
	w.start(r)
	w.eventually("all is passed on", w.complete)
	w.must(w.js.DeleteStream(t.Context(), subject.ImportStream("public")))
	w.eventually("the log is there again", func() bool {
		_, err := w.js.Stream(t.Context(), subject.ImportStream("public"))
		return err == nil && w.complete()
	})
	s, err := w.js.Stream(t.Context(), subject.ImportStream("public"))
	w.must(err)
	w.must(s.Purge(t.Context(), jetstream.WithPurgeSubject(subject.ImportToProcess("public", "uid-7"))))
	w.eventually("one lost message is there again", w.complete)
}

func TestASourcesLogThatIsMadeAnewIsFollowed(t *testing.T) {
	w := newWorld(t)
	w.export(content.Modified, uids(0, 20)...)
	w.start(w.relay())
	w.eventually("all is passed on", w.complete)
	w.must(w.js.DeleteStream(t.Context(), subject.ExportStream("hq")))
	w.must(stream.Ensure(t.Context(), w.js, stream.Export("hq")))
	w.log = publish.New(w.nc, w.js, publish.Options{})
	w.export(content.Modified, uids(0, 20)...)
	w.eventually("the new one is passed on", w.complete)
}

func TestTwoRelaysOfAChannelDoNotUndoOneAnothersWork(t *testing.T) {
	w := newWorld(t)
	w.start(w.relay())
	w.start(w.relay())
	for range 30 {
		w.export(content.Modified, uids(0, 40)...)
	}
	w.eventually("the newest of each is passed on", w.complete)
	time.Sleep(300 * time.Millisecond) // whatever is late
	if !w.complete() {
		t.Fatal("an older change has taken the place of a newer one")
	}
}

func TestWhatAKilledRelayHadInHandIsPassedOnAtOnce(t *testing.T) {
	w := newWorld(t)
	w.export(content.Modified, uids(0, 10)...)
	r := w.relay()
	consumer, err := r.open(t.Context())
	w.must(err)
	batch, err := consumer.Fetch(10, jetstream.FetchMaxWait(time.Second))
	w.must(err)
	if n := len(drain(batch)); n != 10 {
		t.Fatalf("%d messages were given out", n)
	}
	start := time.Now()
	w.settle(w.relay()) // nothing was acknowledged
	if !w.complete() || time.Since(start) > ackWait/2 {
		t.Fatalf("complete: %v, after %v", w.complete(), time.Since(start))
	}
}

func TestAPausedChannelWaits(t *testing.T) {
	w := newWorld(t)
	store, err := control.New(t.Context(), w.js)
	w.must(err)
	p := control.Pause{Channel: "public", Reason: "embargo", By: "me"}
	w.must(store.Pause(t.Context(), p))
	w.export(content.Modified, "uid-1")
	ended := make(chan struct{})
	close(ended)
	if err := w.relay().Settle(t.Context(), ended); fault.Of(err).Code != fault.Paused {
		t.Fatalf("got %v", err)
	}
	r := w.relay()
	w.start(r)
	w.eventually("it says so", func() bool { return r.report.Load().State == "paused" })
	if w.sequence() != 0 {
		t.Fatal("it was passed on")
	}
	p.Ended = true
	w.must(store.Pause(t.Context(), p))
	w.eventually("it goes on", w.complete)
}

// A line that is dead and not cut takes what the broker sends, and nobody notices.
func TestWhatWasSentIntoTheVoidIsPassedOnBeforeTheBrokerGivesItUp(t *testing.T) {
	w := newWorld(t)
	w.start(w.relay())
	w.export(content.Modified, "uid-first")
	w.eventually("the relay works", w.complete)
	void, err := w.js.Consumer(t.Context(), subject.ExportStream("hq"), subject.RelayConsumer("public"))
	w.must(err)
	taken := 0
	for range 100 { // the broker serves one request after the other
		batch, err := void.Fetch(1, jetstream.FetchMaxWait(100*time.Millisecond))
		w.must(err)
		w.export(content.Modified, uids(0, 20)...)
		if taken = len(drain(batch)); taken > 0 {
			break
		}
	}
	if taken == 0 {
		t.Fatal("the relay got everything")
	}
	w.eventually("all is passed on", w.complete)
}
