package importer

import (
	"context"
	"strings"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// A rule gives an object a path of its own. Everything else here works with places in
// containers, so the path becomes one: in the object's own container where that stands
// there, so that it goes on to move with it, else in whatever stands there, else in a
// container that is made for it. What no rule is about stands in its container, wherever
// that is, and is skipped with it.

// located is what a session knows for the rules of its site.
type located struct {
	// locates says that there are rules, or were some when the ledger was written.
	locates bool
	// origin is where the sources have what the site was given, also what it skips.
	origin *tree.Tree[*origin]
	// doubtful are objects whose place is to be found again, in this order.
	doubtful []string
	queued   map[string]bool // they are in doubtful
	clock    *version.Clock  // of the containers that are made
}

// origin is an object as its source has it.
type origin struct {
	channel, source, kind string
	version               version.Version
	skipped               bool
	rules                 string // by which it got its place
}

func newLocated() located {
	return located{origin: tree.New[*origin](), queued: map[string]bool{}, clock: version.NewClock(0, nil)}
}

// recallOrigin takes in what the ledger says of the source.
func (s *session) recallOrigin(e *ledger.Entry) {
	s.locates = s.locates || !s.Rules.Empty() || e.Rules != ""
	if e.Made || !e.Live() && !e.Skipped {
		return
	}
	p := tree.Place{Parent: e.Parent, Name: e.Name}
	if e.Origin != nil {
		p = tree.Place{Parent: e.Origin.Parent, Name: e.Origin.Name}
	}
	s.origin.Put(e.UID, p, &origin{e.Channel, e.Source, e.Type, e.Version, e.Skipped, e.Rules})
}

// locatedBefore finds what other rules than those of today have placed.
func (s *session) locatedBefore() {
	s.locates = s.locates || !s.Rules.Empty()
	if !s.locates {
		s.origin = tree.New[*origin]()
		return
	}
	for _, uid := range below(s.origin, "") {
		if o, _ := s.origin.Get(uid); o.rules != s.Rules.Mark() {
			s.doubt(uid)
		}
	}
}

// below gives all that stands below a container, each container before what it holds.
func below[V any](t *tree.Tree[V], uid string) []string {
	var all []string
	seen := map[string]bool{uid: true}
	for next := []string{uid}; len(next) > 0; next = next[1:] {
		for child := range t.Children(next[0]) {
			if !seen[child] {
				seen[child] = true
				all, next = append(all, child), append(next, child)
			}
		}
	}
	return all
}

func (s *session) doubt(uids ...string) {
	for _, uid := range uids {
		if !s.queued[uid] {
			s.queued[uid] = true
			s.doubtful = append(s.doubtful, uid)
		}
	}
}

func (s *session) skipped(uid string) bool {
	o, ok := s.origin.Get(uid)
	return ok && o.skipped
}

// locate asks the rules where the object of a task goes. It names the container that has
// to be known before.
func (a *admission) locate(t *task) (waitsFor string, err error) {
	c, natural := t.change, placeOf(t.change)
	uid, parent := c.Object.UID, c.Object.ParentUID
	if _, known := a.origin.Get(parent); parent != "" && !known || a.failed[parent] != nil && !a.plan.live(parent) && !a.skipped(parent) {
		return parent, nil
	}
	before, known := a.origin.Place(uid)
	was := a.skipped(uid)
	o := &origin{t.channel, c.Source, c.Object.Type, c.Version, was, a.Rules.Mark()}
	a.origin.Put(uid, natural, o)
	path, _ := a.origin.Path(uid)
	to, err := a.placed(a.ctx, t.channel, c, path)
	if err != nil {
		return "", err
	}
	o.skipped = to.Skip || !to.Matched && a.skipped(parent)
	if known && (before != natural || was != o.skipped) {
		a.doubt(below(a.origin, uid)...)
	}
	switch {
	case o.skipped:
		t.skip, t.change = true, removalOf(c)
	case to.Matched:
		t.place, err = a.placeAt(t, to.Path)
	case parent != "" && !a.plan.live(parent):
		return parent, nil
	}
	return "", err
}

// removalOf is what a skipped change does to the site.
func removalOf(c *content.Change) *content.Change {
	gone := *c
	gone.Kind, gone.Payloads = content.Removed, nil
	return &gone
}

// placeAt gives the place of a path, and queues the containers that it lacks.
func (a *admission) placeAt(t *task, path string) (place tree.Place, err error) {
	names := strings.Split(path, "/")
	last := len(names) - 1
	for i, name := range names[:last] {
		here := tree.Place{Parent: place.Parent, Name: name}
		holder, taken := a.plan.holder(here)
		if holder == t.uid() {
			return place, fault.Errorf(fault.Park, fault.Invalid, "a rule of locate puts %q into itself, at %q", t.change.Object.Path, path)
		}
		if !taken {
			holder = a.makeContainer(t, here, strings.Join(names[:i+1], "/"))
		}
		place.Parent = holder
	}
	place.Name = names[last]
	return place, nil
}

// How many places are found again in one go, and for how long: the loop has other work.
const (
	placedAtOnce = 2048
	placedFor    = 200 * time.Millisecond
)

// placeAgain finds places again that may have changed, a portion at a time.
func (s *session) placeAgain(ctx context.Context) error {
	start := time.Now()
	for range min(len(s.doubtful), placedAtOnce) {
		if time.Since(start) > placedFor || s.paused.on || s.tasks.Open() >= s.Window {
			return nil
		}
		uid := s.doubtful[0]
		s.doubtful = s.doubtful[1:]
		delete(s.queued, uid)
		o, known := s.origin.Get(uid)
		if !known {
			continue
		}
		if s.newest[uid] != nil {
			s.doubt(uid)
			continue
		}
		a := &admission{session: s, ctx: ctx, channel: o.channel, under: map[string]*content.Change{}}
		if err := a.lookAgain(uid); err != nil {
			return err
		}
	}
	return nil
}

// lookAgain moves an object of the site to where the rules want it now.
func (a *admission) lookAgain(uid string) error {
	o, known := a.origin.Get(uid)
	if !known || a.newest[uid] != nil || a.failed[uid] != nil {
		return nil // what is on its way, or tried again, is placed then
	}
	c, err := a.shallow(uid, o)
	if c == nil || err != nil {
		return err
	}
	t := &task{change: c, channel: o.channel, place: placeOf(c), repeat: true}
	waitsFor, err := a.locate(t)
	if err != nil {
		if f := fault.Of(err); f.Class == fault.Park {
			return a.giveUp(a.ctx, t, f, "")
		}
		return err
	}
	if waitsFor != "" {
		return nil
	}
	if now, live := a.actual.Place(uid); live && now == t.place && !t.skip || !live && t.skip {
		return a.keepPlace(a.ctx, uid, o.rules)
	}
	if t.skip {
		if waitsFor, err = a.emptyFirst(uid); waitsFor != "" || err != nil {
			return err
		}
	} else {
		if t.change, err = a.newestIn(o, uid); t.change == nil || err != nil {
			return err
		}
		if err := a.freeFirst(t); err != nil {
			return err
		}
	}
	a.queue(t)
	return nil
}

// shallow gives as much of the change that is in effect as the rules read; nil when it is
// not to be had any more, or a newer one is on its way.
func (a *admission) shallow(uid string, o *origin) (*content.Change, error) {
	if a.Rules.Deep() {
		return a.newestIn(o, uid)
	}
	p, _ := a.origin.Place(uid)
	path, _ := a.origin.Path(uid)
	return &content.Change{
		Source: o.source, Kind: content.Modified, Version: o.version,
		Object: content.Object{UID: uid, ParentUID: p.Parent, Name: p.Name, Path: path, Type: o.kind},
	}, nil
}

func (a *admission) newestIn(o *origin, uid string) (*content.Change, error) {
	c, err := a.lookup(a.ctx, o.channel, uid)
	if c == nil || err != nil || !a.sameVersion(c, o.version) {
		return nil, err
	}
	return c, nil
}

// keepPlace notes in the ledger that the rules of today want an object where it is.
func (s *session) keepPlace(ctx context.Context, uid, rules string) error {
	e, live := s.actual.Get(uid)
	if rules == s.Rules.Mark() || !live {
		return nil // what is skipped is asked again with each start, which costs little
	}
	now := *e
	now.Rules = s.Rules.Mark()
	if p, ok := s.origin.Place(uid); ok {
		now.Origin = originOf(p, &now)
	}
	return s.write(ctx, &now)
}

func originOf(source tree.Place, e *ledger.Entry) *ledger.Origin {
	if source == (tree.Place{Parent: e.Parent, Name: e.Name}) {
		return nil
	}
	return &ledger.Origin{Parent: source.Parent, Name: source.Name}
}

// note writes into an entry what the rules said.
func (s *session) note(e *ledger.Entry, t *task) {
	if e.Made = isMade(e.UID); e.Made || !s.locates {
		return
	}
	e.Skipped = t.skip
	if e.Live() {
		e.Origin = originOf(placeOf(t.change), e)
	}
	if e.Live() || e.Skipped {
		e.Rules = s.Rules.Mark()
	}
}

// collision is the failure of an object at whose place another one stands to stay.
func (s *session) collision(t *task, to, holder string) *fault.Error {
	h, ok := s.actual.Get(holder)
	if !ok || h.Source == t.change.Source && h.Origin == nil && t.place == placeOf(t.change) {
		return nil // the source will say where one of them goes
	}
	if isMade(holder) {
		return fault.Errorf(fault.Park, fault.PathTaken, "%q of %s belongs at %q, where a container stands that other objects need", t.change.Object.Path, t.change.Source, to)
	}
	from, _ := s.origin.Path(holder)
	if from == "" {
		from = to
	}
	return fault.Errorf(fault.Park, fault.PathTaken, "%q of %s belongs at %q, where %q of %s stands", t.change.Object.Path, t.change.Source, to, from, h.Source)
}
