package importer

import (
	"context"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
)

// succeed writes the ledger, and acknowledges when the ledger has it.
func (s *session) succeed(ctx context.Context, r result) error {
	s.resume()
	t := r.task
	e := s.entry(t)
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
	s.recall(e)
	s.finish(t)
	if t.aside {
		return nil
	}
	s.landed(r.op.To, t.change)
	return s.release(ctx, t.uid())
}

func (s *session) entry(t *task) *ledger.Entry {
	c := t.change
	e := &ledger.Entry{
		UID: c.Object.UID, Parent: t.place.Parent, Name: t.place.Name, Type: c.Object.Type, Kind: c.Kind,
		Version: c.Version, Channel: t.channel, Source: c.Source, Change: c.ID,
		Digest: c.Digest, Bytes: ledger.BytesDigest(c), At: time.Now().UTC(),
	}
	if t.aside {
		e.Version = s.versionOf(e.UID)
	}
	return e
}

// finish ends a task's turn and takes it out of the plan.
func (s *session) finish(t *task) {
	uid := t.uid()
	if s.newest[uid] == t {
		delete(s.newest, uid)
		s.plan.clear(uid)
	} else if s.newest[uid] == nil {
		s.plan.clear(uid)
	}
	if t.turn != nil {
		s.tasks.Done(t.turn)
		t.turn = nil
	}
}

// release forgets the failure of an object that has succeeded, and admits what
// waited for it.
func (s *session) release(ctx context.Context, uid string) error {
	if s.failed[uid] != nil {
		if err := s.dead.ClearImport(ctx, s.Site, uid); err != nil {
			return err
		}
		delete(s.failed, uid)
	}
	freed := s.waiting[uid]
	delete(s.waiting, uid)
	for w, channel := range freed {
		c, err := s.lookup(ctx, channel, w)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		if err := s.admit(ctx, channel, c, func() {}); err != nil {
			return err
		}
	}
	return nil
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
	if err := s.dead.PutImport(ctx, e); err != nil {
		return err
	}
	s.recallFailure(e)
	if f.Class != fault.Held {
		s.log.Error("a change cannot be applied and is set aside", "path", e.Path, "code", e.Code, "attempts", e.Attempts, "error", f, "advice", fault.Advice(f.Code))
	}
	for _, ack := range t.acks {
		ack()
	}
	return nil
}

func (s *session) failure(t *task, f *fault.Error, waitsFor string) *deadletter.Entry {
	now := time.Now().UTC()
	e := &deadletter.Entry{
		Site: s.Site, Channel: t.channel, UID: t.uid(), Path: t.change.Object.Path, Version: t.change.Version,
		Code: f.Code, Class: f.Class, Reason: f.Error(), Attempts: t.attempts, First: now, Last: now,
		Host: s.Host, Software: s.Software, WaitsFor: waitsFor,
	}
	if path, ok := s.actual.PathIn(t.place); ok {
		e.Path = path
	}
	if old := s.failed[e.UID]; old != nil {
		e.First = old.First
		e.Attempts += old.Attempts
		delete(s.waiting[old.WaitsFor], e.UID)
	}
	return e
}

// superseded acknowledges a change that the site has, or a newer one: after the
// ledger has everything that was recorded before.
func (s *session) superseded(ctx context.Context, uid string, ack func()) error {
	if e := s.failed[uid]; e != nil {
		if err := s.dead.ClearImport(ctx, s.Site, uid); err != nil {
			return err
		}
		delete(s.failed, uid)
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
