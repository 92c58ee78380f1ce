package exporter

import (
	"cmp"
	"context"
	"encoding/hex"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"synchro.example/shared/blob"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/subject"
	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// Bounds of the pipeline from reading to the log.
const (
	readers    = 4
	readAhead  = 64
	batchCount = 1000
	batchBytes = 4 << 20
	batchWait  = 5 * time.Millisecond
)

// outcome counts what became of the steps of one pass.
type outcome struct {
	published, unchanged int
	// postponed are to be looked at again soon; problems wait for somebody or for later.
	postponed int
	problems  []problem
}

// batch gathers messages and puts them into the log together.
type batch struct {
	e       *Exporter
	msgs    []*nats.Msg
	bytes   int
	uploads []upload
}

// upload is what an object's bytes became in the blob store.
type upload struct {
	uid string
	blob.Result
}

// carry reads the objects of steps, several at a time, and publishes their changes
// in the order of the steps.
func (e *Exporter) carry(ctx context.Context, steps []*step) (outcome, error) {
	var out outcome
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan chan captured, readAhead)
	g.Go(func() error { return e.readAll(ctx, steps, queue) })
	g.Go(func() error { return e.publishAll(ctx, queue, &out) })
	return out, g.Wait()
}

func (e *Exporter) readAll(ctx context.Context, steps []*step, queue chan<- chan captured) error {
	defer close(queue)
	var g errgroup.Group
	g.SetLimit(readers)
	defer func() { _ = g.Wait() }()
	for _, s := range steps {
		result := make(chan captured, 1)
		select {
		case queue <- result:
		case <-ctx.Done():
			return ctx.Err()
		}
		hasOld := e.trusts(s.uid)
		g.Go(func() error {
			result <- e.capture(ctx, s, hasOld)
			return nil
		})
	}
	return nil
}

func (e *Exporter) publishAll(ctx context.Context, queue <-chan chan captured, out *outcome) error {
	b := &batch{e: e}
	for result := range queue {
		c, err := b.await(ctx, result)
		if err != nil {
			return err
		}
		if err := e.take(ctx, b, c, out); err != nil {
			return err
		}
	}
	return b.flush(ctx)
}

// await waits for the next object, and does not let finished ones wait with it.
func (b *batch) await(ctx context.Context, result <-chan captured) (captured, error) {
	timer := time.NewTimer(batchWait)
	defer timer.Stop()
	for {
		select {
		case c := <-result:
			return c, nil
		case <-timer.C:
			if err := b.flush(ctx); err != nil {
				return captured{}, err
			}
		case <-ctx.Done():
			return captured{}, ctx.Err()
		}
	}
}

// take puts one captured object into the batch, if it is a change.
func (e *Exporter) take(ctx context.Context, b *batch, c captured, out *outcome) error {
	switch {
	case c.err != nil && ctx.Err() != nil:
		return ctx.Err()
	case c.err != nil:
		return e.postpone(c, out)
	case !e.placeIsFree(c.step):
		out.postponed++
		return nil
	}
	old, isKnown := e.old(c.step.uid)
	digest := content.DigestOf(c.payloads)
	line := e.lineFor(c.step, digest, c.fingerprint)
	k := known{kind: c.step.item.Type, digest: digest, read: c.read, fingerprint: c.fingerprint, identity: c.step.item.Identity, version: old.version}
	if at, _ := e.placeOf(c.step.uid); isKnown && !old.unsigned && !c.step.removed && !e.isOverlaid(c.step.uid) && old.digest == digest && at == c.step.place && markOf(old.fingerprint) == markOf(c.fingerprint) {
		out.unchanged++
		e.remember(c.step, k)
		return nil
	}
	k.version = e.versionFor(c.step, k, old, line)
	m, err := e.message(&c, k, old, line)
	if err != nil {
		c.err = err
		return e.postpone(c, out)
	}
	out.published++
	e.remember(c.step, k)
	return b.add(ctx, m, c.step.uid, c.uploads)
}

// postpone decides about an object that could not be read: nearly all such faults
// are mended by a later scan, so they only end a cycle when they are the site's.
func (e *Exporter) postpone(c captured, out *outcome) error {
	f := fault.Of(c.err)
	if f.WholeSite || f.Class == fault.Stop {
		return c.err
	}
	p, ok := problemOf(c.step.uid, c.step.path, f)
	if !ok {
		out.postponed++
		e.log.Debug("object is left for the next scan", "path", c.step.path, "code", f.Code, "error", c.err)
		return nil
	}
	out.problems = append(out.problems, p)
	if e.failures.isNew(p) {
		e.log.Error("an object cannot be exported", "path", p.path, "code", f.Code, "error", c.err, "advice", fault.Advice(f.Code))
	}
	return nil
}

