package sender

import (
	"cmp"
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/services/bridge/queue"
	"synchro.example/shared/changelog"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// failures keeps, in the ERROR stream, the files that are refused, each under its name, and
// the objects of which a receiver lacks bytes that cannot be sent again, each under its uid.
type failures struct {
	*Sender
	publisher *publish.Publisher
	store     *deadletter.Store
	entries   map[string]*deadletter.Entry // that are open
	requests  jetstream.Consumer
}

// openFailures reads what failed before.
func (s *Sender) openFailures(ctx context.Context) (*failures, error) {
	f := &failures{Sender: s, publisher: publish.New(s.NC, s.JS, publish.Options{}), store: deadletter.New(s.JS), entries: map[string]*deadletter.Entry{}}
	open, err := f.store.OfExport(ctx, s.Site)
	if err != nil {
		return nil, err
	}
	for i := range open {
		f.entries[open[i].UID] = &open[i]
	}
	f.requests, err = changelog.Own(ctx, s.JS, subject.ReplayStream, jetstream.ConsumerConfig{
		Durable: subject.SourceConsumer(s.Site), FilterSubject: subject.ExportReplayAll(s.Site), AckPolicy: jetstream.AckExplicitPolicy,
	})
	return f, err
}

// tell keeps a failure. One that is told again and again is news now and then only.
func (f *failures) tell(ctx context.Context, uid, path string, v version.Version, cause *fault.Error) error {
	now := time.Now().UTC()
	e := &deadletter.Entry{
		Stage: deadletter.Export, Site: f.Site, UID: uid, Path: cmp.Or(path, uid), Version: v, Code: cause.Code, Class: cause.Class,
		Reason: cause.Error(), Attempts: 1, First: now, Last: now, Host: f.Host, Software: f.Software,
	}
	old := f.entries[uid]
	f.entries[uid] = e
	if old != nil {
		e.First, e.Attempts = old.First, old.Attempts+1
		if old.Reason == e.Reason && e.Attempts&(e.Attempts-1) != 0 {
			return nil
		}
	}
	return f.keep(ctx, e)
}

func (f *failures) close(ctx context.Context, uid string, c deadletter.Closing) error {
	e := f.entries[uid]
	if e == nil {
		return nil
	}
	if err := f.keep(ctx, e.Close(c)); err != nil {
		return err
	}
	delete(f.entries, uid)
	return nil
}

func (f *failures) keep(ctx context.Context, e *deadletter.Entry) error {
	m, err := deadletter.Message(e, nil)
	if err == nil {
		_, err = f.publisher.Publish(ctx, []*nats.Msg{m})
	}
	return err
}

// codes counts what fails by its code.
func (f *failures) codes() map[string]int {
	counts := map[string]int{}
	for _, e := range f.entries {
		counts[string(e.Code)]++
	}
	return counts
}

// account settles what is not so any more: a file that was sent after all, or that
// somebody has taken away, and an object that has a newer state. Files in EXPORT/ERROR of
// which nothing is known, because the broker has lost it, are told again.
func (w *work) account(ctx context.Context) error {
	found, err := w.queue.List(queue.Export, queue.Failed)
	if err != nil {
		return fault.OfSite(fault.Retry, fault.SourceMissing, err)
	}
	refused := map[string]bool{}
	for _, name := range found.Names {
		refused[name.String()] = true
		if w.failures.entries[name.String()] == nil {
			if err := w.failures.tell(ctx, name.String(), "", 0, w.explained(name)); err != nil {
				return err
			}
		}
	}
	for uid, e := range w.failures.entries {
		if refused[uid] {
			continue
		}
		outcome, err := w.outcome(e)
		if err != nil {
			return err
		}
		if outcome == "" {
			continue
		}
		if name, err := queue.ParseName(uid); err == nil {
			if err := w.forget(name); err != nil {
				return err
			}
		}
		if err := w.failures.close(ctx, uid, deadletter.Closing{As: outcome}); err != nil {
			return err
		}
	}
	return nil
}

// outcome tells how a failure was settled, if it was.
func (w *work) outcome(e *deadletter.Entry) (deadletter.Outcome, error) {
	if _, err := queue.ParseName(e.UID); err != nil { // it is about an object
		if k, live := w.inv.tree.Get(e.UID); live && k.version == e.Version {
			return "", nil
		}
		return deadletter.Superseded, nil
	}
	state, there, err := w.queue.Where(queue.Export, e.UID)
	switch {
	case err != nil:
		return "", fault.OfSite(fault.Retry, fault.SourceMissing, err)
	case !there:
		return deadletter.Superseded, nil
	case state == queue.Done:
		return deadletter.Applied, nil
	}
	return "", nil
}
