package importer

import (
	"context"
	"slices"

	"synchro.example/services/importer/schedule"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// asideName begins the name that an object has for a moment while a ring of moves
// is carried out one by one.
const asideName = ".synchro-aside-"

// task is one change on its way to the target.
type task struct {
	change  *content.Change
	channel string
	place   tree.Place
	acks    []func()
	// given is the change as plugins have made it for the target; nil where they did not.
	given *content.Change
	// raw is what was received where that is no change that can be read.
	raw []byte
	// again applies a change although the ledger has it: the site has something else.
	again bool
	// turns is how often it got another turn because something above it had moved.
	turns int
	// was is what the site is known to have of the object, and accepted what stands there, by
	// path, and is that or what is to come.
	was      content.Digest
	accepted map[string]string
	// fingerprint is that of the object on the site after it was applied.
	fingerprint string
	// aside marks a move out of the way; the ledger keeps the version it had.
	aside bool
	// skip marks that a rule keeps the object away; change is its removal then.
	skip bool
	// instead is the container made for a rule whose place, and content, the object takes.
	instead string
	// made is the container that takes the place of one which is removed, while it holds
	// what a rule has put there.
	made *content.Change
	// repeat marks a change that is in effect and is applied once more, because an object
	// that it refers to has come.
	repeat   bool
	attempts int
	locks    []string
	turn     *schedule.Task[*task]
	done     bool // it has taken effect; its turn ends when the ledger has that
}

func (t *task) uid() string { return t.change.Object.UID }

// admission is the taking in of one change with everything that must come first.
type admission struct {
	*session
	ctx     context.Context
	channel string
	under   map[string]*content.Change // that are being admitted, by uid
	again   string                     // the uid that is applied although the ledger has it
}

// admit queues a change, unless the site has it already. What it needs and the
// queue lacks is looked up in the log and queued before it: in a log that keeps
// only the newest state of each object, a container may stand behind its content.
func (s *session) admit(ctx context.Context, channel string, c *content.Change, ack func()) error {
	a := &admission{session: s, ctx: ctx, channel: channel, under: map[string]*content.Change{}}
	return a.take(c, ack)
}

func (a *admission) take(c *content.Change, ack func()) error {
	uid := c.Object.UID
	if c.Version <= a.versionOf(uid) && uid != a.again {
		if e, ok := a.actual.Get(uid); ok && len(e.Missing) > 0 && a.failed[uid] != nil && a.sameVersion(c, e.Version) && a.newest[uid] == nil {
			a.repeat(c, a.channel, []func(){ack})
			return nil
		}
		if err := a.loses(a.ctx, c, a.channel); err != nil {
			return err
		}
		return a.superseded(a.ctx, uid, ack)
	}
	if queued := a.newest[uid]; queued != nil && queued.change.Version >= c.Version {
		queued.acks = append(queued.acks, ack)
		return nil
	}
	a.under[uid] = c
	defer delete(a.under, uid)
	t := &task{change: c, channel: a.channel, place: placeOf(c), acks: []func(){ack}, again: uid == a.again}
	waitsFor, err := a.prepare(t)
	if waitsFor != "" && a.nests(t) {
		return a.keepOut(a.ctx, t)
	}
	switch f := fault.Of(err); {
	case err != nil && f.Class == fault.Park:
		return a.giveUp(a.ctx, t, f, "")
	case err != nil:
		return err
	case waitsFor != "":
		return a.hold(a.ctx, t, waitsFor)
	}
	if p, paused := a.told.Path(a.Site, a.pathOf(t)); paused {
		return a.giveUp(a.ctx, t, fault.Errorf(fault.Held, fault.Paused, "%v", p), "")
	}
	a.queue(t)
	return nil
}

// pathOf gives the path that a task is about, as the site will have it.
func (s *session) pathOf(t *task) string {
	if t.change.Kind == content.Removed {
		path, _ := s.plan.path(t.uid())
		return path
	}
	path, _ := s.plan.pathIn(t.place)
	return path
}

// prepare queues what must come before a task, and finds where its object goes. It names
// the object that the task has to wait for when that cannot be.
func (a *admission) prepare(t *task) (waitsFor string, err error) {
	c := t.change
	if err := a.refusal(c); err != nil {
		return "", err
	}
	if c.Kind == content.Removed {
		a.origin.Remove(c.Object.UID)
		return a.emptyFirst(c.Object.UID)
	}
	parent := c.Object.ParentUID
	if parent != "" && !a.plan.live(parent) && !a.skipped(parent) {
		if err := a.fetch(parent); err != nil {
			return "", err
		}
	}
	if !a.locates {
		if a.plan.inside(parent, c.Object.UID) { // both are about to change places
			if err := a.fetch(parent); err != nil {
				return "", err
			}
		}
		if parent != "" && !a.plan.live(parent) || a.plan.inside(parent, c.Object.UID) {
			return parent, nil
		}
		return "", a.freeFirst(t)
	}
	if waitsFor, err := a.locate(t); waitsFor != "" || err != nil {
		return waitsFor, err
	}
	if t.skip {
		return a.emptyFirst(c.Object.UID)
	}
	return "", a.freeFirst(t)
}

// fetch queues the newest change of an object if the log has one that is not queued.
func (a *admission) fetch(uid string) error {
	if a.under[uid] != nil {
		return nil
	}
	c, err := a.lookup(a.ctx, a.channel, uid)
	if c == nil || err != nil {
		return err
	}
	if _, failed := a.failed[uid]; failed && c.Version <= a.failed[uid].Version {
		return nil
	}
	return a.take(c, func() {})
}

// lookup reads the newest change of an object from the log. One that cannot be read
// counts as absent: its own delivery reports it.
func (s *session) lookup(ctx context.Context, channel, uid string) (*content.Change, error) {
	m, c, err := s.newestIn(ctx, channel, uid)
	if m != nil && err != nil {
		return nil, nil
	}
	return c, err
}

// emptyFirst queues what has left a container, or is gone, before the container goes.
// What failed to leave keeps it.
func (a *admission) emptyFirst(uid string) (waitsFor string, err error) {
	for _, child := range a.inside(uid) {
		if a.skipped(uid) {
			if err := a.lookAgain(child); err != nil {
				return "", err
			}
			continue
		}
		if err := a.fetch(child); err != nil {
			return "", err
		}
	}
	for _, child := range a.inside(uid) {
		if a.failed[child] != nil {
			return child, nil
		}
	}
	return "", nil
}

// inside gives what stands in a container and will still when all that is queued is done.
func (a *admission) inside(uid string) (children []string) {
	for child := range a.actual.Children(uid) {
		if place, ok := a.plan.place(child); ok && place.Parent == uid {
			children = append(children, child)
		}
	}
	slices.Sort(children)
	return children
}

// freeFirst makes the place of a task free: what stands there has newer state in the log,
// or the log does not know it any more and it is the same thing under an old uid.
func (a *admission) freeFirst(t *task) error {
	holder, taken := a.plan.holder(t.place)
	if !taken || holder == t.uid() {
		return nil
	}
	if isMade(holder) {
		if t.change.Object.Type != content.TypeFile || !a.willHold(holder) {
			t.instead = holder // else it could not hold what the container holds
		}
		return nil
	}
	if c := a.under[holder]; c != nil {
		a.stepAside(c)
		return nil
	}
	if a.onCircle() {
		return a.freeOnCircle(holder)
	}
	h, err := a.newestOf(holder)
	if err != nil {
		return err
	}
	if h == nil {
		return a.replace(a.ctx, holder)
	}
	if a.channelOf(holder) != a.channel {
		return nil // its own channel says when it goes
	}
	return a.take(h, func() {})
}

// newestOf reads the newest change of an object of the site from the log it came by.
func (a *admission) newestOf(uid string) (*content.Change, error) {
	channel := a.channelOf(uid)
	if !slices.Contains(a.Channels, channel) {
		return nil, nil
	}
	return a.lookup(a.ctx, channel, uid)
}

// channelOf tells by which channel an object came, or is coming.
func (s *session) channelOf(uid string) string {
	if t := s.newest[uid]; t != nil {
		return t.channel
	}
	if e, ok := s.actual.Get(uid); ok {
		return e.Channel
	}
	return ""
}

// stepAside breaks a ring: the object leaves its place for a name of its own at the
// root, until its own change, which is being admitted, takes it to where it belongs.
func (a *admission) stepAside(c *content.Change) {
	a.queue(&task{change: c, channel: a.channel, place: tree.Place{Name: asideName + c.Object.UID}, aside: true})
}

// queue gives a task to the scheduler, under the paths that it has in the plan.
func (s *session) queue(t *task) {
	uid := t.uid()
	if from, ok := s.plan.path(uid); ok {
		t.locks = append(t.locks, from)
	} else if before := s.newest[uid]; before != nil { // it will be gone when that is done, and is not yet
		t.locks = append(t.locks, before.locks...)
	}
	removed := t.change.Kind == content.Removed
	s.plan.set(uid, t.place, removed)
	if to, ok := s.plan.pathIn(t.place); ok && !removed {
		t.locks = append(t.locks, to)
	}
	if !t.aside {
		s.newest[uid] = t
	}
	t.turn = s.tasks.Add(t, t.locks...)
}

func (s *session) versionOf(uid string) version.Version {
	if e, ok := s.actual.Get(uid); ok {
		return e.Version
	}
	return s.tombstones[uid]
}
