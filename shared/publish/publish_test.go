package publish_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

// log is a stream of changes to publish into.
type log struct {
	t  testing.TB
	s  *embedded.Server
	nc *nats.Conn
	js jetstream.JetStream
}

func newLog(t testing.TB, s *embedded.Server, change func(*jetstream.StreamConfig)) *log {
	t.Helper()
	nc := brokertest.Connect(t, s)
	l := &log{t: t, s: s, nc: nc, js: brokertest.JetStream(t, nc)}
	c := stream.Export("hq")
	if change != nil {
		change(&c)
	}
	if err := stream.Ensure(t.Context(), l.js, c); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *log) publisher(o publish.Options) *publish.Publisher { return publish.New(l.nc, l.js, o) }

func (l *log) info() *jetstream.StreamInfo {
	l.t.Helper()
	s, err := l.js.Stream(l.t.Context(), subject.ExportStream("hq"))
	if err != nil {
		l.t.Fatal(err)
	}
	return s.CachedInfo()
}

// newest gives the sequence and id of an object's newest message.
func (l *log) newest(uid string) (uint64, string) {
	l.t.Helper()
	s, err := l.js.Stream(l.t.Context(), subject.ExportStream("hq"))
	if err != nil {
		l.t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(l.t.Context(), subject.ExportToProcess("hq", uid))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, ""
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return m.Sequence, m.Header.Get(jetstream.MsgIDHeader)
}

func message(uid, id string) *nats.Msg {
	m := nats.NewMsg(subject.ExportToProcess("hq", uid))
	m.Header.Set(jetstream.MsgIDHeader, id)
	m.Data = []byte(id)
	return m
}

// messages gives n messages of n objects.
func messages(n int, version string) []*nats.Msg {
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = message(strconv.Itoa(i), fmt.Sprint(i, "-", version))
	}
	return msgs
}

func (l *log) has(n int, version string) {
	l.t.Helper()
	for i := range n {
		if _, id := l.newest(strconv.Itoa(i)); id != fmt.Sprint(i, "-", version) {
			l.t.Errorf("object %d has %q, want version %s", i, id, version)
		}
	}
}

func TestSequencesRiseInTheOrderOfTheMessages(t *testing.T) {
	for _, n := range []int{1, 6, 7, 100, 1000, 1001, 2500} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			l := newLog(t, brokertest.Start(t), nil)
			msgs := messages(n, "a")
			seqs, err := l.publisher(publish.Options{}).Publish(t.Context(), msgs)
			if err != nil || len(seqs) != n {
				t.Fatalf("%d sequences, %v", len(seqs), err)
			}
			for i, seq := range seqs {
				if seq != uint64(i+1) {
					t.Fatalf("message %d has sequence %d", i, seq)
				}
			}
			if len(msgs[0].Header) != 1 || msgs[0].Reply != "" {
				t.Errorf("the caller's message is altered: %v", msgs[0])
			}
			l.has(min(n, 10), "a")
		})
	}
}

func TestOnlyTheLastOfManyMessagesOfOneObjectStays(t *testing.T) {
	for _, n := range []int{5, 500} {
		l := newLog(t, brokertest.Start(t), nil)
		var msgs []*nats.Msg
		for i := range n {
			msgs = append(msgs, message("same", strconv.Itoa(i)))
		}
		if _, err := l.publisher(publish.Options{}).Publish(t.Context(), msgs); err != nil {
			t.Fatal(err)
		}
		if _, id := l.newest("same"); id != strconv.Itoa(n-1) {
			t.Errorf("newest of %d is %s", n, id)
		}
	}
}

