package importer

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/ledger"
	"synchro.example/shared/tree"
)

// Containers that a rule's path needs and that no source has are made, named after
// their path. An object that belongs there takes the place of one, with all that it
// holds; when such an object goes, a made one takes its place. A made one that holds
// nothing goes.

const madePrefix = "locate:"

func isMade(uid string) bool { return strings.HasPrefix(uid, madePrefix) }

// makeContainer queues a container for what a task puts below it.
func (a *admission) makeContainer(t *task, place tree.Place, path string) (uid string) {
	c := a.container(path, place, a.kindFor(t), t.change.Source)
	a.queue(&task{change: c, channel: t.channel, place: place})
	return c.Object.UID
}

// kindFor is the type of a container for an object: that of its own.
func (a *admission) kindFor(t *task) string {
	if o, ok := a.origin.Get(t.change.Object.ParentUID); ok {
		return o.kind
	}
	return content.TypeFolder
}

func (s *session) container(path string, place tree.Place, kind, source string) *content.Change {
	uid := madePrefix + path
	v := max(s.clock.Next(), s.versionOf(uid)+1)
	if t := s.newest[uid]; t != nil {
		v = max(v, t.change.Version+1)
	}
	return &content.Change{
		ID: uuid.NewString(), Source: source, Kind: content.Modified, Version: v, CapturedAt: time.Now().UTC(), Digest: content.DigestOf(nil),
		Object: content.Object{UID: uid, ParentUID: place.Parent, Name: place.Name, Path: path, Type: kind},
	}
}

// holdsOthers tells whether something stands in a container that is not the container's
// own: a rule has put it there.
func (s *session) holdsOthers(uid string) bool {
	if !s.locates || isMade(uid) {
		return false
	}
	for child := range s.actual.Children(uid) {
		if e, _ := s.actual.Get(child); e != nil && (e.Origin != nil || e.Made) {
			return true
		}
	}
	return false
}

// demotion makes a container that is removed a made one, which has nothing of it but its
// name and what stands in it.
func (s *session) demotion(t *task, path string) content.Op {
	old, _ := s.actual.Get(t.uid())
	place, _ := s.actual.Place(t.uid())
	t.made = s.container(path, place, old.Type, old.Source)
	op := s.operation(t, path, path)
	op.Change = t.made
	return op
}

// inherited gives what stood in a container to the one that has taken its place.
func (s *session) inherited(ctx context.Context, t *task) error {
	switch {
	case t.made != nil:
		e := s.entry(&task{change: t.made, channel: t.channel, place: placeOf(t.made), fingerprint: t.fingerprint}, nil)
		if err := s.write(ctx, e); err != nil {
			return err
		}
		return s.inherit(ctx, t.uid(), e.UID)
	case t.instead != "":
		old, ok := s.actual.Get(t.instead)
		if !ok || !s.has(t.uid()) {
			return nil
		}
		gone := *old
		gone.Kind, gone.Version = content.Removed, old.Version+1
		if s.onCircle() {
			gone.Own, gone.Channel, gone.Source, gone.MadeAt = false, t.channel, s.Site, ""
			if err := s.displaced(ctx, t, old); err != nil {
				return err
			}
		}
		if err := s.inherit(ctx, t.instead, t.uid()); err != nil {
			return err
		}
		if err := s.write(ctx, &gone); err != nil {
			return err
		}
		return s.releaseWaiting(ctx, t.instead)
	}
	return nil
}

func (s *session) has(uid string) bool {
	_, ok := s.actual.Get(uid)
	return ok
}

func (s *session) inherit(ctx context.Context, from, to string) error {
	var moved []string
	for child := range s.actual.Children(from) {
		moved = append(moved, child)
	}
	for _, child := range moved {
		e, _ := s.actual.Get(child)
		now := *e
		now.Parent = to
		if p, ok := s.origin.Place(child); ok {
			now.Origin = originOf(p, &now)
		}
		if now.Own { // the exporter will say the same
			s.recall(&now)
			continue
		}
		if err := s.write(ctx, &now); err != nil {
			return err
		}
	}
	return nil
}

// write records an entry that needs nothing done on the site.
func (s *session) write(ctx context.Context, e *ledger.Entry) error {
	m, err := ledger.Message(s.Site, e, s.Tombstones)
	if err != nil {
		return err
	}
	s.recall(e)
	return s.records.Enqueue(ctx, m, s.recorded)
}

// vacated looks after what an object has left: a made container that holds nothing goes,
// and what a rule had put below the object is put back to where it belongs.
func (s *session) vacated(ctx context.Context, t *task, left tree.Place) error {
	now, live := s.actual.Place(t.uid())
	if live && now == left {
		return nil
	}
	if live {
		for _, uid := range below(s.actual, t.uid()) {
			if e, _ := s.actual.Get(uid); e.Origin != nil {
				s.doubt(uid)
			}
		}
	}
	return s.clearAway(left.Parent)
}

// clearAway queues the removal of a made container that holds nothing and will not.
func (s *session) clearAway(uid string) error {
	e, live := s.actual.Get(uid)
	if !isMade(uid) || !live || s.newest[uid] != nil || !s.actual.Empty(uid) || s.willHold(uid) {
		return nil
	}
	place, _ := s.actual.Place(uid)
	path, _ := s.actual.Path(uid)
	c := s.container(path, place, e.Type, e.Source)
	c.Kind, c.Object.UID = content.Removed, uid
	s.queue(&task{change: c, channel: e.Channel, place: place})
	return nil
}

// willHold tells whether something stands in a container when all that is queued is done.
func (s *session) willHold(uid string) bool {
	for _, o := range s.plan.over {
		if !o.removed && o.place.Parent == uid {
			return true
		}
	}
	for child := range s.actual.Children(uid) {
		if place, ok := s.plan.place(child); ok && place.Parent == uid {
			return true
		}
	}
	return false
}

// retryMade gives up the failure of a made container: what needs it makes it again.
func (s *session) retryMade(ctx context.Context, uid string, ack func()) error {
	if err := s.settle(ctx, uid, deadletter.Closing{As: deadletter.Superseded}); err != nil {
		return err
	}
	ack()
	return s.release(ctx, uid)
}
