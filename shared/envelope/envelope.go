// Package envelope is the form in which a change travels: msgpack with a schema
// number, and headers that repeat what a reader needs who does not want the body.
// docs/protocol.md describes it for other languages.
package envelope

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/version"
)

// Schema is the number of the layout that Encode writes and Decode reads.
const Schema = 1

// InlineLimit is how many bytes of payloads, in all, may travel inside one
// envelope. What is larger goes to the blob store.
const InlineLimit = 256 << 10

// text is a string that may hold any bytes: msgpack str where it is UTF-8, bin else.
type text string

func (t text) EncodeMsgpack(e *msgpack.Encoder) error {
	if utf8.ValidString(string(t)) {
		return e.EncodeString(string(t))
	}
	return e.EncodeBytes([]byte(t))
}

func (t *text) DecodeMsgpack(d *msgpack.Decoder) error {
	s, err := d.DecodeString()
	*t = text(s)
	return err
}

type wire struct {
	Schema    int            `msgpack:"schema"`
	ID        string         `msgpack:"id"`
	Source    string         `msgpack:"source"`
	Origin    string         `msgpack:"origin,omitempty"`
	Withdrawn bool           `msgpack:"withdrawn,omitempty"`
	Kind      string         `msgpack:"kind"`
	UID       text           `msgpack:"uid"`
	ParentUID text           `msgpack:"parent_uid"`
	Name      text           `msgpack:"name"`
	Path      text           `msgpack:"path"`
	Type      string         `msgpack:"type"`
	Version   uint64         `msgpack:"version"`
	Previous  uint64         `msgpack:"previous"`
	Captured  int64          `msgpack:"captured_at"` // nanoseconds since 1970
	Digest    []byte         `msgpack:"digest"`
	Object    map[string]any `msgpack:"object"`
	Data      []wirePayload  `msgpack:"data"`
}

type wirePayload struct {
	Plugin    string `msgpack:"plugin"`
	MediaType string `msgpack:"media_type"`
	Names     []text `msgpack:"names"`
	SHA256    []byte `msgpack:"sha256"`
	Size      int64  `msgpack:"size"`
	Inline    []byte `msgpack:"inline,omitempty"`
	Depth     int    `msgpack:"depth,omitempty"`
	Chunks    []byte `msgpack:"chunks,omitempty"` // digests, one after the other
}

// Encode writes a change. The change must pass the limits that Decode checks.
func Encode(c *content.Change) ([]byte, error) {
	if err := check(c); err != nil {
		return nil, err
	}
	w := wire{
		Schema: Schema, ID: c.ID, Source: c.Source, Origin: c.Origin, Withdrawn: c.Withdrawn, Kind: string(c.Kind),
		UID: text(c.Object.UID), ParentUID: text(c.Object.ParentUID),
		Name: text(c.Object.Name), Path: text(c.Object.Path), Type: c.Object.Type,
		Version: uint64(c.Version), Previous: uint64(c.Previous), Captured: c.CapturedAt.UnixNano(),
		Digest: c.Digest[:], Object: c.Object.Meta, Data: make([]wirePayload, len(c.Payloads)),
	}
	for i := range c.Payloads {
		w.Data[i] = toWire(&c.Payloads[i])
	}
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.SetSortMapKeys(true)
	if err := e.Encode(&w); err != nil {
		return nil, fmt.Errorf("encode change %s of %q: %w", c.ID, c.Object.Path, err)
	}
	if b.Len() > MaxBody {
		return nil, invalid("the envelope of %q has %d bytes, the limit is %d", c.Object.Path, b.Len(), MaxBody)
	}
	return b.Bytes(), nil
}

func toWire(p *content.Payload) wirePayload {
	w := wirePayload{
		Plugin: p.Plugin, MediaType: p.MediaType, SHA256: p.SHA256[:], Size: p.Size, Inline: p.Inline,
	}
	for _, n := range p.Names {
		w.Names = append(w.Names, text(n))
	}
	if p.Blob != nil {
		w.Depth = p.Blob.Depth
		for _, c := range p.Blob.Chunks {
			w.Chunks = append(w.Chunks, c[:]...)
		}
	}
	return w
}

// Decode reads what Encode wrote, from anybody: every limit is checked before
// anything is allocated for it, and the digests of inline bytes are verified.
// Errors are faults: SchemaUnknown for another schema, Invalid for the rest.
func Decode(body []byte) (*content.Change, error) {
	if err := CheckShape(body); err != nil {
		return nil, err
	}
	if err := checkSchema(body); err != nil {
		return nil, err
	}
	var w wire
	d := msgpack.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields(true)
	if err := d.Decode(&w); err != nil {
		return nil, invalid("the envelope cannot be read: %w", err)
	}
	c, err := fromWire(&w)
	if err != nil {
		return nil, err
	}
	return c, check(c)
}

func checkSchema(body []byte) error {
	var s struct {
		Schema int `msgpack:"schema"`
	}
	if err := msgpack.Unmarshal(body, &s); err != nil {
		return invalid("the envelope cannot be read: %w", err)
	}
	if s.Schema != Schema {
		return fault.Errorf(fault.Park, fault.SchemaUnknown,
			"the envelope has schema %d, this version reads %d", s.Schema, Schema)
	}
	return nil
}

func fromWire(w *wire) (*content.Change, error) {
	c := &content.Change{
		ID: w.ID, Source: w.Source, Origin: w.Origin, Withdrawn: w.Withdrawn, Kind: content.Kind(w.Kind),
		Object: content.Object{
			UID: string(w.UID), ParentUID: string(w.ParentUID), Name: string(w.Name),
			Path: string(w.Path), Type: w.Type, Meta: w.Object,
		},
		Version: version.Version(w.Version), Previous: version.Version(w.Previous),
		CapturedAt: time.Unix(0, w.Captured).UTC(),
	}
	var err error
	if c.Digest, err = toDigest(w.Digest); err != nil {
		return nil, err
	}
	for i := range w.Data {
		p, err := payloadFromWire(&w.Data[i])
		if err != nil {
			return nil, err
		}
		c.Payloads = append(c.Payloads, p)
	}
	return c, nil
}

func payloadFromWire(w *wirePayload) (content.Payload, error) {
	p := content.Payload{Plugin: w.Plugin, MediaType: w.MediaType, Size: w.Size, Inline: w.Inline}
	for _, n := range w.Names {
		p.Names = append(p.Names, string(n))
	}
	var err error
	if p.SHA256, err = toDigest(w.SHA256); err != nil {
		return p, err
	}
	if len(w.Chunks) == 0 {
		return p, nil
	}
	if len(w.Chunks)%sha256.Size != 0 {
		return p, invalid("a chunk list of %d bytes is not a list of digests", len(w.Chunks))
	}
	p.Blob = &content.Blob{Depth: w.Depth}
	for b := w.Chunks; len(b) > 0; b = b[sha256.Size:] {
		p.Blob.Chunks = append(p.Blob.Chunks, content.Digest(b[:sha256.Size]))
	}
	return p, nil
}

func toDigest(b []byte) (content.Digest, error) {
	if len(b) != sha256.Size {
		return content.Digest{}, invalid("a digest has %d bytes, want %d", len(b), sha256.Size)
	}
	return content.Digest(b), nil
}
