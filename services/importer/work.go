package importer

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/subject"
)

// maxTurns bounds how often a task gets another turn: what moves above it comes to rest.
const maxTurns = 100

// result is what became of one operation.
type result struct {
	task *task
	op   content.Op
	err  error
	had  content.Digest // of the bytes that the site has, zero where they do not count
	hand *ledger.Hand   // what is written down before, nil where nothing will stand
	// whole is the change with what plugins have made of it, nil where none is asked.
	whole *content.Change
}

// dispatch gives the target what may run now. A target that takes many operations
// in a call gets the next call when it is done with the last, or when a full one
// is ready.
func (s *session) dispatch(ctx context.Context) error {
	for s.mayCall() {
		batch, err := s.gather(ctx, s.callSize())
		if err != nil {
			return err
		}
		if len(batch) > 0 {
			s.call(ctx, batch)
		}
	}
	return nil
}

func (s *session) mayCall() bool {
	if _, paused := s.told.Site(s.Site); paused {
		return false
	}
	ready := len(s.due) + s.tasks.Ready()
	if ready == 0 || s.paused.on && (!s.paused.probe || s.running > 0) {
		return false
	}
	if len(s.calls) == 0 {
		return false
	}
	return s.running == 0 || s.running < aheadPer*s.Workers && ready >= s.target.Batch()
}

func (s *session) callSize() int {
	if s.paused.on {
		s.paused.probe = false
		return 1
	}
	return s.target.Batch()
}

func (s *session) gather(ctx context.Context, most int) ([]result, error) {
	var batch []result
	for len(batch) < most {
		t := s.next()
		if t == nil {
			break
		}
		op, run, err := s.prepare(ctx, t)
		if err != nil {
			return nil, err
		}
		if run {
			batch = append(batch, result{task: t, op: op, had: s.bytesOf(t)})
		}
	}
	return batch, nil
}

func (s *session) next() *task {
	if len(s.due) > 0 {
		t := s.due[0]
		s.due = s.due[1:]
		return t
	}
	if turn := s.tasks.Next(); turn != nil {
		return turn.Value
	}
	return nil
}

// prepare makes the operation of a task from what the site has now. It is false
// when the task is settled without the target: done already, waiting, or moved to
// another turn because something above it did not go as planned.
func (s *session) prepare(ctx context.Context, t *task) (content.Op, bool, error) {
	uid := t.uid()
	if v := s.versionOf(uid); (t.change.Version < v || t.change.Version == v && !t.repeat) && !t.again {
		return content.Op{}, false, s.leave(ctx, t, func() error {
			return errors.Join(s.loses(ctx, t.change, t.channel), s.supersededAll(ctx, t))
		})
	}
	from, _ := s.actual.Path(uid)
	if t.change.Kind == content.Removed {
		if from == "" {
			err := s.conclude(ctx, []result{{task: t}})
			s.endTurn(t) // nothing was done, so that nobody has to wait for the ledger
			return content.Op{}, false, err
		}
		if child, ok := s.keptBy(uid); ok {
			return content.Op{}, false, s.leave(ctx, t, func() error { return s.hold(ctx, t, child) })
		}
		if child, ok := s.anyIn(uid); ok && s.onCircle() {
			return content.Op{}, false, s.leave(ctx, t, func() error { return s.keepFilled(ctx, t, child) })
		}
		if s.holdsOthers(uid) {
			return s.demotion(t, from), true, nil
		}
		return s.operation(t, from, ""), true, nil
	}
	to, ok := s.actual.PathIn(t.place)
	if !ok {
		return content.Op{}, false, s.leave(ctx, t, func() error { return s.hold(ctx, t, t.place.Parent) })
	}
	holder, taken := s.actual.At(t.place)
	switch contest := s.contest(t, holder, from); {
	case !taken || holder == uid, contest == wins:
	case contest == loses:
		return content.Op{}, false, s.leave(ctx, t, func() error { return s.hold(ctx, t, holder) })
	case holder == t.instead && from == "" && s.covered(t, from, to):
		return s.operation(t, to, to), true, nil
	default:
		if f := s.collision(t, to, holder); f != nil {
			return content.Op{}, false, s.leave(ctx, t, func() error { return s.giveUp(ctx, t, f, holder) })
		}
		return content.Op{}, false, s.leave(ctx, t, func() error { return s.hold(ctx, t, holder) })
	}
	if s.nests(t) {
		return content.Op{}, false, s.leave(ctx, t, func() error { return s.keepOut(ctx, t) })
	}
	if from != "" && strings.HasPrefix(to, from+"/") || t.turns > maxTurns { // into itself, as things stand
		return content.Op{}, false, s.leave(ctx, t, func() error { return s.hold(ctx, t, t.place.Parent) })
	}
	if !s.covered(t, from, to) {
		s.anotherTurn(t, from, to)
		return content.Op{}, false, nil
	}
	if from == "" && t.instead != "" {
		from = to
	}
	return s.operation(t, from, to), true, nil
}

// bytesOf gives the digest of the bytes that the site has of an object, as far as they are
// not to be written again.
func (s *session) bytesOf(t *task) (digest content.Digest) {
	if old, had := s.actual.Get(t.uid()); had && !t.again {
		digest = old.Bytes
	}
	return digest
}

// keptBy names an object that could not leave a container.
func (s *session) keptBy(uid string) (child string, ok bool) {
	for _, child := range slices.Sorted(s.actual.Children(uid)) {
		if s.failed[child] != nil {
			return child, true
		}
	}
	return "", false
}

// anyIn names one of what a container holds.
func (s *session) anyIn(uid string) (child string, ok bool) {
	for child := range s.actual.Children(uid) {
		return child, true
	}
	return "", false
}

