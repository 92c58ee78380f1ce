package relay

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
	"synchro.example/shared/tree"
)

// filter relays what meets the channel's expression. The channel's log is at each moment
// what the expression makes of the source's log: that is computed from the whole when the
// relay starts, so that a changed expression and a damaged log are the same thing, and
// kept up with each change afterwards.
type filter struct {
	*Relay
	options Options

	selection *selection
	failures  *failures
	// first says that the channel's log is being filled for the first time.
	first bool
}

// message is what the source's log has of an object.
type message struct {
	head envelope.Head
	in   relayed
}

// pass takes in messages of the source's log and publishes what follows from them.
func (f *filter) pass(ctx context.Context, batch []relayed, have map[string]stored) error {
	fresh := map[string]message{}
	for _, in := range batch {
		h, ok := f.accept(in, f.failures)
		if !ok {
			continue
		}
		if h.Version <= f.selection.versionOf(h.UID) {
			continue
		}
		fresh[h.UID] = message{h, in}
		if err := f.take(ctx, fresh[h.UID], have); err != nil {
			f.selection = nil // part of what follows from the message is missing in it
			return err
		}
	}
	return f.settle(ctx, f.selection.take(), fresh, have)
}

// take judges an object, and what lies below it when it has another path now.
func (f *filter) take(ctx context.Context, m message, have map[string]stored) error {
	if m.head.Kind == content.Removed {
		f.selection.remove(m.head.UID, m.head.Version, f.goesNoFurther(m.head))
		f.failures.forget(m.head.UID, deadletter.Superseded)
		return nil
	}
	if moved := f.judge(m, have); !moved {
		return nil
	}
	for _, uid := range f.selection.under(m.head.UID) {
		below, err := f.fetch(ctx, uid)
		if err != nil {
			return err
		}
		if below == nil || below.head.Version != f.selection.versionOf(uid) {
			continue // it is on its way, and judged when it is here
		}
		f.judge(*below, have)
	}
	return nil
}

// judge asks the expression about an object at the path that it has now.
func (f *filter) judge(m message, have map[string]stored) (moved bool) {
	place := tree.Place{Parent: m.head.ParentUID, Name: m.head.Name}
	v, path, err := f.ask(m, place)
	if err == nil {
		f.failures.mended(m.head.UID)
	} else {
		f.failures.tell(m, path, err)
		if old := have[m.head.UID]; old.in() && old.of != 0 {
			v = kept
		}
	}
	return f.selection.put(m.head.UID, place, &member{kind: m.head.Type, version: m.head.Version, verdict: v, back: f.isOfReceivers(m.head)})
}

func (f *filter) ask(m message, place tree.Place) (verdict, string, error) {
	path, known := f.selection.tree.PathIn(place)
	c, err := envelope.Decode(m.in.body)
	if err != nil {
		return no, path, err
	}
	if known {
		c.Object.Path = path
	}
	meets, err := f.options.Expression.Matches(c)
	if err != nil || !meets {
		return no, c.Object.Path, err
	}
	return yes, c.Object.Path, nil
}

// fetch reads the newest message of an object from the source's log, nil for none.
func (f *filter) fetch(ctx context.Context, uid string) (*message, error) {
	m, err := changelog.Newest(ctx, f.js, subject.ExportStream(f.from), subject.ExportToProcess(f.from, uid))
	if m == nil || err != nil {
		return nil, err
	}
	in := relayed{m.Subject, m.Header, m.Data}
	h, ok := f.accept(in, f.failures)
	if !ok {
		return nil, nil
	}
	return &message{h, in}, nil
}

// settleCount is how many changes are published at once.
const settleCount = 256

// settle makes the channel's log have some objects as it should: containers first, and
// what leaves last, from below.
func (f *filter) settle(ctx context.Context, uids []string, fresh map[string]message, have map[string]stored) error {
	f.tellHeld(uids)
	for chunk := range slices.Chunk(f.arranged(uids, have), settleCount) {
		var out []outgoing
		for _, uid := range chunk {
			o, err := f.outgoing(ctx, uid, fresh, have[uid])
			if err != nil {
				return err
			}
			if o != nil {
				out = append(out, *o)
			}
		}
		if err := f.publish(ctx, out, have); err != nil {
			return err
		}
	}
	return f.failures.flush(ctx)
}

