package plugin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/locate"
	"synchro.example/shared/version"
)

// schema is the number of the layout of calls.
const schema = 1

// mediaTypes are the formats in a header.
var mediaTypes = map[string]string{config.FormatMsgpack: "application/msgpack", config.FormatJSON: "application/json"}

func formatOf(header, asked string) string {
	header, _, _ = strings.Cut(header, ";")
	for format, media := range mediaTypes {
		if strings.TrimSpace(header) == media {
			return format
		}
	}
	return asked
}

type text = envelope.Text

// question is a Call as it travels, in both formats.
type question struct {
	Schema    int            `json:"schema" msgpack:"schema"`
	Site      string         `json:"site" msgpack:"site"`
	Channel   string         `json:"channel,omitempty" msgpack:"channel,omitempty"`
	Source    string         `json:"source" msgpack:"source"`
	Operation content.Kind   `json:"operation" msgpack:"operation"`
	ID        string         `json:"id,omitempty" msgpack:"id,omitempty"`
	UID       text           `json:"uid" msgpack:"uid"`
	ParentUID text           `json:"parent_uid" msgpack:"parent_uid"`
	Name      text           `json:"name" msgpack:"name"`
	Path      text           `json:"path" msgpack:"path"`
	Type      string         `json:"type" msgpack:"type"`
	Version   string         `json:"version,omitempty" msgpack:"version,omitempty"`
	Previous  string         `json:"previous,omitempty" msgpack:"previous,omitempty"`
	Captured  string         `json:"captured_at,omitempty" msgpack:"captured_at,omitempty"`
	Object    map[string]any `json:"object" msgpack:"object"`
	From      text           `json:"from,omitempty" msgpack:"from,omitempty"`
	To        text           `json:"to,omitempty" msgpack:"to,omitempty"`
	Payloads  []piece        `json:"payloads" msgpack:"payloads"`
}

// piece is a payload in a call. Digests are hexadecimal in both formats.
type piece struct {
	Plugin    string   `json:"plugin" msgpack:"plugin"`
	MediaType string   `json:"media_type" msgpack:"media_type"`
	Names     []text   `json:"names,omitempty" msgpack:"names,omitempty"`
	SHA256    string   `json:"sha256" msgpack:"sha256"`
	Size      int64    `json:"size" msgpack:"size"`
	Inline    []byte   `json:"inline,omitempty" msgpack:"inline,omitempty"`
	Depth     int      `json:"depth,omitempty" msgpack:"depth,omitempty"`
	Chunks    []string `json:"chunks,omitempty" msgpack:"chunks,omitempty"`
}

// answer is what a program says, in both formats.
type answer struct {
	Payloads givens `json:"payloads" msgpack:"payloads"`
	Path     *text  `json:"path" msgpack:"path"`
	Skip     bool   `json:"skip" msgpack:"skip"`
}

// givens are at most as many as a change may have: a short text can name many empty ones.
type givens []given

const maxGiven = 16

func (g *givens) DecodeMsgpack(d *msgpack.Decoder) error {
	n, err := d.DecodeArrayLen()
	if n > maxGiven {
		return fmt.Errorf("there are %d payloads, the limit is %d", n, maxGiven)
	}
	for ; n > 0 && err == nil; n-- {
		var one given
		err = d.Decode(&one)
		*g = append(*g, one)
	}
	return err
}

func (g *givens) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	switch first, err := d.Token(); {
	case err != nil:
		return err
	case first != json.Delim('['):
		return errors.New("payloads is no list")
	}
	var err error
	for n := 0; d.More() && err == nil; n++ {
		if n == maxGiven {
			return fmt.Errorf("there are more than %d payloads", maxGiven)
		}
		var one given
		err = d.Decode(&one)
		*g = append(*g, one)
	}
	return err
}

// given is a payload in an answer: inline, or stored by the program.
type given struct {
	Index     *int     `json:"index" msgpack:"index"`
	MediaType string   `json:"media_type" msgpack:"media_type"`
	Names     []text   `json:"names" msgpack:"names"`
	Inline    *[]byte  `json:"inline" msgpack:"inline"`
	SHA256    string   `json:"sha256" msgpack:"sha256"`
	Size      int64    `json:"size" msgpack:"size"`
	Depth     int      `json:"depth" msgpack:"depth"`
	Chunks    []string `json:"chunks" msgpack:"chunks"`
}

func encode(c *Call, format string) ([]byte, error) {
	o := &c.Change.Object
	q := question{
		Schema: schema, Site: c.Site, Channel: c.Channel, Source: c.Change.Source, Operation: c.Operation, ID: c.Change.ID,
		UID: text(o.UID), ParentUID: text(o.ParentUID), Name: text(o.Name), Path: text(o.Path), Type: o.Type,
		Version: versionText(c.Change.Version), Previous: versionText(c.Change.Previous),
		Object: o.Meta, From: text(c.From), To: text(c.To), Payloads: make([]piece, len(c.Change.Payloads)),
	}
	if at := c.Change.CapturedAt; !at.IsZero() {
		q.Captured = at.UTC().Format(time.RFC3339Nano)
	}
	for i := range c.Change.Payloads {
		q.Payloads[i] = pieceOf(&c.Change.Payloads[i])
	}
	if format == config.FormatJSON {
		return encodeJSON(&q)
	}
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.SetSortMapKeys(true)
	err := e.Encode(&q)
	return b.Bytes(), err
}