// placeIsFree tells whether the log, as it is by now, has the container of a step
// and nothing else at its place: an earlier step may have been postponed.
func (e *Exporter) placeIsFree(s *step) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.removed {
		return e.inv.tree.Empty(s.uid)
	}
	if _, ok := e.inv.tree.PathIn(s.place); !ok {
		return false
	}
	at, taken := e.inv.tree.At(s.place)
	return !taken || at == s.uid
}

func (e *Exporter) old(uid string) (known, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inv.tree.Get(uid)
}

func (e *Exporter) placeOf(uid string) (tree.Place, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inv.tree.Place(uid)
}

func (e *Exporter) remember(s *step, k known) {
	e.mu.Lock()
	defer e.mu.Unlock()
	inventories := []*inventory{e.inv}
	if e.circle != nil {
		inventories = append(inventories, e.circle.site)
	}
	for _, inv := range inventories {
		if s.removed {
			inv.remove(s.uid, k.version)
		} else {
			inv.put(s.uid, s.place, k)
		}
	}
}

// message makes the message of a captured object. line is that of the ledger when the
// importer has made it what it is.
func (e *Exporter) message(c *captured, k, old known, line *ledger.Entry) (*nats.Msg, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	s := c.step
	change := &content.Change{
		ID: id.String(), Source: e.Site, Kind: content.Modified,
		Object: content.Object{
			UID: s.uid, ParentUID: s.place.Parent, Name: s.place.Name, Path: s.path, Type: k.kind, Meta: c.meta,
		},
		Version: k.version, Previous: e.previous(s.uid, old), CapturedAt: time.Now().UTC(), Digest: k.digest, Payloads: c.payloads,
	}
	if s.removed {
		change.Kind, change.Object.Type = content.Removed, cmp.Or(old.kind, s.kind)
	}
	if line != nil {
		change.ID, change.Withdrawn = cmp.Or(line.Change, change.ID), line.Withdrawn && s.removed
		if change.Origin = cmp.Or(line.MadeAt, line.Source); change.Origin == e.Site {
			change.Origin = ""
		}
	}
	m, err := envelope.Message(subject.ExportToProcess(e.Site, s.uid), change, k.fingerprint, k.identity)
	if err == nil && c.read != k.digest {
		m.Header.Set(subject.HeaderRead, hex.EncodeToString(c.read[:]))
	}
	if err == nil && s.removed {
		m.Header.Set(jetstream.MsgTTLHeader, e.Tombstones.Truncate(time.Second).String())
	}
	if err != nil {
		return nil, err
	}
	return m, e.Key.Sign(m.Subject, m)
}

// versionFor gives the version of a step. What the log has had before keeps its own when it
// is only signed.
func (e *Exporter) versionFor(s *step, k, old known, line *ledger.Entry) version.Version {
	switch at, _ := e.placeOf(s.uid); {
	case line != nil:
		return line.Version
	case s.resigned && e.goneSince(s.uid) > 0:
		return e.goneSince(s.uid)
	case !s.removed && old.unsigned && old.version > 0 && old.digest == k.digest && at == s.place:
		return old.version
	}
	return e.clock.Next()
}

func (b *batch) add(ctx context.Context, m *nats.Msg, uid string, uploads []blob.Result) error {
	b.msgs = append(b.msgs, m)
	b.bytes += len(m.Data)
	for _, r := range uploads {
		b.uploads = append(b.uploads, upload{uid, r})
	}
	if len(b.msgs) >= batchCount || b.bytes >= batchBytes {
		return b.flush(ctx)
	}
	return nil
}

func (b *batch) flush(ctx context.Context) error {
	if len(b.msgs) == 0 {
		return nil
	}
	if _, err := b.e.publisher.Publish(ctx, b.msgs); err != nil {
		return err
	}
	b.e.count(len(b.msgs))
	uploads := b.uploads
	b.msgs, b.bytes, b.uploads = nil, 0, nil
	return b.e.confirm(ctx, uploads)
}

// confirm looks after bytes that the broker had before. What is gone is read and sent
// again by the next cycle.
func (e *Exporter) confirm(ctx context.Context, uploads []upload) error {
	for _, u := range uploads {
		err := e.blobs.Confirm(ctx, u.Result)
		if fault.Of(err).Code == fault.BlobMissing {
			e.readAgain(u.uid)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readAgain has an object read by the next cycle, and all its bytes sent, whatever the log
// says of them: they may be missing in the broker.
func (e *Exporter) readAgain(uid string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.again[uid] = true
	if e.inv == nil {
		return
	}
	if k, ok := e.inv.tree.Get(uid); ok {
		at, _ := e.inv.tree.Place(uid)
		k.fingerprint = ""
		e.inv.put(uid, at, k)
	}
}

// trusts tells whether the chunks that the log names for an object are taken for stored.
func (e *Exporter) trusts(uid string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.again[uid] {
		delete(e.again, uid)
		return false
	}
	_, known := e.inv.tree.Get(uid)
	return known
}
