package mirror

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/ledger"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// maxFile bounds a file: an object may have metadata of any size, which are left out then.
const maxFile = 64 << 10

// contents is what a file says. The JSON names are a contract.
type contents struct {
	// Mirror is the site. It comes first, so that a file is known for the mirror's own.
	Mirror  string `json:"mirror"`
	State   string `json:"state"`
	Channel string `json:"channel,omitempty"`
	// Change is the envelope without bytes, absent when the log has a newer one of the object.
	Change *change           `json:"change,omitempty"`
	Done   *effect           `json:"done,omitempty"`
	Error  *deadletter.Entry `json:"error,omitempty"`
}

// change is an envelope without bytes, with the names that docs/protocol.md has.
type change struct {
	ID        string          `json:"id"`
	Source    string          `json:"source"`
	Kind      content.Kind    `json:"kind"`
	UID       string          `json:"uid"`
	ParentUID string          `json:"parent_uid"`
	Path      string          `json:"path"`
	Type      string          `json:"type"`
	Version   version.Version `json:"version"`
	Previous  version.Version `json:"previous"`
	Captured  time.Time       `json:"captured_at"`
	Object    map[string]any  `json:"object,omitempty"`
	Data      []payload       `json:"data"`
}

type payload struct {
	Plugin    string   `json:"plugin"`
	MediaType string   `json:"media_type"`
	Names     []string `json:"names,omitempty"`
	SHA256    string   `json:"sha256"`
	Size      int64    `json:"size"`
}

// effect is what the ledger says.
type effect struct {
	UID     string          `json:"uid"`
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	Kind    content.Kind    `json:"kind"`
	Version version.Version `json:"version"`
	Source  string          `json:"source"`
	At      time.Time       `json:"at"`
	Note    string          `json:"note,omitempty"`
}

func effectOf(e *ledger.Entry) *effect {
	return &effect{UID: e.UID, Name: e.Name, Type: e.Type, Kind: e.Kind, Version: e.Version, Source: e.Source, At: e.At.UTC(), Note: e.Note}
}

func changeOf(c *content.Change) *change {
	said := &change{
		ID: c.ID, Source: c.Source, Kind: c.Kind, UID: c.Object.UID, ParentUID: c.Object.ParentUID, Path: c.Object.Path, Type: c.Object.Type,
		Version: c.Version, Previous: c.Previous, Captured: c.CapturedAt, Object: c.Object.Meta, Data: []payload{},
	}
	for _, p := range c.Payloads {
		said.Data = append(said.Data, payload{p.Plugin, p.MediaType, p.Names, hex.EncodeToString(p.SHA256[:]), p.Size})
	}
	return said
}

// text gives what a file says as bytes.
func (m *Mirror) text(ctx context.Context, v view, f *file) ([]byte, error) {
	says, err := &contents{Error: f.entry}, error(nil)
	if f.state == Failed {
		err = m.failedEnvelope(ctx, says)
	} else {
		says, err = v.form(ctx, f)
	}
	if err != nil {
		return nil, fmt.Errorf("read what %s says: %w", f.name, err)
	}
	says.Mirror, says.State = m.Site, string(m.Side)+"/"+string(f.state)
	return says.bytes()
}

func (c *contents) bytes() ([]byte, error) {
	raw, err := indent(c)
	if (err != nil || len(raw) > maxFile) && c.Change != nil { // metadata may hold what JSON cannot
		c.Change.Object = nil
		raw, err = indent(c)
	}
	return raw, err
}

func indent(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// mark is what each file of a site begins with.
func mark(site string) string { return fmt.Sprintf("{\n  \"mirror\": %q,\n", site) }

// envelope adds the change of a file, unless the log has another version by now.
func (m *Mirror) envelope(ctx context.Context, says *contents, f *file, stream, many string) error {
	raw, err := m.newest(ctx, stream, subject.Of(many, f.token))
	if raw == nil || err != nil {
		return err
	}
	says.add(raw.Data, f.version)
	return nil
}

func (m *Mirror) failedEnvelope(ctx context.Context, says *contents) error {
	says.Channel = says.Error.Channel
	raw, err := deadletter.New(m.JS).Envelope(ctx, says.Error)
	says.add(raw, says.Error.Version)
	return err
}

// add takes in an envelope; one that cannot be read says nothing.
func (c *contents) add(raw []byte, want version.Version) {
	if said, err := envelope.Decode(raw); err == nil && said.Version == want {
		c.Change = changeOf(said)
	}
}
