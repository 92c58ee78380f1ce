package importer

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
)

// succeed writes the ledger, and acknowledges when the ledger has it.
func (s *session) succeed(ctx context.Context, r result) error {
	s.resume()
	t := r.task
	e := s.entry(t, r.op.Note)
	m, err := ledger.Message(s.Site, e, s.Tombstones)
	if err != nil {
		return err
	}
	acks := t.acks
	err = s.records.Enqueue(ctx, m, func(_ uint64, err error) {
		if err != nil {
			s.breakOff(err)
			return
		}
		for _, ack := range acks {
			ack()
		}
	})
	if err != nil {
		return err
	}
	left, moved := s.actual.Place(t.uid())
	before, _ := s.actual.Get(t.uid())
	if e.Version >= s.versionOf(e.UID) { // else the exporter has seen an edit of what came
		s.recall(e)
	}
	s.unplan(t)
	t.done = true
	if err := s.beats(ctx, t.change, t.channel, before); err != nil {
		return err
	}
	if err := s.inherited(ctx, t); err != nil {
		return err
	}
	if t.aside {
		return nil
	}
	if moved && s.locates {
		if err := s.vacated(ctx, t, left); err != nil {
			return err
		}
	}
	if !t.repeat {
		s.landed(r.op.To, t.change)
	}
	if err := s.release(ctx, t.uid()); err != nil || !e.Live() {
		return err
	}
	return s.arrived(ctx, t.uid())
}

func (s *session) entry(t *task, note *content.Note) *ledger.Entry {
	c, given := t.change, cmp.Or(t.given, t.change)
	e := &ledger.Entry{
		UID: c.Object.UID, Parent: t.place.Parent, Name: t.place.Name, Type: c.Object.Type, Kind: c.Kind,
		Version: c.Version, Channel: t.channel, Source: c.Source, Change: c.ID, MadeAt: c.Origin, Withdrawn: c.Withdrawn,
		Digest: given.Digest, Bytes: ledger.BytesDigest(given), At: time.Now().UTC(), Fingerprint: t.fingerprint,
	}
	if t.aside {
		e.Version = s.versionOf(e.UID)
	}
	s.note(e, t)
	if e.Renamed() || callsOther(given, c) {
		nameless := content.NamelessDigest(given.Payloads)
		e.Content = nameless[:]
	}
	if note != nil && e.Live() {
		e.Note, e.Missing = note.State, note.Missing
	}
	return e
}

// callsOther tells whether plugins have given payloads other names, which the site may not keep.
func callsOther(given, c *content.Change) bool {
	return !slices.EqualFunc(given.Payloads, c.Payloads, func(a, b content.Payload) bool { return slices.Equal(a.Names, b.Names) })
}

// finish takes a task that has done nothing out of the plan and ends its turn.
func (s *session) finish(t *task) {
	s.unplan(t)
	s.endTurn(t)
}

func (s *session) unplan(t *task) {
	uid := t.uid()
	if newest := s.newest[uid]; newest == nil || newest == t {
		delete(s.newest, uid)
		s.plan.clear(uid)
	}
}

// endTurn lets those go on that are ordered behind a task.
func (s *session) endTurn(t *task) {
	if t.turn != nil {
		s.tasks.Done(t.turn)
		t.turn = nil
	}
}

// release settles the failure of an object that has succeeded, and admits what waited
// for it.
func (s *session) release(ctx context.Context, uid string) error {
	if err := s.settle(ctx, uid, deadletter.Closing{As: deadletter.Applied}); err != nil {
		return err
	}
	return s.releaseWaiting(ctx, uid)
}

