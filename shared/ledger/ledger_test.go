package ledger_test

import (
	"crypto/sha256"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/content"
	"synchro.example/shared/ledger"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

func newLedger(t *testing.T) jetstream.JetStream {
	t.Helper()
	js := brokertest.JetStream(t, brokertest.Conn(t))
	if err := stream.Ensure(t.Context(), js, stream.Ledger("paris")); err != nil {
		t.Fatal(err)
	}
	return js
}

func put(t *testing.T, js jetstream.JetStream, e *ledger.Entry) {
	t.Helper()
	m, err := ledger.Message("paris", e, time.Hour)
	if err == nil {
		_, err = js.PublishMsg(t.Context(), m)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheNewestLineOfEachObjectComesBack(t *testing.T) {
	js := newLedger(t)
	a := &ledger.Entry{
		UID: "a b", Parent: "p", Name: "caf\xe9", Type: content.TypeFile, Kind: content.Modified, Version: 1 << 60, Channel: "news", Source: "hq",
		Change: "id", Digest: content.Digest{1}, Bytes: content.Digest{2}, At: time.Unix(1, 5), Missing: []string{"x"}, Note: "n",
	}
	put(t, js, &ledger.Entry{UID: "a b", Kind: content.Modified, Version: 1})
	put(t, js, a)
	put(t, js, &ledger.Entry{UID: "gone", Kind: content.Removed, Version: 3})
	if _, err := js.Publish(t.Context(), subject.ImportDone("paris", "junk"), []byte{0xc1}); err != nil {
		t.Fatal(err)
	}
	var all []*ledger.Entry
	var bad []string
	err := ledger.Load(t.Context(), js, "paris", func(e *ledger.Entry) { all = append(all, e) }, func(s string, _ error) { bad = append(bad, s) })
	if err != nil || len(all) != 2 || len(bad) != 1 {
		t.Fatalf("got %+v, unreadable %v, %v", all, bad, err)
	}
	all[0].At = a.At
	if !reflect.DeepEqual(all[0], a) || !all[0].Live() || all[1].Live() {
		t.Errorf("got %+v and %+v", all[0], all[1])
	}
	got, err := ledger.Get(t.Context(), js, "paris", "a b")
	if err != nil || got.Version != a.Version || got.Name != a.Name {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ledger.Get(t.Context(), js, "paris", "unknown"); got != nil || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ledger.Get(t.Context(), js, "paris", "junk"); err == nil {
		t.Error("a damaged line is read")
	}
}

func TestOnlyTombstonesOfWhatTheLogForgetsAreForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		entry ledger.Entry
		want  string
	}{
		"live":     {ledger.Entry{Kind: content.Modified}, ""},
		"removed":  {ledger.Entry{Kind: content.Removed}, "1h0m0s"},
		"given up": {ledger.Entry{Kind: content.Removed, Discarded: 4}, ""},
	} {
		m, err := ledger.Message("paris", &c.entry, time.Hour+time.Millisecond)
		if err != nil || m.Header.Get(jetstream.MsgTTLHeader) != c.want {
			t.Errorf("%s: kept for %q, want %q; %v", name, m.Header.Get(jetstream.MsgTTLHeader), c.want, err)
		}
	}
}

func TestTheDigestOfTheBytesLeavesMetadataOut(t *testing.T) {
	one := func(text string) *content.Change {
		meta := []byte(text)
		return &content.Change{Payloads: []content.Payload{
			{Plugin: content.PluginContent, Inline: meta, SHA256: sha256.Sum256(meta), Size: int64(len(meta))},
			{Plugin: content.PluginFSS, SHA256: content.Digest{1}, Size: 3},
		}}
	}
	a, b := one("a"), one("other")
	if ledger.BytesDigest(a) != ledger.BytesDigest(b) {
		t.Error("other metadata are other bytes")
	}
	b.Payloads[1].SHA256[0]++
	if ledger.BytesDigest(a) == ledger.BytesDigest(b) {
		t.Error("other bytes are the same")
	}
}
