package importer

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/tree"
)

// A crash between an effect and the ledger leaves something on the site of which no line
// knows. Mostly the change comes again and finds it done. But when the object has newer state
// by then, is gone or elsewhere, nobody would find what was made. So each call of the target is
// written down before it is made, one message for all its operations.

const (
	// callsPer is how many calls for each worker may be written down: a number is free again
	// only when the ledger has what became of its call.
	callsPer = 4
	// handWait is how long what is in hand may wait for that of other calls, if there are any.
	handWait = 2 * time.Millisecond
)

// finished is a call of the target that has ended.
type finished struct {
	call  int
	batch []result
}

// finished records what became of a call.
func (s *session) finished(ctx context.Context, f finished) error {
	if err := s.conclude(ctx, f.batch); err != nil {
		return err
	}
	err := s.records.Then(ctx, func(err error) {
		if err == nil {
			s.kept <- f
		}
	})
	if err == nil && s.starves() {
		err = s.records.Hurry(ctx)
	}
	return err
}

// starves tells whether everything that is left waits for the ledger to have what was done.
func (s *session) starves() bool {
	return s.running == 0 && len(s.due)+s.tasks.Ready() == 0 && s.tasks.Open() > 0
}

// settled gives back the number of a call when the ledger has what became of it, and lets
// those go on that are ordered behind its changes. None of them begins earlier: so no two
// changes that concern one another are ever in hand together, and what is found after a
// crash has one explanation.
func (s *session) settled(ctx context.Context, f finished) {
	if slices.ContainsFunc(f.batch, func(r result) bool { return r.err != nil }) {
		s.letGoOf(ctx, f.call)
	} else {
		s.calls <- f.call
	}
	for _, r := range f.batch {
		if r.task.done {
			s.endTurn(r.task)
		}
	}
}

// inHand gives what an op is about to do, as far as something will stand somewhere then; on
// a circle all of it, for the exporter to know.
func (s *session) inHand(r *result) *ledger.Hand {
	if r.op.To == "" && !s.onCircle() {
		return nil
	}
	return &ledger.Hand{Entry: *s.entry(r.task, nil), Path: r.op.To, Content: content.NamelessDigest(r.op.Change.Payloads)}
}

func handsOf(batch []result) (hands []ledger.Hand) {
	for _, r := range batch {
		if r.err == nil && r.hand != nil {
			hands = append(hands, *r.hand)
		}
	}
	return hands
}

