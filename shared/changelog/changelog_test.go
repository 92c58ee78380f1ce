package changelog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

var logName = subject.ExportStream("hq")

func newLog(t *testing.T) jetstream.JetStream {
	t.Helper()
	js := brokertest.JetStream(t, brokertest.Conn(t))
	if err := stream.Ensure(t.Context(), js, stream.Export("hq"), stream.Ledger("hq")); err != nil {
		t.Fatal(err)
	}
	return js
}

func add(t *testing.T, js jetstream.JetStream, uid string, v version.Version) {
	t.Helper()
	c := &content.Change{
		ID: fmt.Sprint(uid, v), Source: "hq", Kind: content.Modified, Version: v, CapturedAt: time.Now(),
		Object: content.Object{UID: uid, Name: uid, Type: content.TypeFolder}, Digest: content.DigestOf(nil),
	}
	m, err := envelope.Message(subject.ExportToProcess("hq", uid), c, "", "")
	if err == nil {
		_, err = js.PublishMsg(t.Context(), m)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// heads reads a log to its end.
func heads(t *testing.T, js jetstream.JetStream) (uids []string, bad []string) {
	t.Helper()
	err := changelog.Heads(within(t, 10*time.Second), js, logName,
		func(_ uint64, h envelope.Head) { uids = append(uids, h.UID) },
		func(subj string, _ error) { bad = append(bad, subj) })
	if err != nil {
		t.Fatal(err)
	}
	return uids, bad
}

func TestHeadsAreReadInOrderAndNewestOnly(t *testing.T) {
	js := newLog(t)
	if uids, bad := heads(t, js); len(uids)+len(bad) > 0 {
		t.Fatalf("an empty log has %v and %v", uids, bad)
	}
	add(t, js, "a", 1)
	add(t, js, "b", 2)
	add(t, js, "a", 3)
	if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: subject.ExportToProcess("hq", "c"), Data: []byte("junk")}); err != nil {
		t.Fatal(err)
	}
	uids, bad := heads(t, js)
	if fmt.Sprint(uids) != "[b a]" || len(bad) != 1 {
		t.Errorf("got %v, unreadable %v", uids, bad)
	}
}

// The only message that is left of a stream may go between the look at the stream and
// the reading of it.
func TestAScanEndsWhenWhatWasLeftIsRemovedMeanwhile(t *testing.T) {
	js := newLog(t)
	st, err := js.Stream(t.Context(), logName)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		add(t, js, "a", 1)
		for i := range uint64(2000) {
			m := nats.NewMsg(subject.ExportToProcess("hq", fmt.Sprintf("u%d", i)))
			if _, err := js.PublishMsgAsync(m); err != nil {
				t.Fatal(err)
			}
		}
		<-js.PublishAsyncComplete()
		var once sync.Once
		err := changelog.Scan(within(t, 10*time.Second), js, logName, changelog.Options{}, func(jetstream.Msg) (err error) {
			once.Do(func() { err = st.Purge(t.Context()) })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheFirstErrorEndsAScan(t *testing.T) {
	js := newLog(t)
	add(t, js, "a", 1)
	add(t, js, "b", 2)
	mine := errors.New("mine")
	n := 0
	err := changelog.Scan(t.Context(), js, logName, changelog.Options{}, func(jetstream.Msg) error { n++; return mine })
	if !errors.Is(err, mine) || n != 1 {
		t.Errorf("got %v after %d messages", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = changelog.Scan(ctx, js, logName, changelog.Options{}, func(jetstream.Msg) error { cancel(); return ctx.Err() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAScanGoesOnAfterTheBrokerHasRestarted(t *testing.T) {
	srv := brokertest.Start(t)
	js := brokertest.JetStream(t, brokertest.Connect(t, srv))
	if err := stream.Ensure(t.Context(), js, stream.Export("hq")); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(1500) {
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: subject.ExportToProcess("hq", fmt.Sprintf("u%d", i))}); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	n := 0
	err := changelog.Scan(within(t, time.Minute), js, logName, changelog.Options{}, func(jetstream.Msg) error {
		if n++; n == 10 {
			brokertest.Restart(t, srv)
		}
		return nil
	})
	if err != nil && fault.Of(err).Code != fault.BrokerDown {
		t.Errorf("got %v", err)
	}
	if err == nil && n != 1500 {
		t.Errorf("%d of 1500 messages were read, and no error", n)
	}
}

func TestOneThatHangsIsGivenNothingAnyMore(t *testing.T) {
	server := brokertest.Start(t)
	hanging, js := brokertest.JetStream(t, brokertest.Connect(t, server)), brokertest.JetStream(t, brokertest.Connect(t, server))
	if err := stream.Ensure(t.Context(), js, stream.Export("hq")); err != nil {
		t.Fatal(err)
	}
	config := jetstream.ConsumerConfig{Durable: "one", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour}
	old, err := changelog.Own(t.Context(), hanging, logName, config)
	if err != nil {
		t.Fatal(err)
	}
	hangs := make(chan struct{})
	asked, err := old.Consume(func(jetstream.Msg) { <-hangs })
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Stop()
	defer close(hangs)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		info, err := old.Info(t.Context())
		if err != nil || time.Now().After(end) {
			t.Fatal("the broker knows of no request", err)
		}
		if info.NumWaiting > 0 {
			break
		}
	}
	taken, err := changelog.Own(t.Context(), js, logName, config)
	if err != nil {
		t.Fatal(err)
	}
	add(t, js, "a", 1)
	batch, err := taken.Fetch(1, jetstream.FetchMaxWait(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if m := <-batch.Messages(); m == nil {
		t.Errorf("the change went to the one that hangs: %v", batch.Error())
	}
}

func TestTheNewestOfASubject(t *testing.T) {
	js := newLog(t)
	subj := subject.ExportToProcess("hq", "a")
	if c, err := changelog.NewestChange(t.Context(), js, logName, subj); c != nil || err != nil {
		t.Fatalf("got %v, %v", c, err)
	}
	add(t, js, "a", 1)
	add(t, js, "a", 2)
	c, err := changelog.NewestChange(t.Context(), js, logName, subj)
	if err != nil || c.Version != 2 {
		t.Fatalf("got %v, %v", c, err)
	}
}

func TestAStreamThatIsMissingIsTheSitesFault(t *testing.T) {
	js := brokertest.JetStream(t, brokertest.Conn(t))
	err := changelog.Scan(t.Context(), js, logName, changelog.Options{}, nil)
	if f := fault.Of(err); f.Class != fault.Retry || f.Code != fault.BrokerDown || !f.WholeSite {
		t.Errorf("got %v", err)
	}
	if _, err := changelog.Newest(t.Context(), js, logName, "x"); fault.Of(err).Code != fault.BrokerDown {
		t.Errorf("got %v", err)
	}
}