func (s *session) releaseWaiting(ctx context.Context, uid string) error {
	freed := s.waiting[uid]
	delete(s.waiting, uid)
	for w, channel := range freed {
		if err := s.retry(ctx, channel, w, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// settle closes the failure of an object, if there is one.
func (s *session) settle(ctx context.Context, uid string, c deadletter.Closing) error {
	e := s.failed[uid]
	if e == nil {
		return nil
	}
	s.forgetFailure(uid)
	m, err := deadletter.Message(e.Close(c), nil)
	if err != nil {
		return err
	}
	return s.account(ctx, m, s.recorded)
}

// account stores what became of a failure when the ledger has everything that was recorded
// before: an object is never in neither of both, whenever the importer dies.
func (s *session) account(ctx context.Context, m *nats.Msg, done func(seq uint64, err error)) error {
	return s.records.Then(ctx, func(err error) {
		if err == nil {
			err = s.failures.Enqueue(ctx, m, done)
		}
		if err != nil {
			s.breakOff(err)
		}
	})
}

// hold sets a task aside until another object succeeds.
func (s *session) hold(ctx context.Context, t *task, waitsFor string) error {
	name := waitsFor
	if path, ok := s.plan.path(waitsFor); ok {
		name = path
	} else if e := s.failed[waitsFor]; e != nil {
		name = e.Path
	}
	return s.giveUp(ctx, t, fault.Errorf(fault.Held, fault.Waiting, "waits for %s", name), waitsFor)
}

// giveUp keeps a task as a failure and acknowledges it: the log has the change, and
// the failure says that it is to be taken up again.
func (s *session) giveUp(ctx context.Context, t *task, f *fault.Error, waitsFor string) error {
	e := s.failure(t, f, waitsFor)
	m, err := deadletter.Message(e, t.envelope())
	if err != nil {
		return err
	}
	s.recallFailure(e)
	if f.Class != fault.Held {
		s.log.Error("a change cannot be applied and is set aside", "path", e.Path, "code", e.Code, "attempts", e.Attempts, "error", f, "advice", fault.Advice(f.Code))
	}
	if f.Code == fault.BlobMissing || f.Code == fault.BlobDamaged {
		s.askForBytes(t.change)
	}
	acks := t.acks
	return s.account(ctx, m, func(_ uint64, err error) {
		if err != nil {
			s.breakOff(err)
			return
		}
		for _, ack := range acks {
			ack()
		}
	})
}

// askForBytes has the source send the bytes of an object again. Should that be lost, the
// next try asks once more.
func (s *session) askForBytes(c *content.Change) {
	e := &deadletter.Entry{Stage: deadletter.Export, Site: c.Source, UID: c.Object.UID, Path: c.Object.Path, Version: c.Version}
	m, err := deadletter.Ask(e, deadletter.Request{Upload: true, By: "importer of " + s.Site})
	if err == nil {
		_, err = s.JS.PublishMsgAsync(m)
	}
	if err != nil {
		s.log.Warn("the source could not be asked for bytes again", "path", c.Object.Path, "error", err)
	}
}

// envelope gives the bytes that the change came in; none where it has none.
func (t *task) envelope() []byte {
	if t.raw != nil {
		return t.raw
	}
	raw, err := envelope.Encode(t.change)
	if err != nil {
		return nil
	}
	return raw
}

func (s *session) failure(t *task, f *fault.Error, waitsFor string) *deadletter.Entry {
	now := time.Now().UTC()
	e := &deadletter.Entry{
		Stage: deadletter.Import, Site: s.Site, Channel: t.channel, UID: t.uid(), Path: t.change.Object.Path, Version: t.change.Version,
		Code: f.Code, Class: f.Class, Reason: f.Error(), Attempts: t.attempts, First: now, Last: now,
		Host: s.Host, Software: s.Software, WaitsFor: waitsFor,
	}
	if path, ok := s.actual.PathIn(t.place); ok && !t.skip {
		e.Path = path
	}
	if old := s.failed[e.UID]; old != nil {
		e.First = old.First
		e.Attempts += old.Attempts
		delete(s.waiting[old.WaitsFor], e.UID)
	}
	if f.Class != fault.Held && fault.Passes(f.Code) {
		e.Next = now.Add(s.delay(e.Attempts / s.Attempts))
	}
	return e
}

// delay is how long after a failure an object is tried once more by itself: a minute,
// and twice as long each time, up to six hours.
func delay(rounds int) time.Duration {
	const first, most = time.Minute, 6 * time.Hour
	return min(first<<min(max(rounds-1, 0), 16), most)
}

// tryAgain admits the failures whose time has come.
func (s *session) tryAgain(ctx context.Context) error {
	now := time.Now()
	if s.nextTry.IsZero() || now.Before(s.nextTry) || s.paused.on || s.tasks.Open() > 0 {
		return nil
	}
	s.nextTry = time.Time{}
	var due []*deadletter.Entry
	for _, e := range s.failed {
		switch {
		case e.Next.IsZero():
		case !e.Next.After(now) && len(due) < s.Window:
			due = append(due, e)
		case s.nextTry.IsZero() || e.Next.Before(s.nextTry):
			s.nextTry = e.Next
		}
	}
	for _, e := range due {
		if err := s.retry(ctx, e.Channel, e.UID, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// discard gives up the change that failed: the ledger says so, and only a newer one is
// applied.
func (s *session) discard(ctx context.Context, r deadletter.Request, ack func()) error {
	e := s.failed[r.UID]
	if e == nil || e.Version > r.Version {
		ack()
		return nil
	}
	closing := deadletter.Closing{As: deadletter.Discarded, By: r.By, Why: r.Why}
	if e.Code == fault.Untrusted {
		return s.discardUntrusted(ctx, e, closing, ack)
	}
	given := &ledger.Entry{UID: e.UID, Kind: content.Removed, Channel: e.Channel}
	if old, ok := s.actual.Get(e.UID); ok {
		*given = *old
	}
	given.Version, given.Discarded, given.At = e.Version, e.Version, time.Now().UTC()
	m, err := ledger.Message(s.Site, given, s.Tombstones)
	if err != nil {
		return err
	}
	s.recall(given)
	s.takeAway(e)
	if err := s.settle(ctx, e.UID, closing); err != nil {
		return err
	}
	return s.records.Enqueue(ctx, m, func(_ uint64, err error) {
		if s.recorded(0, err); err == nil {
			ack()
		}
	})
}

// takeAway lets a site that shows failed changes show this one no more. Where it cannot, the
// newer change that comes some day does so.
func (s *session) takeAway(e *deadletter.Entry) {
	d, ok := s.target.(content.Discarder)
	if !ok {
		return
	}
	if err := d.Discard(e.UID); err != nil {
		s.log.Warn("the site still shows a change that was given up", "path", e.Path, "error", err)
	}
}

// superseded acknowledges a change that the site has, or a newer one: after the
// ledger has everything that was recorded before.
func (s *session) superseded(ctx context.Context, uid string, ack func()) error {
	if err := s.settle(ctx, uid, deadletter.Closing{As: deadletter.Superseded}); err != nil {
		return err
	}
	return s.records.Enqueue(ctx, nil, func(_ uint64, err error) {
		if err == nil {
			ack()
		}
	})
}

func (s *session) supersededAll(ctx context.Context, t *task) error {
	return s.superseded(ctx, t.uid(), func() {
		for _, ack := range t.acks {
			ack()
		}
	})
}

// replace forgets an object whose place another one takes, and that the log does not
// know any more: its log was made anew.
func (s *session) replace(ctx context.Context, uid string) error {
	old, ok := s.actual.Get(uid)
	if !ok {
		return nil
	}
	for child := range s.actual.Children(uid) {
		s.log.Debug("an object keeps its place below one that was replaced", "uid", child, "container", uid)
	}
	gone := *old
	gone.Kind = content.Removed
	m, err := ledger.Message(s.Site, &gone, s.Tombstones)
	if err != nil {
		return err
	}
	if err := s.records.Enqueue(ctx, m, s.recorded); err != nil {
		return err
	}
	s.recall(&gone)
	return nil
}

func (s *session) recorded(_ uint64, err error) {
	if err != nil {
		s.breakOff(err)
	}
}