func versionText(v version.Version) string {
	if v == 0 {
		return ""
	}
	return v.String()
}

func pieceOf(p *content.Payload) piece {
	out := piece{Plugin: p.Plugin, MediaType: p.MediaType, SHA256: hex.EncodeToString(p.SHA256[:]), Size: p.Size, Inline: p.Inline}
	for _, name := range p.Names {
		out.Names = append(out.Names, text(name))
	}
	if p.Blob != nil {
		out.Depth = p.Blob.Depth
		for _, d := range p.Blob.Chunks {
			out.Chunks = append(out.Chunks, hex.EncodeToString(d[:]))
		}
	}
	return out
}

// encodeJSON refuses what JSON would change on the way.
func encodeJSON(q *question) ([]byte, error) {
	texts := []text{q.UID, q.ParentUID, q.Name, q.Path, q.From, q.To}
	for _, p := range q.Payloads {
		texts = append(texts, p.Names...)
	}
	for _, t := range texts {
		if !utf8.ValidString(string(t)) {
			return nil, fault.Errorf(fault.Park, fault.Unsupported, "%q is no UTF-8, which JSON cannot carry; write `format: msgpack` for this plugin", t)
		}
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, fault.Errorf(fault.Park, fault.Unsupported, "its metadata has no form in JSON; write `format: msgpack` for this plugin: %w", err)
	}
	return body, nil
}

// decode reads an answer from anybody: sizes and shape are checked before anything is
// allocated for what it declares.
func decode(body []byte, format string) (*answer, error) {
	a := &answer{}
	switch {
	case len(body) > envelope.MaxBody:
		return nil, badAnswer("its answer has %d bytes, the limit is %d", len(body), envelope.MaxBody)
	case len(body) == 0:
		return a, nil
	case format == config.FormatJSON:
		return a, decodeJSON(body, a)
	}
	if err := envelope.CheckShape(body); err != nil {
		return nil, badAnswer("its answer is no msgpack within the limits: %w", err)
	}
	d := msgpack.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields(true)
	if err := d.Decode(a); err != nil {
		return nil, badAnswer("its answer cannot be read: %w", err)
	}
	return a, nil
}

func decodeJSON(body []byte, a *answer) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(a); err != nil {
		return badAnswer("its answer cannot be read: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return badAnswer("something follows its answer")
	}
	return nil
}

func (a *answer) parts() ([]Part, error) {
	if a.Path != nil || a.Skip {
		return nil, badAnswer("it gives a place, and was not asked for one")
	}
	var parts []Part
	for i := range a.Payloads {
		p, err := a.Payloads[i].payload()
		if err != nil {
			return nil, err
		}
		part := Part{Index: Added, Payload: p}
		if index := a.Payloads[i].Index; index != nil {
			part.Index = *index
			if part.Index < 0 { // Added is not written, but left out
				return nil, badAnswer("it names the payload %d", part.Index)
			}
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func (g *given) payload() (p content.Payload, err error) {
	p.MediaType = g.MediaType
	for _, name := range g.Names {
		p.Names = append(p.Names, string(name))
	}
	switch {
	case g.Inline != nil && len(g.Chunks) > 0:
		return p, badAnswer("a payload has both inline bytes and chunks")
	case g.Inline != nil:
		p.Inline, p.Size, p.SHA256 = *g.Inline, int64(len(*g.Inline)), sha256.Sum256(*g.Inline)
		if g.SHA256 != "" && g.SHA256 != hex.EncodeToString(p.SHA256[:]) {
			err = badAnswer("the inline bytes of a payload do not have its sha256")
		}
		return p, err
	case len(g.Chunks) == 0:
		return p, badAnswer("a payload has neither inline bytes nor chunks")
	}
	p.Size, p.Blob = g.Size, &content.Blob{Depth: g.Depth}
	if p.SHA256, err = digest(g.SHA256); err != nil {
		return p, err
	}
	for _, text := range g.Chunks {
		d, err := digest(text)
		if err != nil {
			return p, err
		}
		p.Blob.Chunks = append(p.Blob.Chunks, d)
	}
	return p, nil
}

func digest(text string) (d content.Digest, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(d) {
		return d, badAnswer("%.100q is no SHA-256 of 64 hexadecimal digits", text)
	}
	return content.Digest(b), nil
}

func (a *answer) place() (Place, error) {
	switch {
	case len(a.Payloads) > 0:
		return Place{}, badAnswer("it gives payloads, and was asked for a place")
	case (a.Path != nil) == a.Skip:
		return Place{}, badAnswer("it gives no place: either path or skip is wanted")
	case a.Skip:
		return Place{Skip: true}, nil
	}
	to, err := locate.At(string(*a.Path))
	if err != nil {
		return Place{}, badAnswer("%w", err)
	}
	return Place{Path: to.Path, Skip: to.Skip}, nil
}
