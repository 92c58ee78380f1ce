package plugin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"synchro.example/shared/blob"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
)

// badAnswer is the fault of a plugin that answers what makes no sense.
func badAnswer(format string, args ...any) error {
	return fault.Errorf(fault.Park, fault.PluginAnswer, format, args...)
}

// explain says who an error comes from, and gives those a class that have none.
func (one *step) explain(c *Call, err error) error {
	if err == nil {
		return nil
	}
	f := &fault.Error{Class: fault.Retry, Code: fault.PluginFailed}
	if known, ok := errors.AsType[*fault.Error](err); ok {
		*f = *known
	}
	f.Err = fmt.Errorf("plugin %s, %s of %q: %w", one.ID, c.Side, c.Change.Object.Path, err)
	return f
}

// merge gives the payloads of a call with what a plugin has answered.
func merge(ctx context.Context, one *step, c *Call, parts []Part) ([]content.Payload, error) {
	payloads := slices.Clone(c.Change.Payloads)
	if len(parts) == 0 {
		return payloads, nil
	}
	if one.Priority >= DriverPriority && c.Side == Import {
		return nil, badAnswer("it gives payloads, but the change has taken effect: its priority is %d, and the driver's is %d", one.Priority, DriverPriority)
	}
	if c.Operation == content.Removed {
		return nil, badAnswer("it gives payloads for an object that is removed")
	}
	taken := map[int]bool{}
	for _, part := range parts {
		var err error
		if payloads, err = put(payloads, one.ID, c, part, taken); err != nil {
			return nil, err
		}
	}
	if err := fit(ctx, c, payloads); err != nil {
		return nil, err
	}
	return payloads, check(c.Change, payloads)
}

// put lays one part where it belongs. A payload that takes another one's place stays the
// payload of whoever made that: no plugin makes an export of what was a picture.
func put(payloads []content.Payload, id string, c *Call, part Part, taken map[int]bool) ([]content.Payload, error) {
	p := part.Payload
	switch i := part.Index; {
	case i == Added && c.Side != Export:
		return nil, badAnswer("it adds a payload, which only an export may")
	case i == Added:
		p.Plugin = id
		return append(payloads, p), nil
	case i < 0 || i >= len(c.Change.Payloads) || taken[i]:
		return nil, badAnswer("it names the payload %d, and the call has %d, each of which may be named once", i, len(c.Change.Payloads))
	default:
		old := payloads[i]
		p.Plugin = old.Plugin
		if p.MediaType == "" {
			p.MediaType = old.MediaType
		}
		if p.Names == nil {
			p.Names = old.Names
		}
		taken[i], payloads[i] = true, p
		return payloads, nil
	}
}

// fit brings bytes out of the change that are too many for it. What a plugin has stored
// itself is stored once more for an export, because a collector may have its eye on it.
func fit(ctx context.Context, c *Call, payloads []content.Payload) error {
	room := envelope.InlineLimit
	for i := range payloads {
		p := &payloads[i]
		if p.Blob == nil {
			room -= len(p.Inline)
		}
		isNew := i >= len(c.Change.Payloads) || p.Blob != c.Change.Payloads[i].Blob
		if room >= 0 && (p.Blob == nil || c.Side != Export || !isNew) {
			continue
		}
		if p.Blob == nil {
			room += len(p.Inline)
		} else if err := checkOne(p); err != nil {
			return err
		}
		if err := c.files.again(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// check holds payloads against the limits of an envelope.
func check(c *content.Change, payloads []content.Payload) error {
	whole := *c
	whole.Payloads, whole.Digest = payloads, content.DigestOf(payloads)
	whole.ID, whole.Source, whole.Version = "-", "-", 1 // what is not known yet on export
	if err := envelope.Check(&whole); err != nil {
		return badAnswer("%w", err)
	}
	return nil
}

// checkOne is check before anything is read of what a claim check names.
func checkOne(p *content.Payload) error {
	return check(&content.Change{Kind: content.Modified, Object: content.Object{UID: "-", Name: "-"}}, []content.Payload{*p})
}

// files is where bytes lie that do not travel with the change.
type files struct {
	blobs  *blob.Store
	stored func(blob.Result)
}

// store makes a payload of bytes: inline as long as they fit.
func (f files) store(ctx context.Context, r io.Reader) (content.Payload, error) {
	head, err := io.ReadAll(io.LimitReader(r, envelope.InlineLimit+1))
	if err != nil {
		return content.Payload{}, err
	}
	if len(head) <= envelope.InlineLimit {
		return content.Payload{Inline: head, Size: int64(len(head)), SHA256: sha256.Sum256(head)}, nil
	}
	return f.upload(ctx, io.MultiReader(bytes.NewReader(head), r))
}

func (f files) upload(ctx context.Context, r io.Reader) (content.Payload, error) {
	res, err := f.blobs.Put(ctx, r, nil)
	if err != nil {
		return content.Payload{}, fmt.Errorf("store its bytes: %w", err)
	}
	if f.stored != nil {
		f.stored(res)
	}
	return content.Payload{Blob: res.Blob, Size: res.Size, SHA256: res.SHA256}, nil
}

// again stores the bytes of a payload, wherever they are.
func (f files) again(ctx context.Context, p *content.Payload) error {
	r, err := f.blobs.Open(ctx, p)
	if err != nil {
		return err
	}
	defer r.Close()
	stored, err := f.upload(ctx, r)
	if err != nil {
		return err
	}
	p.Inline, p.Blob = nil, stored.Blob
	return nil
}