// announce writes down what a call has in hand, at once where no other is under way.
func (s *session) announce(ctx context.Context, call int, hands []ledger.Hand, alone bool) error {
	if len(hands) == 0 {
		return nil
	}
	m, err := ledger.HandMessage(s.Site, call, hands)
	if err != nil {
		return err
	}
	stored := make(chan error, 1)
	if err := s.hands.Enqueue(ctx, m, func(_ uint64, err error) { stored <- err }); err != nil {
		return err
	}
	if alone {
		return s.hands.Flush(ctx)
	}
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takeUp finds what took effect before a crash and writes the lines that are missing.
func (s *session) takeUp(ctx context.Context) error {
	if s.Inspect == nil {
		return nil
	}
	calls, err := ledger.Hands(ctx, s.JS, s.Site)
	if err != nil {
		return err
	}
	var hands []ledger.Hand
	for _, call := range calls {
		hands = append(hands, call...)
	}
	hands = slices.DeleteFunc(hands, func(h ledger.Hand) bool { return h.Path == "" || !s.isNews(&h) })
	if err := s.takeUpAll(ctx, hands); err != nil {
		return err
	}
	return s.emptyHands(ctx, calls)
}

// letGoOf notes that what a call had in hand is not under way any more, and gives its number
// back. What became of it is in the ledger by now, as far as anything did.
func (s *session) letGoOf(ctx context.Context, call int) {
	m, err := ledger.HandMessage(s.Site, call, nil)
	if err == nil {
		err = s.hands.Enqueue(ctx, m, func(_ uint64, err error) {
			if err == nil {
				s.calls <- call
			}
		})
	}
	if err != nil {
		s.breakOff(err)
	}
}

// emptyHands says that nothing is in hand: what was before a crash has been looked at.
func (s *session) emptyHands(ctx context.Context, hands map[int][]ledger.Hand) error {
	if len(hands) == 0 {
		return nil
	}
	if err := s.records.Flush(ctx); err != nil {
		return err
	}
	for call := range hands {
		m, err := ledger.HandMessage(s.Site, call, nil)
		if err != nil {
			return err
		}
		if err := s.hands.Enqueue(ctx, m, s.recorded); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) takeUpAll(ctx context.Context, hands []ledger.Hand) error {
	if len(hands) == 0 {
		return nil
	}
	site, err := s.Inspect()
	if err != nil {
		return err
	}
	defer func() { _ = site.Close() }()
	slices.SortFunc(hands, func(a, b ledger.Hand) int { // containers first, then as they were made
		return cmp.Or(cmp.Compare(strings.Count(a.Path, "/"), strings.Count(b.Path, "/")), cmp.Compare(a.Entry.Version, b.Entry.Version))
	})
	for i := range hands {
		if err := s.takeUpOne(ctx, site, &hands[i]); err != nil {
			return err
		}
	}
	return s.records.Flush(ctx) // before anything else is written down in the place of a hand
}

// isNews tells whether a hand says something that the ledger does not.
func (s *session) isNews(h *ledger.Hand) bool {
	known := s.versionOf(h.Entry.UID)
	at, live := s.actual.Place(h.Entry.UID)
	return h.Entry.Version > known || live && h.Entry.Version == known && at != placeIn(&h.Entry)
}

func placeIn(e *ledger.Entry) tree.Place { return tree.Place{Parent: e.Parent, Name: e.Name} }

// takeUpOne writes a line if the site has what it says, at the place that it says.
func (s *session) takeUpOne(ctx context.Context, site content.Source, h *ledger.Hand) error {
	e := &h.Entry
	if path, ok := s.actual.PathIn(placeIn(e)); !ok || path != h.Path || !s.isNews(h) {
		return nil
	}
	if holder, taken := s.actual.At(placeIn(e)); taken && holder != e.UID {
		return nil
	}
	there, whole, err := stands(ctx, site, h)
	if err != nil || !there {
		return err
	}
	if !whole || s.Plugins.Hear(e.Type) {
		e.Version-- // so that its change, which comes again, finishes it
	}
	s.log.Info("a change took effect before a crash, the ledger is told", "path", h.Path)
	return s.takeOver(ctx, e)
}

// strayed looks whether an object that is given up stands where it was to go all the same: a
// disk may refuse only when it is to keep what was done. The next change of it must find it.
func (s *session) strayed(ctx context.Context, r result, f *fault.Error) error {
	if f.Class != fault.Retry || s.Inspect == nil || r.op.To == "" || r.op.To == r.op.From {
		return nil
	}
	site, err := s.Inspect()
	if err != nil {
		s.log.Debug("nobody can look where an object stands that is given up", "path", r.op.To, "error", err)
		return nil
	}
	defer func() { _ = site.Close() }()
	h := s.inHand(&r)
	if there, _, err := stands(ctx, site, h); err != nil || !there || !s.isNews(h) {
		return err
	}
	h.Entry.Version-- // its change is not in effect
	s.log.Warn("an object is given up that stands where it was to go", "path", h.Path)
	return s.takeOver(ctx, &h.Entry)
}

// takeOver writes a line about something that nobody had written down.
func (s *session) takeOver(ctx context.Context, e *ledger.Entry) error {
	m, err := ledger.Message(s.Site, e, s.Tombstones)
	if err != nil {
		return err
	}
	s.recall(e)
	if s.locates {
		s.recallOrigin(e)
	}
	return s.records.Enqueue(ctx, m, s.recorded)
}

// stands tells whether an object is there as a hand says, and whether it is wholly. A
// container may be there and not have its state yet; nothing else may.
func stands(ctx context.Context, site content.Source, h *ledger.Hand) (there, whole bool, err error) {
	item := content.Item{UID: h.Entry.UID, Path: h.Path, Type: h.Entry.Type}
	payloads, err := reconcile.Payloads(ctx, site, item)
	if err != nil {
		return false, false, ctx.Err()
	}
	whole = content.NamelessDigest(payloads) == h.Content
	isFolder := len(payloads) == 1 && payloads[0].Plugin == content.PluginContent
	return whole || h.Entry.Type == content.TypeFolder && isFolder, whole, nil
}
