package exporter

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
	"synchro.example/shared/subject"
)

// requestWait is how long Settle waits for requests to be taken.
const requestWait = 5 * time.Second

// problem is why an object is not in the log as it is on the site.
type problem struct {
	uid, path string
	fault     *fault.Error
}

// failures keeps the objects that cannot be exported in the ERROR stream. Each cycle
// tells all that there are, so that what is not told any more has succeeded.
type failures struct {
	*Exporter
	publisher *publish.Publisher
	entries   map[string]*deadletter.Entry // by uid, open
	discarded map[string]*deadletter.Entry // by uid, given up by somebody
	requests  jetstream.Consumer
}

func newFailures(e *Exporter) *failures {
	return &failures{Exporter: e, publisher: publish.New(e.NC, e.JS, publish.Options{})}
}

// open reads what failed before, and listens for requests until stop is called.
func (f *failures) open(ctx context.Context) (stop func(), err error) {
	store := deadletter.New(f.JS)
	open, err := store.OfExport(ctx, f.Site)
	if err != nil {
		return nil, err
	}
	closed, err := store.Closed(ctx)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries, f.discarded = map[string]*deadletter.Entry{}, map[string]*deadletter.Entry{}
	for i := range open {
		f.entries[open[i].UID] = &open[i]
	}
	for i, e := range closed {
		if e.Stage == deadletter.Export && e.Site == f.Site && e.Closed.As == deadletter.Discarded {
			f.discarded[e.UID] = &closed[i]
		}
	}
	return f.listen(ctx)
}

// listen takes requests to read objects again, or to give them up.
func (f *failures) listen(ctx context.Context) (stop func(), err error) {
	c, err := changelog.Own(ctx, f.JS, subject.ReplayStream, jetstream.ConsumerConfig{
		Durable: subject.SourceConsumer(f.Site), FilterSubject: subject.ExportReplayAll(f.Site),
		AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		return nil, err
	}
	f.requests = c
	running, err := c.Consume(func(m jetstream.Msg) {
		if err := f.request(ctx, m.Data()); err != nil {
			f.log.Warn("a request could not be carried out, it comes again", "error", err)
			return
		}
		_ = m.Ack() // if that is lost it comes again
	})
	if err != nil {
		return nil, changelog.Classify(err)
	}
	return func() {
		running.Stop()
		<-running.Closed()
	}, nil
}

// taken waits, for a while, until what was asked before has been taken.
func (f *failures) taken(ctx context.Context) error {
	for end := time.Now().Add(requestWait); time.Now().Before(end) && ctx.Err() == nil; wait(ctx, 10*time.Millisecond) {
		info, err := f.requests.Info(ctx)
		if err != nil {
			return changelog.Classify(err)
		}
		if info.NumPending == 0 && info.NumAckPending == 0 {
			return nil
		}
	}
	return ctx.Err()
}

// request has an object's bytes sent again, or gives it up. Otherwise it is enough to look
// at everything, which a cycle does anyway.
func (f *failures) request(ctx context.Context, body []byte) error {
	r, err := deadletter.ParseRequest(body)
	if err != nil {
		f.log.Error("a replay cannot be read and is dropped", "error", err)
		return nil
	}
	defer f.hint()
	if r.Upload {
		f.readAgain(r.UID)
		return nil
	}
	if !r.Discard {
		return nil
	}
	if r.Channel != "" {
		return f.discardOnTheWay(ctx, r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[r.UID]
	if e == nil {
		return nil
	}
	closed := e.Close(deadletter.Closing{As: deadletter.Discarded, By: r.By, Why: r.Why})
	if err := f.keep(ctx, closed); err != nil {
		return err
	}
	delete(f.entries, r.UID)
	f.discarded[r.UID] = closed
	return nil
}

// discardOnTheWay gives up what failed on the way into a channel.
func (f *failures) discardOnTheWay(ctx context.Context, r deadletter.Request) error {
	e, err := deadletter.New(f.JS).GiveUp(ctx, f.Site, r)
	if e == nil || err != nil {
		return err
	}
	return f.keep(ctx, e)
}

// account compares what fails now with what failed before.
func (f *failures) account(ctx context.Context, problems []problem) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var changed []*deadletter.Entry
	now := map[string]bool{}
	for _, p := range problems {
		now[p.uid] = true
		if e := f.judge(p); e != nil {
			changed = append(changed, e)
		}
	}
	for uid, e := range f.entries {
		if !now[uid] {
			changed = append(changed, e.Close(deadletter.Closing{As: deadletter.Applied}))
			delete(f.entries, uid)
		}
	}
	return f.keep(ctx, changed...)
}

// codes counts what fails by its code.
func (f *failures) codes() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[string]int{}
	for _, e := range f.entries {
		counts[string(e.Code)]++
	}
	return counts
}

// isNew tells whether a problem has not been told yet.
func (f *failures) isNew(p problem) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[p.uid]
	return e == nil || e.Code != p.fault.Code
}

// judge gives the entry of a problem if it says something new.
func (f *failures) judge(p problem) *deadletter.Entry {
	if d := f.discarded[p.uid]; d != nil && d.Code == p.fault.Code {
		return nil
	}
	now := time.Now().UTC()
	e := &deadletter.Entry{
		Stage: deadletter.Export, Site: f.Site, UID: p.uid, Path: p.path,
		Code: p.fault.Code, Class: p.fault.Class, Reason: p.fault.Error(), Attempts: 1, First: now, Last: now,
		Host: f.Host, Software: f.Software,
	}
	old := f.entries[p.uid]
	f.entries[p.uid] = e
	if old == nil {
		return e
	}
	e.First, e.Attempts = old.First, old.Attempts+1
	if old.Code == e.Code && old.Reason == e.Reason && e.Attempts&(e.Attempts-1) != 0 {
		return nil // each cycle tries again; powers of two are news enough
	}
	return e
}

func (f *failures) keep(ctx context.Context, entries ...*deadletter.Entry) error {
	var msgs []*nats.Msg
	for _, e := range entries {
		m, err := deadletter.Message(e, nil)
		if err != nil {
			return err
		}
		msgs = append(msgs, m)
	}
	_, err := f.publisher.Publish(ctx, msgs)
	return err
}

// problemOf tells whether a fault is worth telling: what only changed or went away while
// it was read is looked at again by itself.
func problemOf(uid, path string, f *fault.Error) (problem, bool) {
	if f == nil || f.Code == fault.Unsettled || f.Code == fault.Vanished {
		return problem{}, false
	}
	return problem{uid, path, f}, true
}
