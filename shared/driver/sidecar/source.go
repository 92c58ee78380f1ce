//go:build unix

package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// source yields what has a card as objects, and the rest as files and folders.
type source struct {
	content.Source
	*gather
}

// List yields the objects of the tree.
func (s *source) List(ctx context.Context) iter.Seq2[content.Item, error] {
	return s.yield(s.Source.List(ctx))
}

func (g *gather) yield(listing iter.Seq2[content.Item, error]) iter.Seq2[content.Item, error] {
	return func(yield func(content.Item, error) bool) {
		items, err := g.objects(listing)
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
		if err != nil {
			yield(content.Item{}, err)
		}
	}
}

// Read opens an object's card and files.
func (s *source) Read(ctx context.Context, item content.Item) (*content.Snapshot, error) {
	h, ok := item.Handle.(handle)
	if !ok {
		if item.Handle != nil || item.Type == content.TypeFile || item.Type == content.TypeFolder {
			return s.Source.Read(ctx, item)
		}
		return s.readUnlisted(ctx, item.Path)
	}
	return s.read(ctx, h)
}

// readUnlisted finds the card of an object of which only the path is known.
func (s *source) readUnlisted(ctx context.Context, p string) (*content.Snapshot, error) {
	var err error
	for _, at := range []spot{{p, false}, {p, true}} {
		var snap *content.Snapshot
		snap, err = s.read(ctx, handle{spot: at, card: content.Item{Path: at.card(), Type: content.TypeFile}})
		if err == nil || fault.Of(err).Code != fault.Vanished {
			return snap, err
		}
	}
	return nil, err
}

// opened is an object while it is read.
type opened struct {
	source *source
	handle
	snaps []*content.Snapshot
}

func (s *source) read(ctx context.Context, h handle) (_ *content.Snapshot, err error) {
	o := &opened{source: s, handle: h}
	defer func() {
		if err != nil {
			_ = o.close() // the first error says why
		}
	}()
	snap, err := o.open(ctx, h.card, h.spot.card())
	if err != nil {
		return nil, err
	}
	b, err := readLimited(body(snap))
	if err != nil {
		return nil, readFailed(h.spot.card(), err)
	}
	c, err := decode(b)
	if err != nil {
		return nil, readFailed(h.spot.card(), err)
	}
	out := &content.Snapshot{Close: o.close, Meta: c.meta(h.container), Fingerprint: h.fingerprint()}
	if at, ok := snap.Meta["modified"].(time.Time); ok {
		out.Meta["modified"] = at.UTC().Format(time.RFC3339)
	}
	if !c.bare {
		out.Parts, err = o.parts(ctx, c)
	}
	return out, err
}

func readFailed(p string, err error) error {
	return fault.New(fault.Park, fault.ReadFailed, fmt.Errorf("read %q: %w", p, err))
}

func (o *opened) open(ctx context.Context, item content.Item, p string) (*content.Snapshot, error) {
	if item.Path == "" {
		item = content.Item{Path: p, Type: content.TypeFile}
	}
	snap, err := o.source.Source.Read(ctx, item)
	if err != nil {
		return nil, err
	}
	o.snaps = append(o.snaps, snap)
	if body(snap) == nil {
		return nil, fault.Errorf(fault.Retry, fault.Vanished, "read %q: it is no file any more", p)
	}
	return snap, nil
}

func (o *opened) close() error {
	var errs []error
	for _, snap := range o.snaps {
		errs = append(errs, snap.Close())
	}
	o.snaps = nil
	return errors.Join(errs...)
}

// bytesOf gives the part with the bytes of a file.
func bytesOf(snap *content.Snapshot) *content.Part {
	for i := range snap.Parts {
		if snap.Parts[i].Plugin == content.PluginFSS {
			return &snap.Parts[i]
		}
	}
	return nil
}

func body(snap *content.Snapshot) io.Reader {
	if p := bytesOf(snap); p != nil {
		return p.Body
	}
	return nil
}

// parts puts the texts back into the payload and opens the files.
func (o *opened) parts(ctx context.Context, c *card) ([]content.Part, error) {
	var blobs []content.Part
	fields, _ := c.payload[keyFields].(map[string]any)
	if fields == nil {
		c.payload[keyFields] = map[string]any{}
	}
	infos := files(c.payload)
	for _, field := range slices.Sorted(maps.Keys(c.parts)) {
		p := o.file(c.parts[field])
		snap, err := o.open(ctx, o.handle.parts[field], p)
		if err != nil {
			return nil, err
		}
		if info := infos[field]; info != nil {
			part := *bytesOf(snap)
			info[keySize] = json.Number(strconv.FormatInt(part.Size, 10))
			part.MediaType, part.Names = text(info, keyMedia), []string{field, text(info, keyFilename)}
			blobs = append(blobs, part)
			continue
		}
		value, _ := fields[field].(map[string]any)
		if value == nil {
			return nil, readFailed(o.spot.card(), fmt.Errorf("it names a file for %s and has no such field", field))
		}
		b, err := readLimited(body(snap))
		if err == nil && !utf8.Valid(b) {
			err = errors.New("it is not text in UTF-8")
		}
		if err != nil {
			return nil, readFailed(p, err)
		}
		value[keyData] = string(b)
	}
	for field := range infos {
		if _, ok := c.parts[field]; !ok {
			return nil, readFailed(o.spot.card(), fmt.Errorf("it names no file for %s", field))
		}
	}
	b, err := compact(c.payload)
	if err != nil {
		return nil, readFailed(o.spot.card(), err)
	}
	return append([]content.Part{{
		Plugin: content.PluginContent, MediaType: "application/json", Size: int64(len(b)), Body: bytes.NewReader(b),
	}}, blobs...), nil
}

// metaFields are what expressions may read of an object's fields.
var metaFields = []string{"title", "description", "subjects", "creators", "contributors", "rights", "effective", "expires", "language"}

func (c *card) meta(container bool) map[string]any {
	m := map[string]any{"portal_type": c.typ, "is_folderish": container}
	fields, _ := c.payload[keyFields].(map[string]any)
	for _, k := range metaFields {
		if v := fields[k]; v != nil {
			m[k] = v
		}
	}
	if state := text(c.payload, "review_state"); state != "" {
		m["review_state"] = state
	}
	return m
}
