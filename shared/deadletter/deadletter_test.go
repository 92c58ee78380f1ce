package deadletter_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

func newStore(t *testing.T) (jetstream.JetStream, *deadletter.Store) {
	t.Helper()
	js := brokertest.JetStream(t, brokertest.Conn(t))
	if err := stream.Ensure(t.Context(), js, stream.Errors(), stream.Replay()); err != nil {
		t.Fatal(err)
	}
	return js, deadletter.New(js)
}

func put(t *testing.T, js jetstream.JetStream, e *deadletter.Entry, body string) {
	t.Helper()
	m, err := deadletter.Message(e, []byte(body))
	if err == nil {
		_, err = js.PublishMsg(t.Context(), m)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func entry(stage deadletter.Stage, site, channel, uid string) *deadletter.Entry {
	return &deadletter.Entry{
		Stage: stage, Site: site, Channel: channel, UID: uid, Path: "a/" + uid, Version: 7, Code: fault.NotEmpty,
		Class: fault.Park, Reason: "it is not empty", Attempts: 3, First: time.Unix(1, 0), Last: time.Unix(2, 0),
	}
}

func TestEachFailureIsFoundWhereItBelongs(t *testing.T) {
	js, s := newStore(t)
	put(t, js, entry(deadletter.Import, "paris", "news", "a b"), "envelope")
	put(t, js, entry(deadletter.Import, "rome", "news", "a b"), "")
	put(t, js, entry(deadletter.Export, "paris", "", "a b"), "")
	put(t, js, entry(deadletter.Export, "paris", "news", "a b"), "")
	count := func(of string, list []deadletter.Entry, err error, want int) {
		t.Helper()
		if err != nil || len(list) != want {
			t.Errorf("%s: got %+v, %v; want %d", of, list, err, want)
		}
	}
	list, err := s.All(t.Context())
	count("all", list, err, 4)
	list, err = s.OfImport(t.Context(), "paris")
	count("import", list, err, 1)
	if e := list[0]; e.Reason != "it is not empty" || e.Version != 7 || e.Code != fault.NotEmpty || !e.Last.Equal(time.Unix(2, 0)) {
		t.Errorf("got %+v", e)
	}
	if body, err := s.Envelope(t.Context(), &list[0]); err != nil || string(body) != "envelope" {
		t.Errorf("the envelope is %q, %v", body, err)
	}
	list, err = s.OfExport(t.Context(), "paris")
	count("export", list, err, 1)
	list, err = s.OfChannel(t.Context(), "paris", "news")
	count("channel", list, err, 1)
	if counts, err := s.Count(t.Context()); err != nil || counts["paris"] != 3 || counts["rome"] != 1 {
		t.Errorf("got %v, %v", counts, err)
	}
}

func TestAFailureThatIsSettledIsClosedAndKeptForAWhile(t *testing.T) {
	js, s := newStore(t)
	e := entry(deadletter.Import, "paris", "news", "a")
	put(t, js, e, "envelope")
	put(t, js, e.Close(deadletter.Closing{As: deadletter.Discarded, By: "ann"}), "envelope")
	if open, err := s.All(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("open are %v, %v", open, err)
	}
	closed, err := s.Closed(t.Context())
	if err != nil || len(closed) != 1 || closed[0].Closed.By != "ann" || closed[0].Closed.At.IsZero() || e.Closed != nil {
		t.Fatalf("closed are %+v, %v", closed, err)
	}
	if body, err := s.Envelope(t.Context(), &closed[0]); err != nil || len(body) != 0 {
		t.Errorf("the envelope is still %q, %v", body, err)
	}
	m, err := deadletter.Message(&closed[0], nil)
	if err != nil || m.Header.Get(jetstream.MsgTTLHeader) == "" {
		t.Errorf("it is kept for ever: %v, %v", m.Header, err)
	}
}

func TestADamagedEntryIsListedAndHidesNoOther(t *testing.T) {
	js, s := newStore(t)
	put(t, js, entry(deadletter.Import, "paris", "news", "good"), "")
	bad := nats.NewMsg(subject.ImportError("paris", "bad"))
	bad.Header.Set(subject.HeaderEntry, "%%%")
	if _, err := js.PublishMsg(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	list, err := s.OfImport(t.Context(), "paris")
	if err != nil || len(list) != 2 {
		t.Fatalf("got %+v, %v", list, err)
	}
	if e := list[0]; e.UID != "bad" || e.Site != "paris" || e.Stage != deadletter.Import || e.Code != fault.Invalid {
		t.Errorf("got %+v", e)
	}
}

func TestAReasonIsCutBetweenLetters(t *testing.T) {
	e := entry(deadletter.Import, "paris", "news", "a")
	e.Reason = strings.Repeat("é", 5000) + "x"
	m, err := deadletter.Message(e, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := deadletter.Parse(m.Header)
	if err != nil || len(got.Reason) > 4200 || !utf8.ValidString(got.Reason) || len(e.Reason) != 10001 {
		t.Errorf("%d bytes are kept, %v", len(got.Reason), err)
	}
}

func TestARequestGoesToTheSiteThatFailed(t *testing.T) {
	js, _ := newStore(t)
	for e, subj := range map[*deadletter.Entry]string{
		entry(deadletter.Import, "paris", "news", "a"): subject.ImportReplay("paris", "a"),
		entry(deadletter.Export, "hq", "news", "a"):    subject.ExportReplay("hq", "news/a"),
		entry(deadletter.Export, "hq", "", "a"):        subject.ExportReplay("hq", "a"),
	} {
		m, err := deadletter.Ask(e, deadletter.Request{By: "ann", Discard: true})
		if err != nil || m.Subject != subj {
			t.Fatalf("asked on %s, %v", m.Subject, err)
		}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Error(err)
		}
		r, err := deadletter.ParseRequest(m.Data)
		if err != nil || r.UID != "a" || r.Version != 7 || !r.Discard || r.By != "ann" {
			t.Errorf("got %+v, %v", r, err)
		}
	}
}

func TestNothingHasFailedWhereNothingEverRan(t *testing.T) {
	s := deadletter.New(brokertest.JetStream(t, brokertest.Conn(t)))
	if list, err := s.All(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v", list, err)
	}
}