// tellHeld says of objects whether a container holds them back.
func (f *filter) tellHeld(uids []string) {
	for _, uid := range uids {
		m, known := f.selection.tree.Get(uid)
		container, held := f.selection.heldBy(uid)
		if !known || !held || m.verdict != yes {
			f.failures.letGo(uid)
			continue
		}
		if container != "" {
			f.failures.hold(uid, f.path(uid), m.version, f.path(container))
		}
	}
}

// wanted tells what an object's shape should become; false when it is so already.
func (f *filter) wanted(uid string, old stored) (shape, bool) {
	in := old.in()
	m, known := f.selection.tree.Get(uid)
	place, _ := f.selection.tree.Place(uid)
	switch want := f.selection.shape(uid); {
	case known && m.back:
		return asItIs, false
	case want == full:
		return want, !in || old.of != m.version
	case want == bare:
		return want, !in || old.of != 0 || old.place != place || old.kind != m.kind
	case want == asItIs:
		return want, false
	}
	_, gone := f.selection.gone[uid]
	return absent, (in || f.isForeign(uid)) && (known || gone && !f.selection.stays[uid])
}

// isForeign tells whether the channel's log has something of an object that no relay has put
// there. It gives way, be it to a removal.
func (f *filter) isForeign(uid string) bool {
	return f.foreign[subject.ImportToProcess(f.channel, uid)] > 0
}

// arranged leaves out what is settled already, and puts the rest in order.
func (f *filter) arranged(uids []string, have map[string]stored) []string {
	type step struct {
		uid, path string
		leaves    bool
		depth     int
	}
	var steps []step
	for _, uid := range uids {
		want, needed := f.wanted(uid, have[uid])
		if !needed {
			continue
		}
		s := step{uid: uid, path: f.path(uid), leaves: want == absent}
		s.depth = strings.Count(s.path, "/")
		steps = append(steps, s)
	}
	slices.SortFunc(steps, func(a, b step) int {
		switch {
		case a.leaves != b.leaves && b.leaves:
			return -1
		case a.leaves != b.leaves:
			return 1
		case a.leaves:
			return cmp.Or(b.depth-a.depth, cmp.Compare(a.path, b.path), cmp.Compare(a.uid, b.uid))
		}
		return cmp.Or(a.depth-b.depth, cmp.Compare(a.path, b.path), cmp.Compare(a.uid, b.uid))
	})
	arranged := make([]string, len(steps))
	for i, s := range steps {
		arranged[i] = s.uid
	}
	return arranged
}

func (f *filter) path(uid string) string {
	path, _ := f.selection.tree.Path(uid)
	return path
}

// outgoing makes the message that gives an object its shape, nil when none is needed or
// none can be made yet.
func (f *filter) outgoing(ctx context.Context, uid string, fresh map[string]message, old stored) (*outgoing, error) {
	want, needed := f.wanted(uid, old)
	if !needed {
		return nil, nil
	}
	var o outgoing
	var err error
	switch want {
	case absent:
		o, err = f.remove(ctx, uid, fresh, old)
	case bare:
		m, _ := f.selection.tree.Get(uid)
		place, _ := f.selection.tree.Place(uid)
		o, err = f.bare(uid, f.path(uid), place, m, old)
	default:
		m, isFresh := fresh[uid]
		if !isFresh {
			newest, err := f.fetch(ctx, uid)
			if newest == nil || err != nil {
				return nil, err
			}
			m = *newest
		}
		switch {
		case m.head.Version != f.selection.versionOf(uid):
			return nil, nil // a newer one is on its way
		case isFresh || f.first:
			o, err = f.forward(m.head, m.in, old)
		default:
			o, err = f.again(m, old)
		}
	}
	if err != nil && fault.Of(err).Class == fault.Park {
		f.unreadable(subject.ExportStream(f.from), fmt.Errorf("%q: %w", f.path(uid), err))
		return nil, nil
	}
	return &o, err
}

