package ledger_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/content"
	"synchro.example/shared/ledger"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// viewer is a ledger that is written and read beside.
type viewer struct {
	t  *testing.T
	js jetstream.JetStream
	*ledger.View
}

func newViewer(t *testing.T) *viewer {
	js := brokertest.JetStream(t, brokertest.Conn(t))
	if err := stream.Ensure(t.Context(), js, stream.Ledger("paris")); err != nil {
		t.Fatal(err)
	}
	return &viewer{t, js, ledger.NewView(js, "paris")}
}

func (v *viewer) line(uid string, at version.Version) {
	v.t.Helper()
	put(v.t, v.js, &ledger.Entry{UID: uid, Kind: content.Modified, Version: at})
}

func (v *viewer) hand(call int, path string, uid string, at version.Version) {
	v.t.Helper()
	var hands []ledger.Hand
	if uid != "" {
		hands = append(hands, ledger.Hand{Path: path, Entry: ledger.Entry{UID: uid, Version: at}})
	}
	m, err := ledger.HandMessage("paris", call, hands)
	if err == nil {
		_, err = v.js.PublishMsg(v.t.Context(), m)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

// busy gives what the importer works on, and did since the last time.
func (v *viewer) busy() string {
	v.t.Helper()
	since := v.Seen()
	if err := v.Update(context.Background(), func(*ledger.Entry) {}); err != nil {
		v.t.Fatal(err)
	}
	found := map[string]bool{}
	v.Busy(since, func(e *ledger.Entry, path string) { found[e.UID+path] = true })
	return fmt.Sprint(found)
}

func TestAViewTellsWhatTheImporterWorksOn(t *testing.T) {
	v := newViewer(t)
	steps := []struct {
		do   func()
		want string
	}{
		{func() {}, "map[]"},
		{func() { v.hand(0, "/p", "a", 5) }, "map[a/p:true]"},
		{func() {}, "map[a/p:true]"},                          // nobody has said what became of it
		{func() { v.line("a", 4) }, "map[a:true a/p:true]"},   // that was before
		{func() { v.line("a", 5) }, "map[a:true]"},            // it is through, just now
		{func() {}, "map[]"},                                  // and before the listing
		{func() { v.hand(1, "/q", "b", 6) }, "map[b/q:true]"}, // this one fails
		{func() { v.hand(1, "", "", 0) }, "map[]"},
		{func() { v.hand(0, "/r", "c", 7); v.line("c", 7); v.hand(0, "/s", "d", 8) }, "map[c:true d/s:true]"},
	}
	for i, s := range steps {
		s.do()
		if got := v.busy(); got != s.want {
			t.Errorf("step %d: busy with %s, want %s", i, got, s.want)
		}
	}
	if v.Line("a").Version != 5 || v.Line("x") != nil || v.Newest() != 7 {
		t.Errorf("line %+v, newest %v", v.Line("a"), v.Newest())
	}
}

func TestAViewOfALedgerThatWasMadeAnewForgetsTheOldOne(t *testing.T) {
	v := newViewer(t)
	v.line("a", 5)
	v.busy()
	if err := v.js.DeleteStream(t.Context(), subject.LedgerStream("paris")); err != nil {
		t.Fatal(err)
	}
	v.busy() // there is none
	if err := stream.Ensure(t.Context(), v.js, stream.Ledger("paris")); err != nil {
		t.Fatal(err)
	}
	v.line("b", 1)
	v.busy()
	if v.Line("a") != nil || v.Line("b") == nil {
		t.Errorf("it has %+v and %+v", v.Line("a"), v.Line("b"))
	}
}
