package envelope

import (
	"crypto/sha256"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

func sample() *content.Change {
	body := []byte("hello")
	big := sha256.Sum256([]byte("chunk"))
	c := &content.Change{
		ID: "0190-1", Source: "hq", Kind: content.Modified,
		Object: content.Object{
			UID: "u1", ParentUID: "p1", Name: "caf\xe9\n", Path: "a/caf\xe9\n", Type: content.TypeFile,
			Meta: map[string]any{"size": int64(5), "modified": time.Unix(1, 5).UTC()},
		},
		Version: 7, Previous: 6, CapturedAt: time.Unix(12, 34).UTC(),
		Payloads: []content.Payload{
			{Plugin: content.PluginContent, MediaType: "application/json", Inline: body, SHA256: sha256.Sum256(body), Size: 5},
			{Plugin: content.PluginFSS, Names: []string{"file", "caf\xe9"}, SHA256: big, Size: 5, Blob: &content.Blob{Chunks: []content.Digest{big}}},
		},
	}
	c.Digest = content.DigestOf(c.Payloads)
	return c
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	body, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Payloads, want.Payloads) || got.Object.Name != want.Object.Name ||
		got.Object.Path != want.Object.Path || got.Version != want.Version || !got.CapturedAt.Equal(want.CapturedAt) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func TestHeadRoundTrip(t *testing.T) {
	c := sample()
	m, err := Message("x", c, "f 1", "i%1")
	if err != nil {
		t.Fatal(err)
	}
	h, err := ParseHead(m.Header)
	if err != nil {
		t.Fatal(err)
	}
	want := Head{
		UID: "u1", ParentUID: "p1", Name: c.Object.Name, Type: content.TypeFile, Kind: content.Modified,
		Version: 7, Digest: c.Digest, Read: c.Digest, Fingerprint: "f 1", Identity: "i%1", HasBlobs: true, Of: 7,
	}
	if h != want {
		t.Fatalf("got %+v, want %+v", h, want)
	}
	if f := Forward("y", m.Header, m.Data); f.Header.Get("Synchro-Fingerprint") != "" || f.Header.Get("Synchro-UID") != "u1" {
		t.Fatalf("forwarded headers are wrong: %v", f.Header)
	}
}

func TestDecodeRefuses(t *testing.T) {
	spoil := map[string]func(*content.Change){
		"no id":             func(c *content.Change) { c.ID = "" },
		"no source":         func(c *content.Change) { c.Source = "" },
		"unknown kind":      func(c *content.Change) { c.Kind = "moved" },
		"no uid":            func(c *content.Change) { c.Object.UID = "" },
		"own container":     func(c *content.Change) { c.Object.ParentUID = c.Object.UID },
		"dots as name":      func(c *content.Change) { c.Object.Name = ".." },
		"slash in name":     func(c *content.Change) { c.Object.Name = "a/b" },
		"no version":        func(c *content.Change) { c.Version = 0 },
		"wrong digest":      func(c *content.Change) { c.Digest[0]++ },
		"wrong inline size": func(c *content.Change) { c.Payloads[0].Size++; c.Digest = content.DigestOf(c.Payloads) },
		"wrong inline sum":  func(c *content.Change) { c.Payloads[0].SHA256[0]++; c.Digest = content.DigestOf(c.Payloads) },
		"too many payloads": func(c *content.Change) { c.Payloads = make([]content.Payload, maxPayloads+1) },
	}
	for name, f := range spoil {
		t.Run(name, func(t *testing.T) {
			c := sample()
			f(c)
			if _, err := Encode(c); fault.Of(err).Code != fault.Invalid {
				t.Fatalf("got %v, want an invalid change", err)
			}
		})
	}
}

func TestDecodeHostileBytes(t *testing.T) {
	good, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string][]byte{
		"empty":              {},
		"huge map":           {0xdf, 0xff, 0xff, 0xff, 0xff},
		"huge string":        {0xdb, 0xff, 0xff, 0xff, 0xff, 'a'},
		"huge array in map":  {0x81, 0xa1, 'a', 0xdd, 0x7f, 0xff, 0xff, 0xff},
		"deep":               {0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x90},
		"truncated":          good[:len(good)-1],
		"something follows":  append(append([]byte{}, good...), 0xc0),
		"unknown extension":  {0xd4, 1, 1},
		"beyond the maximum": make([]byte, MaxBody+1),
	}
	for name, body := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode(body); fault.Of(err).Code != fault.Invalid {
				t.Fatalf("got %v, want invalid", err)
			}
		})
	}
	_, err = Decode([]byte{0x81, 0xa6, 's', 'c', 'h', 'e', 'm', 'a', 9})
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != fault.SchemaUnknown {
		t.Fatalf("got %v, want schema-unknown", err)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0xdf, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := Decode(body)
		if err != nil {
			return
		}
		again, err := Encode(c)
		if err != nil {
			t.Fatalf("accepted, but cannot be encoded: %v", err)
		}
		d, err := Decode(again)
		if err != nil {
			t.Fatalf("encoded, but cannot be decoded: %v", err)
		}
		if !reflect.DeepEqual(c.Payloads, d.Payloads) || c.Object.UID != d.Object.UID {
			t.Fatalf("round trip changed %+v to %+v", c, d)
		}
	})
}

func FuzzParseHead(f *testing.F) {
	m, err := Message("x", sample(), "f 1", "i%1")
	if err != nil {
		f.Fatal(err)
	}
	get := m.Header.Get
	f.Add(get("Synchro-UID"), get("Synchro-Name"), get("Synchro-Version"), get("Synchro-Digest"))
	f.Add("%", "%4", "+000000000000001", "zz")
	f.Fuzz(func(t *testing.T, uid, name, version, digest string) {
		h, err := ParseHead(nats.Header{
			"Synchro-Uid": {uid}, "Synchro-UID": {uid}, "Synchro-Name": {name}, "Synchro-Version": {version}, "Synchro-Digest": {digest},
		})
		switch {
		case err != nil && fault.Of(err).Code != fault.Invalid:
			t.Fatal(err)
		case err == nil && (h.UID == "" || h.Version.String() != strings.ToLower(version)):
			t.Fatalf("got %+v", h)
		}
	})
}
