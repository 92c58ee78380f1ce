package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// A site on a circle of channels has editors of its own, whose work its exporter brings into
// its log. What the site has of an object is then what the ledger says or what that log says,
// whichever is newer, and the newer version wins everywhere. An edit that the exporter has not
// seen yet has no version. So no file is touched that is not as it is known: the change waits
// until the log says what became of it, and is compared then.

// ofCircle is what a session knows of its own site's log.
type ofCircle struct {
	ownSeq   uint64 // how far the log was read
	own      chan envelope.Head
	received map[string]version.Version // by uid: the newest that came from others and took effect
}

func newOfCircle() ofCircle {
	return ofCircle{own: make(chan envelope.Head), received: map[string]version.Version{}}
}

func (s *session) onCircle() bool { return len(s.Circle) > 0 }

// readOwn takes in the log of the site.
func (s *session) readOwn(ctx context.Context) error {
	if !s.onCircle() {
		return nil
	}
	err := changelog.Scan(ctx, s.JS, subject.ExportStream(s.Site), changelog.Options{HeadersOnly: true}, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		s.ownSeq = max(s.ownSeq, meta.Sequence.Stream)
		if h, err := s.ownHead(m); err == nil {
			s.recallOwn(h)
		}
		return nil
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}

// ownHead reads what the headers of a message of the site's log say, if the site has signed it.
func (s *session) ownHead(m jetstream.Msg) (envelope.Head, error) {
	if err := s.Own.CheckHead(m.Subject(), m.Headers()); err != nil {
		return envelope.Head{}, err
	}
	return envelope.ParseHead(m.Headers())
}

// recallOwn takes in what the site's own log has of an object, if it is newer.
func (s *session) recallOwn(h envelope.Head) (isNews bool) {
	known := s.versionOf(h.UID)
	if e, live := s.actual.Get(h.UID); live && h.Version == known && h.Fingerprint != "" {
		e.Fingerprint = h.Fingerprint
	}
	if h.Version <= known {
		return false
	}
	s.recall(&ledger.Entry{
		UID: h.UID, Parent: h.ParentUID, Name: h.Name, Type: h.Type, Kind: h.Kind, Version: h.Version,
		Source: s.Site, MadeAt: h.Origin, Digest: h.Digest, Fingerprint: h.Fingerprint, Own: true,
	})
	return true
}

// followOwn hands what comes into the site's log to the loop.
func (s *session) followOwn(ctx context.Context) (stop func(), err error) {
	if !s.onCircle() {
		return func() {}, nil
	}
	name := subject.ExportStream(s.Site)
	c, err := s.JS.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{
		HeadersOnly: true, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: s.ownSeq + 1,
	})
	if err != nil {
		return nil, changelog.Classify(fmt.Errorf("follow the log of %s: %w", s.Site, err))
	}
	running, err := c.Consume(func(m jetstream.Msg) {
		h, err := s.ownHead(m)
		if err != nil {
			return // a lease, or nothing that the exporter has not told
		}
		select {
		case s.own <- h:
		case <-ctx.Done():
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { s.consumeError(name, err) }))
	if err != nil {
		return nil, changelog.Classify(fmt.Errorf("follow the log of %s: %w", s.Site, err))
	}
	return func() {
		running.Stop()
		<-running.Closed()
	}, nil
}

// learn takes in what the exporter says, and takes up what has waited for that.
func (s *session) learn(ctx context.Context, h envelope.Head) error {
	was, live := s.actual.Get(h.UID)
	if !s.recallOwn(h) {
		return nil
	}
	if h.Kind == content.Removed && live && !was.Own {
		gone := *was // else the line would outlive what the log remembers
		gone.Kind, gone.Version, gone.MadeAt, gone.Source = content.Removed, h.Version, h.Origin, s.Site
		if err := s.write(ctx, &gone); err != nil {
			return err
		}
	}
	if e := s.failed[h.UID]; e != nil {
		if err := s.retry(ctx, e.Channel, h.UID, func() {}); err != nil {
			return err
		}
	}
	return s.releaseWaiting(ctx, h.UID)
}

// found judges what a target finds where it is about to touch a file.
func (s *session) found(t *task, from, to string) func(path, fingerprint string) error {
	if !s.onCircle() {
		return nil
	}
	expected := map[string]string{to: ""}
	t.was = content.Digest{}
	if e, live := s.actual.Get(t.instead); live {
		expected[to], t.was = e.Fingerprint, e.Digest
	}
	if e, live := s.actual.Get(t.uid()); live {
		expected[from], t.was = e.Fingerprint, e.Digest
	}
	accepted := t.accepted
	return func(path, fingerprint string) error {
		as, ok := accepted[path]
		switch {
		case fingerprint == expected[path], ok && fingerprint == as, fingerprint == "" && to == "":
			return nil
		}
		return fault.Errorf(fault.Retry, fault.Edited, "%q was edited here, and the exporter has not sent that yet", path)
	}
}

// lookAgain finds out whether what a target did not expect is what the site is known to have,
// or what it is to get.
func (s *session) lookAtEdited(ctx context.Context, r *result) {
	if fault.Of(r.err).Code != fault.Edited || s.Inspect == nil {
		return
	}
	site, err := s.Inspect()
	if err != nil {
		return
	}
	defer func() { _ = site.Close() }()
	t := r.task
	for _, path := range slices.Compact([]string{r.op.From, r.op.To}) {
		payloads, fingerprint, err := reconcile.State(ctx, site, content.Item{UID: t.uid(), Path: path, Type: t.change.Object.Type})
		if digest := content.DigestOf(payloads); err == nil && (digest == t.was || digest == t.change.Digest) {
			if t.accepted == nil {
				t.accepted = map[string]string{}
			}
			t.accepted[path] = fingerprint
		}
	}
}

// outcome is who keeps a place at which two objects of a circle are to stand.
type outcome int

const (
	undecided outcome = iota
	wins
	loses
)

// contest decides who keeps a place: the newer one, as on every other site. The older one
// waits: the newer one may leave before it comes to where the older one stands, which then
// nobody removes. A container does not come from elsewhere to the place of another one, for
// both may hold something.
func (s *session) contest(t *task, holder, from string) outcome {
	if !s.onCircle() {
		return undecided
	}
	t.instead = ""
	e, live := s.actual.Get(holder)
	switch {
	case !live || holder == t.uid():
		return undecided
	case e.Version > t.change.Version:
		return loses
	case e.Type != t.change.Object.Type || from != "" && e.Type != content.TypeFile:
		return undecided
	}
	t.instead = holder
	return wins
}

// displaced notes that an object has lost its place to another one, and is gone.
func (s *session) displaced(ctx context.Context, t *task, old *ledger.Entry) error {
	lost := &content.Change{
		Source: old.Source, Origin: old.MadeAt, Kind: content.Modified, Version: old.Version,
		Object: content.Object{UID: old.UID, ParentUID: old.Parent, Name: old.Name, Path: old.Name, Type: old.Type},
	}
	raw, err := s.ownState(ctx, old)
	if err != nil {
		return err
	}
	return s.overrule(ctx, lost, t.channel, fmt.Sprintf("%s put another object at its place at about the same time, which is the later and stands", t.change.MadeAt()), raw)
}

// ownState gives the change that made an object what it is, if the site's own log has it.
func (s *session) ownState(ctx context.Context, e *ledger.Entry) ([]byte, error) {
	m, err := changelog.Newest(ctx, s.JS, subject.ExportStream(s.Site), subject.ExportToProcess(s.Site, e.UID))
	if m == nil || err != nil {
		return nil, err
	}
	if h, err := envelope.ParseHead(m.Header); err != nil || h.Version != e.Version {
		return nil, nil
	}
	return m.Data, nil
}

// keepFilled does not carry out the removal of a container into which somebody has put
// something meanwhile.
func (s *session) keepFilled(ctx context.Context, t *task, child string) error {
	path, _ := s.actual.Path(child)
	return s.keep(ctx, t, fmt.Sprintf("it was removed at %s, while %q was put into it or edited here; it is kept", t.change.MadeAt(), path))
}

// nests tells whether a change would put a container into itself, because what it is to go
// into was put into it at the same time, and later.
func (s *session) nests(t *task) bool {
	uid, above := t.uid(), t.place.Parent
	newest := version.Version(0)
	for range maxDepth {
		if above == "" || above == uid {
			break
		}
		newest = max(newest, s.versionOf(above))
		place, _ := s.actual.Place(above)
		above = place.Parent
	}
	return s.onCircle() && above == uid && newest > t.change.Version
}

// keepOut does not carry out a move of a container into itself.
func (s *session) keepOut(ctx context.Context, t *task) error {
	path, _ := s.actual.PathIn(t.place)
	return s.keep(ctx, t, fmt.Sprintf("%s moved it to %q, which was put into it here at about the same time; it stays", t.change.MadeAt(), path))
}

// keep leaves a container as it is, whatever a change of another site says. The exporter
// sends it again.
func (s *session) keep(ctx context.Context, t *task, reason string) error {
	e, _ := s.actual.Get(t.uid())
	kept := *e
	kept.Version, kept.Channel, kept.Source, kept.MadeAt = t.change.Version, t.channel, t.change.Source, t.change.Origin
	kept.Kept, kept.Own, kept.Change = true, false, t.change.ID
	if err := s.overrule(ctx, t.change, t.channel, reason, nil); err != nil {
		return err
	}
	if err := s.write(ctx, &kept); err != nil {
		return err
	}
	return s.supersededAll(ctx, t)
}

// loses notes that a change comes too late: something newer was made here by somebody who
// did not know of it.
func (s *session) loses(ctx context.Context, c *content.Change, channel string) error {
	uid := c.Object.UID
	if !s.onCircle() || c.MadeAt() == s.Site || c.Version <= s.received[uid] || c.Version >= s.versionOf(uid) || c.Object.Type == content.TypeFolder {
		return nil
	}
	e, live := s.actual.Get(uid)
	if live && (!e.Own || e.Digest == c.Digest) {
		return nil
	}
	raw, err := envelope.Encode(c)
	if err != nil {
		raw = nil
	}
	return s.overrule(ctx, c, channel, fmt.Sprintf("%s at %s and here at about the same time; what was done here is the later and stands", done(c), c.MadeAt()), raw)
}

// beats notes that a change that took effect was made by somebody who did not know of what
// was done here.
func (s *session) beats(ctx context.Context, c *content.Change, channel string, old *ledger.Entry) error {
	if !s.onCircle() || old == nil || !old.Own || old.MadeAt != "" || old.Version <= c.Previous || old.Digest == c.Digest ||
		c.MadeAt() == s.Site || c.Object.Type == content.TypeFolder {
		return nil
	}
	raw, err := s.ownState(ctx, old)
	if err != nil {
		return err
	}
	lost := *c
	lost.Version = old.Version
	return s.overrule(ctx, &lost, channel, fmt.Sprintf("%s at %s and edited here at about the same time; what was done there is the later and stands", done(c), c.MadeAt()), raw)
}

func done(c *content.Change) string {
	if c.Kind == content.Removed {
		return "removed"
	}
	return "edited"
}

// overrule keeps a change that lost to another one, for people to look at.
func (s *session) overrule(ctx context.Context, c *content.Change, channel, reason string, raw []byte) error {
	path, ok := s.actual.Path(c.Object.UID)
	if !ok {
		path = c.Object.Path
	}
	t := &task{change: c, channel: channel, attempts: 1, place: placeOf(c)}
	e := s.failure(t, fault.Errorf(fault.Park, fault.Conflict, "%s", reason), "")
	e.Path, e.Next = path, e.Next.Truncate(0)
	if s.failed[e.UID] != nil {
		s.forgetFailure(e.UID)
	}
	s.log.Warn("an object was changed on two sites at the same time", "path", path, "what", reason)
	m, err := deadletter.Message(e.Close(deadletter.Closing{As: deadletter.Overruled}), raw)
	if err != nil {
		return err
	}
	return s.account(ctx, m, s.recorded)
}

// freeOnCircle admits newer state of what stands at a place, by whichever channel it comes.
func (a *admission) freeOnCircle(holder string) error {
	for _, channel := range a.Channels {
		c, err := a.lookup(a.ctx, channel, holder)
		if err != nil {
			return err
		}
		if c != nil && c.Version > a.versionOf(holder) {
			b := &admission{session: a.session, ctx: a.ctx, channel: channel, under: a.under}
			return b.take(c, func() {})
		}
	}
	return nil
}
