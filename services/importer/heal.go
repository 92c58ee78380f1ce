package importer

import (
	"context"
	"slices"

	"synchro.example/shared/content"
	"synchro.example/shared/ledger"
	"synchro.example/shared/version"
)

// lacking knows which objects of the site refer to objects that it has not. When those
// come, the change that is in effect is applied once more.
type lacking struct {
	by    map[string]map[string]bool // UID that is missing to the UIDs that refer to it
	count map[string]int             // UID to how many it lacks
	ready map[string]bool            // UIDs that lack something which has come
}

func newLacking() lacking {
	return lacking{by: map[string]map[string]bool{}, count: map[string]int{}, ready: map[string]bool{}}
}

// set takes in what an object lacks now, instead of what it lacked before.
func (l *lacking) set(uid string, old, missing []string) {
	for _, m := range old {
		delete(l.by[m], uid)
		if len(l.by[m]) == 0 {
			delete(l.by, m)
		}
	}
	delete(l.count, uid)
	delete(l.ready, uid)
	for _, m := range missing {
		if l.by[m] == nil {
			l.by[m] = map[string]bool{}
		}
		if !l.by[m][uid] {
			l.by[m][uid] = true
			l.count[uid]++
		}
	}
}

// come gives the objects that lack nothing any more now that one is there.
func (l *lacking) come(uid string) (whole []string) {
	for w := range l.by[uid] {
		l.ready[w] = true
		if l.count[w]--; l.count[w] == 0 {
			whole = append(whole, w)
		}
	}
	delete(l.by, uid)
	slices.Sort(whole)
	return whole
}

// lack takes in what the ledger says that an object refers to in vain.
func (s *session) lack(e *ledger.Entry) {
	var old []string
	if was, ok := s.actual.Get(e.UID); ok {
		old = was.Missing
	}
	if !e.Live() {
		s.lacking.set(e.UID, old, nil)
		return
	}
	s.lacking.set(e.UID, old, e.Missing)
}

// lackedBefore finds what has come since the ledger was written.
func (s *session) lackedBefore() {
	for uid := range s.lacking.by {
		if _, live := s.actual.Get(uid); live {
			s.lacking.come(uid)
		}
	}
}

// arrived applies once more what lacked nothing but this object. What lacks others as
// well waits until nothing else is to be done.
func (s *session) arrived(ctx context.Context, uid string) error {
	for _, w := range s.lacking.come(uid) {
		if err := s.heal(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// healRest applies once more what lacks less than it did, when nothing else is to be done.
func (s *session) healRest(ctx context.Context) error {
	if s.paused.on || s.tasks.Open() > 0 || len(s.inbox) > 0 {
		return nil
	}
	for uid := range s.lacking.ready {
		if s.tasks.Open() >= s.Window {
			return nil
		}
		if err := s.heal(ctx, uid); err != nil {
			return err
		}
	}
	return nil
}

// heal queues the change of an object that is in effect. A newer one comes by itself.
func (s *session) heal(ctx context.Context, uid string) error {
	delete(s.lacking.ready, uid)
	e, live := s.actual.Get(uid)
	if !live || s.newest[uid] != nil {
		return nil
	}
	c, err := s.lookup(ctx, e.Channel, uid)
	if err != nil || c == nil || !s.sameVersion(c, e.Version) {
		return err
	}
	s.repeat(c, e.Channel, nil)
	return nil
}

func (s *session) sameVersion(c *content.Change, v version.Version) bool {
	return c.Kind == content.Modified && c.Version == v
}

// repeat queues a change that is in effect.
func (s *session) repeat(c *content.Change, channel string, acks []func()) {
	place, live := s.actual.Place(c.Object.UID)
	if !live {
		place = placeOf(c)
	}
	s.queue(&task{change: c, channel: channel, place: place, acks: acks, repeat: true})
}