// covered tells whether a task's turn is about the paths that it works on.
func (s *session) covered(t *task, from, to string) bool {
	return slices.Contains(t.locks, to) && (from == "" || slices.Contains(t.locks, from))
}

// anotherTurn queues a task again, under the paths that it works on as things are. Where a
// newer change of the object is queued, the task must not come after that and gives way to it.
func (s *session) anotherTurn(t *task, from, to string) {
	if newest := s.newest[t.uid()]; newest != nil && newest != t && !t.aside {
		newest.acks = append(newest.acks, t.acks...)
		s.finish(t)
		return
	}
	s.endTurn(t)
	t.turns++
	t.locks = []string{to}
	if from != "" {
		t.locks = append(t.locks, from)
	}
	if planned, ok := s.plan.pathIn(t.place); ok {
		t.locks = append(t.locks, planned)
	}
	t.turn = s.tasks.Add(t, t.locks...)
}

// leave ends a task's turn and settles it otherwise.
func (s *session) leave(_ context.Context, t *task, otherwise func() error) error {
	s.finish(t)
	return otherwise()
}

func (s *session) operation(t *task, from, to string) content.Op {
	old, had := s.actual.Get(t.uid())
	note := &content.Note{}
	if had {
		note.State, note.Missing = old.Note, old.Missing
	}
	return content.Op{
		Change: t.change, From: from, To: to,
		SameBytes: had && old.Bytes == ledger.BytesDigest(t.change) && !t.again, Note: note, Repair: t.again,
		Found:   s.found(t, from, to),
		Applied: func(fingerprint string) { t.fingerprint = fingerprint },
		Open: func(ctx context.Context, p *content.Payload) (io.ReadCloser, error) {
			return s.blobs.Open(ctx, p)
		},
	}
}

// call lets the target work, and tells live listeners that it does.
func (s *session) call(ctx context.Context, batch []result) {
	s.running++
	s.gate.shut.Store(false)
	alone := s.running == 1
	number := <-s.calls
	for i := range batch {
		batch[i].hand = s.inHand(&batch[i])
		_ = s.NC.Publish(subject.ImportProcessing(s.Site, batch[i].task.uid()), nil)
	}
	go func() {
		s.before(ctx, batch)
		err := s.announce(ctx, number, handsOf(batch), alone)
		if err != nil {
			s.breakOff(err) // nothing more can be written down in this session
		} else {
			err = s.atTarget(ctx, batch)
		}
		for i := range batch {
			batch[i].err = errors.Join(batch[i].err, err)
		}
		s.results <- finished{number, batch}
	}()
}

// atTarget makes a call when a worker is free for it.
func (s *session) atTarget(ctx context.Context, batch []result) error {
	if err := s.gate.enter(ctx); err != nil {
		return err
	}
	defer s.gate.leave()
	s.apply(ctx, batch)
	if slices.ContainsFunc(batch, func(r result) bool { return r.err != nil && fault.Of(r.err).WholeSite }) {
		s.gate.shut.Store(true) // before the next one is there
	}
	return nil
}

// apply lets the target carry out the ops that nothing speaks against.
func (s *session) apply(ctx context.Context, batch []result) {
	var ops []content.Op
	var of []*result
	for i := range batch {
		if batch[i].err == nil {
			ops, of = append(ops, batch[i].op), append(of, &batch[i])
		}
	}
	if len(ops) == 0 {
		return
	}
	for i, err := range s.target.Apply(s.lease.Context(ctx), ops) {
		of[i].err = err
		s.lookAtEdited(ctx, of[i])
	}
	s.after(ctx, batch)
}

// conclude records what became of operations.
func (s *session) conclude(ctx context.Context, batch []result) error {
	for _, r := range batch {
		var err error
		if r.err == nil {
			err = s.succeed(ctx, r)
		} else {
			err = s.fail(ctx, r, fault.Of(r.err))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *session) fail(ctx context.Context, r result, f *fault.Error) error {
	t := r.task
	switch {
	case ctx.Err() != nil, errors.Is(r.err, errShut):
		s.due = append(s.due, t)
		return nil
	case f.Class == fault.Stop:
		return f
	case f.WholeSite:
		s.pause(f)
		s.due = append(s.due, t)
		return nil
	}
	s.resume() // it is this object only
	t.attempts++
	if f.Class == fault.Retry && t.attempts < s.Attempts {
		s.later(ctx, t)
		return nil
	}
	if err := s.strayed(ctx, r, f); err != nil {
		return err
	}
	s.finish(t)
	return s.giveUp(ctx, t, f, "")
}

// later tries a task again after a while. It keeps its turn: what it is ordered
// before waits.
func (s *session) later(ctx context.Context, t *task) {
	delay := newBackoff()
	wait := delay.NextBackOff()
	for range t.attempts - 1 {
		wait = delay.NextBackOff()
	}
	s.asleep++
	time.AfterFunc(wait, func() {
		select {
		case s.again <- t:
		case <-ctx.Done():
		}
	})
}

// pause stops giving work to a site that takes none, but for a probe now and then.
func (s *session) pause(f *fault.Error) {
	if !s.paused.on {
		s.paused.on, s.paused.since = true, time.Now()
		s.log.Warn("the site takes no changes at the moment; it is tried again by itself", "code", f.Code, "error", f, "advice", fault.Advice(f.Code))
	}
	s.gate.shut.Store(true)
	s.paused.reason = f
	s.paused.probe = false
	s.paused.wake.Reset(s.paused.retry.NextBackOff())
}

func (s *session) resume() {
	if s.paused.on {
		s.log.Info("the site takes changes again", "after", time.Since(s.paused.since).Round(time.Millisecond))
	}
	s.paused.on, s.paused.reason = false, nil
	s.paused.retry.Reset()
	s.paused.wake.Stop()
}