func TestABatchIsStoredWhollyOrNotAtAll(t *testing.T) {
	l := newLog(t, brokertest.Start(t), nil)
	msgs := messages(100, "a")
	msgs[60].Header.Set(jetstream.ExpectedLastSubjSeqHeader, "77")
	seqs, err := l.publisher(publish.Options{}).Publish(t.Context(), msgs)
	if !errors.Is(err, publish.ErrExpectation) || len(seqs) != 0 {
		t.Errorf("got %d sequences, %v", len(seqs), err)
	}
	if n := l.info().State.Msgs; n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

func TestABatchThatIsThereAlreadyIsFound(t *testing.T) {
	l := newLog(t, brokertest.Start(t), nil)
	first, err := l.publisher(publish.Options{}).Publish(t.Context(), messages(50, "a"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.publisher(publish.Options{}).Publish(t.Context(), messages(50, "a"))
	if err != nil || fmt.Sprint(first) != fmt.Sprint(again) {
		t.Errorf("got %v, %v, want %v", again, err, first)
	}
	if last := l.info().State.LastSeq; last != 50 {
		t.Errorf("last sequence is %d", last)
	}
}

func TestABatchThatIsPartlyThereIsCompleted(t *testing.T) {
	l := newLog(t, brokertest.Start(t), nil)
	p := l.publisher(publish.Options{})
	if _, err := p.Publish(t.Context(), messages(20, "a")); err != nil {
		t.Fatal(err)
	}
	seqs, err := p.Publish(t.Context(), messages(50, "a"))
	if err != nil || len(seqs) != 50 || seqs[0] != 1 || seqs[49] != 50 {
		t.Errorf("got %v, %v", seqs, err)
	}
	l.has(50, "a")
}

func TestWhatTheBrokerRemembersButDoesNotHaveIsStored(t *testing.T) {
	l := newLog(t, brokertest.Start(t), func(c *jetstream.StreamConfig) { c.Duplicates = 300 * time.Millisecond })
	// Ensure sets the window of the package: shorten it behind its back.
	c := l.info().Config
	c.Duplicates = 300 * time.Millisecond
	s, err := l.js.UpdateStream(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p := l.publisher(publish.Options{})
	for _, n := range []int{3, 30} {
		for range 2 {
			if _, err := p.Publish(t.Context(), messages(n, "a")); err != nil {
				t.Fatal(err)
			}
			l.has(n, "a")
			if err := s.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestStreamsWithoutBatchesGetSingleMessages(t *testing.T) {
	l := newLog(t, brokertest.Start(t), nil)
	c := l.info().Config
	c.AllowAtomicPublish = false
	if _, err := l.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p := l.publisher(publish.Options{})
	for _, version := range []string{"a", "b"} {
		seqs, err := p.Publish(t.Context(), messages(200, version))
		if err != nil || len(seqs) != 200 {
			t.Fatalf("%d sequences, %v", len(seqs), err)
		}
	}
	l.has(200, "b")
}

func TestAFullStreamTakesReplacementsAndRefusesTheRest(t *testing.T) {
	l := newLog(t, brokertest.Start(t), func(c *jetstream.StreamConfig) { c.MaxBytes = 32 << 10 })
	p := l.publisher(publish.Options{})
	ctx := t.Context()
	var err error
	n := 0
	for ; err == nil && n < 1000; n += 10 {
		var msgs []*nats.Msg
		for i := range 10 {
			m := message(strconv.Itoa(n+i), fmt.Sprintf("%04d-a", n+i))
			m.Data = make([]byte, 500)
			msgs = append(msgs, m)
		}
		_, err = p.Publish(ctx, msgs)
	}
	f := fault.Of(err)
	if f.Class != fault.Retry || f.Code != fault.BrokerFull || !f.WholeSite {
		t.Fatalf("after %d messages: %v", n, err)
	}
	var same []*nats.Msg
	for i := range 20 {
		m := message(strconv.Itoa(i), fmt.Sprintf("%04d-b", i))
		m.Data = make([]byte, 500)
		same = append(same, m)
	}
	if _, err := p.Publish(ctx, same); err != nil {
		t.Errorf("replacing in a full stream: %v", err)
	}
	if _, id := l.newest("19"); id != "0019-b" {
		t.Errorf("newest is %s", id)
	}
}

func TestNothingIsSentOfMessagesThatNoStreamTakes(t *testing.T) {
	l := newLog(t, brokertest.Start(t), nil)
	p := l.publisher(publish.Options{})
	for name, spoil := range map[string]func(*nats.Msg){
		"no id":    func(m *nats.Msg) { m.Header.Del(jetstream.MsgIDHeader) },
		"too long": func(m *nats.Msg) { m.Data = make([]byte, 1<<20) },
	} {
		msgs := messages(20, "a")
		spoil(msgs[10])
		if _, err := p.Publish(t.Context(), msgs); fault.Of(err).Code != fault.Invalid || fault.Of(err).Class != fault.Park {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := l.info().State.Msgs; n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

func TestAMissingStreamIsAFaultOfTheBroker(t *testing.T) {
	nc := brokertest.Conn(t)
	p := publish.New(nc, brokertest.JetStream(t, nc), publish.Options{Patience: 100 * time.Millisecond})
	for _, n := range []int{1, 20} {
		_, err := p.Publish(t.Context(), messages(n, "a"))
		if f := fault.Of(err); f.Code != fault.BrokerDown || !f.WholeSite || f.Class != fault.Retry {
			t.Errorf("%d messages: %v", n, err)
		}
	}
}

func TestPublishEndsWithItsContextAndItsPatience(t *testing.T) {
	s := brokertest.Start(t)
	l := newLog(t, s, nil)
	p := l.publisher(publish.Options{Patience: 200 * time.Millisecond})
	s.Stop()
	_, err := p.Publish(t.Context(), messages(20, "a"))
	if f := fault.Of(err); f.Code != fault.BrokerDown || !f.WholeSite {
		t.Errorf("without a broker: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err = l.publisher(publish.Options{}).Publish(ctx, messages(20, "a"))
	if !errors.Is(err, context.Canceled) || time.Since(start) > 2*time.Second {
		t.Errorf("cancelled: %v after %v", err, time.Since(start))
	}
	if !strings.Contains(err.Error(), "0 messages before it are stored") {
		t.Errorf("the error does not say how far it came: %v", err)
	}
}

// The broker goes down and comes back several times while writers rewrite the same
// objects: the newest message of each must be the last that was confirmed.
func TestNothingIsLostOverRestartsOfTheBroker(t *testing.T) {
	s := brokertest.Start(t)
	l := newLog(t, s, nil)
	p := l.publisher(publish.Options{})
	done := make(chan struct{})
	var wg sync.WaitGroup
	const writers = 3
	last := make([]atomic.Int64, writers)
	for w := range writers {
		wg.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-done:
					return
				default:
				}
				var msgs []*nats.Msg
				for i := range 3 + 40*w { // single messages, small and larger batches
					msgs = append(msgs, message(fmt.Sprintf("%d-%d", w, i), fmt.Sprintf("%d-%d-%d", w, i, round)))
				}
				seqs, err := p.Publish(t.Context(), msgs)
				if err != nil || len(seqs) != len(msgs) {
					t.Errorf("round %d: %d sequences, %v", round, len(seqs), err)
					return
				}
				last[w].Store(int64(round))
			}
		})
	}
	further := func() { // every writer comes further, however slow the machine is
		for w := range writers {
			from := last[w].Load()
			for end := time.Now().Add(30 * time.Second); last[w].Load() < from+2; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("writer %d stands still at round %d", w, from)
				}
			}
		}
	}
	for range 5 {
		further()
		brokertest.Restart(t, s)
	}
	further()
	close(done)
	wg.Wait()
	for w := range writers {
		for i := range 3 + 40*w {
			want := fmt.Sprintf("%d-%d-%d", w, i, last[w].Load())
			if _, id := l.newest(fmt.Sprintf("%d-%d", w, i)); id != want {
				t.Errorf("object %d-%d has %s, want %s", w, i, id, want)
			}
		}
	}
}

func benchmark(b *testing.B, per int) {
	l := newLog(b, brokertest.StartWith(b, embedded.Options{}), nil)
	p := l.publisher(publish.Options{})
	body := make([]byte, 2048)
	b.SetBytes(int64(len(body)))
	round := 0
	for n := 0; n < b.N; n += per {
		round++
		msgs := messages(per, strconv.Itoa(round))
		for _, m := range msgs {
			m.Data = body
		}
		if _, err := p.Publish(b.Context(), msgs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func BenchmarkSyncedBatchesOf1000(b *testing.B) { benchmark(b, 1000) }
func BenchmarkSyncedBatchesOf100(b *testing.B)  { benchmark(b, 100) }
func BenchmarkSyncedBatchesOf10(b *testing.B)   { benchmark(b, 10) }
func BenchmarkSyncedSixAtATime(b *testing.B)    { benchmark(b, 6) }
func BenchmarkSyncedOneByOne(b *testing.B)      { benchmark(b, 1) }