// remove makes the removal of an object: that of the source, as it is, or one for what only
// has left the channel, or is in its log in a version of the relay's.
func (f *filter) remove(ctx context.Context, uid string, fresh map[string]message, old stored) (outgoing, error) {
	gone := f.selection.gone[uid]
	if m, known := f.selection.tree.Get(uid); known && !old.in() {
		old.place, _ = f.selection.tree.Place(uid)
		old.kind = m.kind
	}
	if gone <= old.version {
		return f.leave(uid, f.path(uid), gone, old)
	}
	m, isFresh := fresh[uid]
	if !isFresh {
		newest, err := f.fetch(ctx, uid)
		if err != nil {
			return outgoing{}, err
		}
		if newest == nil {
			return f.leave(uid, f.path(uid), gone, old)
		}
		m = *newest
	}
	if m.head.Version != gone {
		return f.leave(uid, f.path(uid), gone, old)
	}
	return f.forward(m.head, m.in, old)
}

// compare computes what the channel is to carry from the whole of the source's log, and
// mends what differs.
func (f *filter) compare(ctx context.Context, have map[string]stored, first bool) error {
	if f.selection == nil {
		if err := f.learn(ctx, have); err != nil {
			f.selection = nil
			return err
		}
	}
	f.selection.take()
	uids := f.selection.all()
	if err := f.guard(ctx, uids, have); err != nil {
		return err
	}
	f.first = first
	defer func() { f.first = false }()
	return f.settle(ctx, uids, nil, have)
}

// learn reads the source's log twice: where everything is, and then, with the right
// paths, what the expression says.
func (f *filter) learn(ctx context.Context, have map[string]stored) (err error) {
	f.selection = newSelection()
	f.selection.require = f.options.RequireParents
	if f.failures, err = openFailures(ctx, f.options); err != nil {
		return err
	}
	err = changelog.Scan(ctx, f.js, subject.ExportStream(f.from), changelog.Options{HeadersOnly: true}, func(m jetstream.Msg) error {
		h, err := envelope.ParseHead(m.Headers())
		switch {
		case err != nil || f.trust.CheckHead(m.Subject(), m.Headers()) != nil: // what comes next tells
		case h.Kind == content.Removed:
			f.selection.remove(h.UID, h.Version, f.goesNoFurther(h))
		default:
			f.selection.put(h.UID, tree.Place{Parent: h.ParentUID, Name: h.Name}, &member{kind: h.Type})
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = changelog.Scan(ctx, f.js, subject.ExportStream(f.from), changelog.Options{}, func(m jetstream.Msg) error {
		in := relayed{m.Subject(), m.Headers(), m.Data()}
		h, ok := f.accept(in, f.failures)
		switch known := f.selection.versionOf(h.UID); {
		case !ok || h.Kind != content.Removed && h.Version <= known:
			return nil
		case h.Version <= known:
			f.failures.forget(h.UID, deadletter.Superseded)
			return nil
		}
		return f.take(ctx, message{h, in}, have)
	})
	if err != nil {
		return err
	}
	if err := f.learnRest(ctx, have); err != nil {
		return err
	}
	f.failures.forgetGone(f.selection.versionOf)
	return nil
}

// learnRest looks up what was replaced in the log while it was read.
func (f *filter) learnRest(ctx context.Context, have map[string]stored) error {
	for _, uid := range f.selection.all() {
		if f.selection.versionOf(uid) > 0 {
			continue
		}
		m, err := f.fetch(ctx, uid)
		if err != nil {
			return err
		}
		if m == nil {
			f.selection.remove(uid, 0, false)
			continue
		}
		if err := f.take(ctx, *m, have); err != nil {
			return err
		}
	}
	return nil
}
