package deadletter_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/fuzztest"
	"synchro.example/shared/subject"
)

// FuzzForeignEntries holds that an entry is refused as invalid, or is written again as it was
// read, whatever somebody has put there.
func FuzzForeignEntries(f *testing.F) {
	e := entry(deadletter.Import, "paris", "news", "a")
	e.WaitsFor, e.Next = "b", e.Last
	for _, e := range []*deadletter.Entry{e, entry(deadletter.Export, "hq", "", "a"), e.Close(deadletter.Closing{As: deadletter.Discarded, By: "ann", Why: "old"})} {
		f.Add(headerOf(f, e), []byte{}, []byte{})
	}
	addHostile(f)
	f.Fuzz(func(t *testing.T, head, piece, tail []byte) {
		raw := foreign(head, piece, tail)
		header := nats.Header{subject.HeaderEntry: {base64.StdEncoding.EncodeToString(raw)}}
		var e *deadletter.Entry
		var err error
		fuzztest.Within(t, len(raw), func() { e, err = deadletter.Parse(header) })
		if err != nil {
			if fault.Of(err).Code != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		once := headerOf(t, e)
		again, err := deadletter.Parse(nats.Header{subject.HeaderEntry: {base64.StdEncoding.EncodeToString(once)}})
		if err != nil {
			t.Fatalf("what is written cannot be read: %v", err)
		}
		if twice := headerOf(t, again); !bytes.Equal(once, twice) {
			t.Errorf("%q is written as %q", once, twice)
		}
	})
}

// headerOf gives an entry as it travels, without base64.
func headerOf(t testing.TB, e *deadletter.Entry) []byte {
	t.Helper()
	m, err := deadletter.Message(e, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(m.Header.Get(subject.HeaderEntry))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// addHostile adds what declares more than it has, and what is as deep as it is long.
func addHostile(f *testing.F) {
	f.Helper()
	for _, head := range [][]byte{
		{}, {0x81, 0xa3, 'u', 'i', 'd', 0xdb, 0xff, 0xff, 0xff, 0xff}, {0xdf, 0xff, 0xff, 0xff, 0xff}, {0x81, 0xa1, 'x', 0xdd, 0x7f, 0xff, 0xff, 0xff},
	} {
		f.Add(head, []byte{}, []byte{})
	}
	f.Add([]byte{0x81, 0xa1, 'x'}, []byte{0x91}, []byte{0xc0})
	f.Add([]byte{0x81, 0xa1, 'x'}, []byte{0x81, 0xc0}, []byte{0xc0})
	f.Add([]byte{0xdf, 0x00, 0x04, 0x00, 0x00}, []byte{0xa3, 'u', 'i', 'd', 0xa1, 'a'}, []byte{})
}

// foreign repeats the piece, if there is one, as often as fits into a message.
func foreign(head, piece, tail []byte) []byte {
	if len(piece) == 0 {
		return append(bytes.Clone(head), tail...)
	}
	return fuzztest.Long(envelope.MaxBody/2, head, piece, tail)
}

// FuzzForeignRequests holds the same for what is asked of a site.
func FuzzForeignRequests(f *testing.F) {
	m, err := deadletter.Ask(entry(deadletter.Import, "paris", "news", "a"), deadletter.Request{By: "ann", Why: "old", Discard: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Data, []byte{}, []byte{})
	addHostile(f)
	f.Fuzz(func(t *testing.T, head, piece, tail []byte) {
		raw := foreign(head, piece, tail)
		var r deadletter.Request
		var err error
		fuzztest.Within(t, len(raw), func() { r, err = deadletter.ParseRequest(raw) })
		if err != nil {
			if fault.Of(err).Code != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		of := &deadletter.Entry{Site: "paris", UID: r.UID, Channel: r.Channel, Version: r.Version}
		asked, err := deadletter.Ask(of, r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := deadletter.ParseRequest(asked.Data)
		r.At = again.At // it is asked now
		if err != nil || again != r {
			t.Errorf("%+v is read as %+v, %v", r, again, err)
		}
	})
}
