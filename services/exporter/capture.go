package exporter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"slices"

	"synchro.example/shared/blob"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
)

// captured is a step with what was read for it.
type captured struct {
	step        *step
	payloads    []content.Payload
	meta        map[string]any
	fingerprint string
	// read is the digest of what the driver read, which plugins may have changed.
	read    content.Digest
	uploads []blob.Result
	err     error
}

// capture reads the object of a step and has the plugins look at it. It does not touch the
// inventory.
func (e *Exporter) capture(ctx context.Context, s *step, hasOld bool) captured {
	c := e.readStep(ctx, s, hasOld)
	if c.err == nil {
		c.err = e.pass(ctx, &c)
	}
	return c
}

func (e *Exporter) readStep(ctx context.Context, s *step, hasOld bool) captured {
	c := captured{step: s}
	if s.removed {
		c.payloads = []content.Payload{removal(s)}
		c.err = e.proveGone(ctx, s)
		return c
	}
	snap, err := e.Source.Read(ctx, s.item)
	if err != nil {
		c.err = err
		return c
	}
	c.meta, c.fingerprint = snap.Meta, snap.Fingerprint
	c.err = e.readParts(ctx, snap, &c, hasOld)
	if err := snap.Close(); c.err == nil {
		c.err = err
	}
	return c
}

// proveGone asks a source that can tell whether what its listing lacks is really gone.
func (e *Exporter) proveGone(ctx context.Context, s *step) error {
	p, ok := e.Source.(content.Prover)
	if !ok {
		return nil
	}
	gone, err := p.Gone(ctx, s.uid, s.path)
	if err == nil && !gone {
		err = fault.Errorf(fault.Retry, fault.Unsettled, "%q is not listed, and the site has it", s.path)
	}
	return err
}

func removal(s *step) content.Payload {
	id := []byte(path.Base(s.path))
	return content.Payload{Plugin: content.PluginDelete, MediaType: "text/plain", Inline: id, SHA256: sha256.Sum256(id), Size: int64(len(id))}
}

func (e *Exporter) readParts(ctx context.Context, snap *content.Snapshot, c *captured, hasOld bool) error {
	room := int64(envelope.InlineLimit)
	for _, part := range snap.Parts {
		if p, ok := e.readBefore(ctx, c, &part); ok {
			room -= int64(len(p.Inline))
			c.payloads = append(c.payloads, p)
			continue
		}
		p := content.Payload{Plugin: part.Plugin, MediaType: part.MediaType, Names: part.Names}
		head, err := readUpTo(part, room)
		if err != nil {
			return err
		}
		if int64(len(head)) <= room {
			p.Inline, p.Size, p.SHA256 = head, int64(len(head)), sha256.Sum256(head)
			room -= p.Size
		} else if err := e.upload(ctx, c, &p, io.MultiReader(bytes.NewReader(head), part.Body), hasOld); err != nil {
			return err
		}
		c.payloads = append(c.payloads, p)
	}
	return nil
}

// readBefore finds the bytes of a stable part in the log. Not to find them costs reading them.
func (e *Exporter) readBefore(ctx context.Context, c *captured, part *content.Part) (content.Payload, bool) {
	old, known := e.old(c.step.uid)
	if !part.Stable || !known || old.fingerprint != c.fingerprint {
		return content.Payload{}, false
	}
	change, err := e.newest(ctx, c.step.uid)
	if change == nil || err != nil {
		return content.Payload{}, false
	}
	for _, p := range change.Payloads {
		if p.Plugin == part.Plugin && p.MediaType == part.MediaType && p.Size == part.Size && slices.Equal(p.Names, part.Names) {
			return p, true
		}
	}
	return content.Payload{}, false
}

// readUpTo reads the whole part, or one byte more than limit.
func readUpTo(part content.Part, limit int64) ([]byte, error) {
	var b bytes.Buffer
	if part.Size >= 0 {
		b.Grow(int(min(part.Size, limit)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(io.LimitReader(part.Body, limit+1))
	return b.Bytes(), err
}

func (e *Exporter) upload(ctx context.Context, c *captured, p *content.Payload, body io.Reader, hasOld bool) error {
	stored := map[content.Digest]bool{}
	if hasOld {
		stored = e.storedChunks(ctx, c.step.uid)
	}
	r, err := e.blobs.Put(ctx, body, func(d content.Digest) bool { return stored[d] })
	if err != nil {
		return fmt.Errorf("store the bytes of %q: %w", c.step.path, err)
	}
	p.Blob, p.SHA256, p.Size = r.Blob, r.SHA256, r.Size
	c.uploads = append(c.uploads, r)
	return nil
}

// storedChunks gives the chunks of an object's newest version in the log. Not to
// know them costs an upload and nothing else.
func (e *Exporter) storedChunks(ctx context.Context, uid string) map[content.Digest]bool {
	stored := map[content.Digest]bool{}
	old, err := e.newest(ctx, uid)
	if old == nil || err != nil {
		return stored
	}
	walk := e.blobs.Walk(func(d content.Digest) { stored[d] = true })
	for _, b := range envelope.Blobs(old) {
		_ = walk.Blob(ctx, b)
	}
	return stored
}
