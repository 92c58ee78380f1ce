package exporter

import (
	"context"
	"iter"
	"strings"

	"synchro.example/shared/blob"
	"synchro.example/shared/content"
	"synchro.example/shared/plugin"
)

// A source whose objects pass through plugins is one of its own: its fingerprints say which
// plugins those are, so that everything is read again when others are named.

// marked is a source with such fingerprints.
type marked struct {
	content.Source
	plugins *plugin.Set
}

// between stands between a driver's fingerprint and the mark of the plugins.
const between = "\x1fplugins "

func (m *marked) suffix(objectType string) string {
	if mark := m.plugins.Mark(objectType); mark != "" {
		return between + mark
	}
	return ""
}

// markOf gives the mark in a fingerprint.
func markOf(fingerprint string) string {
	_, mark, _ := strings.Cut(fingerprint, between)
	return mark
}

// List gives each fingerprint its mark.
func (m *marked) List(ctx context.Context) iter.Seq2[content.Item, error] {
	return func(yield func(content.Item, error) bool) {
		for item, err := range m.Source.List(ctx) {
			item.Fingerprint += m.suffix(item.Type)
			if !yield(item, err) {
				return
			}
		}
	}
}

// Read reads what the driver has. The bytes in the log are not those, so none are stable.
func (m *marked) Read(ctx context.Context, item content.Item) (*content.Snapshot, error) {
	suffix := m.suffix(item.Type)
	item.Fingerprint = strings.TrimSuffix(item.Fingerprint, suffix)
	snap, err := m.Source.Read(ctx, item)
	if err != nil || suffix == "" {
		return snap, err
	}
	snap.Fingerprint += suffix
	for i := range snap.Parts {
		snap.Parts[i].Stable = false
	}
	return snap, nil
}

// Gone asks the driver, where it can tell.
func (m *marked) Gone(ctx context.Context, uid, path string) (bool, error) {
	if p, ok := m.Source.(content.Prover); ok {
		return p.Gone(ctx, uid, path)
	}
	return true, nil
}

// pass has the plugins change what was read of an object, or tells them that it is gone.
func (e *Exporter) pass(ctx context.Context, c *captured) error {
	s, kind := c.step, content.Modified
	old, _ := e.old(s.uid)
	object := content.Object{UID: s.uid, ParentUID: s.place.Parent, Name: s.place.Name, Path: s.path, Type: s.item.Type, Meta: c.meta}
	if s.removed {
		kind, object.Type = content.Removed, old.kind
	}
	c.read = content.DigestOf(c.payloads)
	change := &content.Change{Source: e.Site, Kind: kind, Object: object, Previous: old.version, Payloads: c.payloads}
	payloads, err := e.Plugins.Exported(ctx, change, func(r blob.Result) { c.uploads = append(c.uploads, r) })
	if err == nil {
		c.payloads = payloads
	}
	return err
}
