package importer

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/services/importer/schedule"
	"synchro.example/shared/content"
	"synchro.example/shared/control"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/publish"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/status"
	"synchro.example/shared/subject"
	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// Times of a session.
const (
	askEvery    = 50 * time.Millisecond // how often Settle asks whether anything is left
	reportEvery = 250 * time.Millisecond
	flushWait   = 10 * time.Second
	pauseLimit  = time.Minute // how long Settle waits for a site that takes nothing

	// handoverWait is how long Settle waits for who takes what was handed over.
	handoverWait = 3 * time.Second
)

// session is an importer from reading its ledger to the first error of the broker.
// Its state belongs to one goroutine, the loop; workers talk to it by channels.
type session struct {
	*Importer
	target     content.Target
	actual     *tree.Tree[*ledger.Entry]
	tombstones map[string]version.Version
	discarded  map[string]version.Version // of objects that the site never had
	plan       *plan
	tasks      *schedule.Scheduler[*task]
	newest     map[string]*task // by uid, the newest that is queued
	lacking    lacking
	located
	ofCircle
	failed  map[string]*deadletter.Entry
	codes   map[fault.Code]int           // how many of them have which code
	waiting map[string]map[string]string // uid to the uids that wait for it, and their channels

	inbox   chan delivery
	results chan finished
	kept    chan finished // that the ledger has
	again   chan *task
	broken  chan error // from consumers and the ledger
	due     []*task    // to be tried again now
	asleep  int        // tasks that wait for a later attempt
	running int        // calls of the target, of which some wait at the gate
	gate    *gate
	calls   chan int // numbers that no call of the target has at the moment
	paused  pause
	told    *control.State // what people have told, and when that changes
	news    <-chan struct{}

	records   *publish.Collector // ledger entries
	failures  *publish.Collector // ERROR entries
	hands     *publish.Collector // what is in hand
	compared  bool               // with the logs, once
	drift     int                // objects that somebody else has changed on the site
	orders    chan string        // to compare now
	asked     chan func() error  // what is to be done in the loop for others
	nextTry   time.Time          // when a failure is to be tried again, at the earliest
	consumers []jetstream.Consumer

	waitsSince time.Time // when nothing but what was handed over was left
	reconnects uint64    // of the connection, before the session began
}

// pause is the state of a site that takes nothing at the moment.
type pause struct {
	on     bool
	since  time.Time
	reason error
	retry  *backoff.ExponentialBackOff
	wake   *time.Timer
	probe  bool // one task may be tried
}

func (i *Importer) session(soft, hard context.Context, target content.Target, upstream <-chan struct{}) error {
	ctx, cancel := context.WithCancel(hard)
	defer cancel()
	s, err := i.open(ctx, target)
	if err != nil {
		return err
	}
	stop, err := s.listen(ctx)
	if err == nil {
		defer reconcile.Listen(s.NC, status.Importer, s.Site, s.order)()
		var beside sync.WaitGroup
		beside.Go(func() { s.reconcile(ctx) })
		beside.Go(func() { s.watchLine(ctx) })
		err = s.loop(soft, ctx, upstream)
		stop()
		cancel()
		beside.Wait()
	}
	for ; s.running > 0; s.running-- {
		<-s.results
	}
	closing, end := context.WithTimeout(context.WithoutCancel(hard), 10*time.Second)
	defer end()
	return errors.Join(err, s.records.Close(closing), s.failures.Close(closing), s.hands.Close(closing))
}

// listen takes in what comes for the site, until stop is called. Whoever is about to hand
// something over then does not wait for a loop that has ended.
func (s *session) listen(ctx context.Context) (stop func(), err error) {
	ctx, leave := context.WithCancel(ctx)
	subscribed, err := s.subscribe(ctx)
	if err != nil {
		leave()
		return nil, err
	}
	followed, err := s.followOwn(ctx)
	if err != nil {
		followed = func() {}
	}
	stop = func() {
		leave()
		subscribed()
		followed()
	}
	if err != nil {
		stop()
	}
	return stop, err
}

// newSession makes a session that knows nothing yet.
func newSession(i *Importer) *session {
	s := &session{
		Importer: i, actual: tree.New[*ledger.Entry](), tombstones: map[string]version.Version{}, discarded: map[string]version.Version{},
		tasks: schedule.New[*task](), lacking: newLacking(), newest: map[string]*task{}, failed: map[string]*deadletter.Entry{}, codes: map[fault.Code]int{},
		waiting: map[string]map[string]string{}, inbox: make(chan delivery, i.Window),
		calls: make(chan int, callsPer*i.Workers), results: make(chan finished, i.Workers), kept: make(chan finished, callsPer*i.Workers), gate: newGate(i.Workers), again: make(chan *task), broken: make(chan error, 1),
		paused: pause{retry: newBackoff(), wake: time.NewTimer(time.Hour)},
		asked:  make(chan func() error), orders: make(chan string, 1), reconnects: i.NC.Stats().Reconnects,
	}
	for call := range cap(s.calls) {
		s.calls <- call
	}
	s.ofCircle = newOfCircle()
	s.plan, s.located = newPlan(s.actual), newLocated()
	s.told, s.news = i.Control.State()
	return s
}

// open gives a session that knows what the site has, and can write down what comes.
func (i *Importer) open(ctx context.Context, target content.Target) (*session, error) {
	var s *session
	err := i.doctor.Reading(ctx, subject.LedgerStream(i.Site), func() error {
		s = newSession(i)
		return s.read(ctx, ledger.LoadWhole)
	})
	if err != nil {
		return nil, err
	}
	s.target = target
	s.records = publish.NewCollector(i.publisher, publish.CollectorOptions{})
	s.failures = publish.NewCollector(i.failures, publish.CollectorOptions{})
	s.hands = publish.NewCollector(i.hands, publish.CollectorOptions{MaxWait: handWait})
	return s, s.takeUp(ctx)
}

// loading is a way to read a ledger.
type loading func(ctx context.Context, js jetstream.JetStream, site string, each func(*ledger.Entry), bad func(subject string, err error)) error

// read takes in the ledger and the failures.
func (s *session) read(ctx context.Context, load loading) error {
	err := load(ctx, s.JS, s.Site, func(e *ledger.Entry) { s.recall(e); s.recallOrigin(e) }, func(subj string, err error) {
		s.log.Error("an entry of the ledger cannot be read, its object is applied again", "subject", subj, "error", err)
	})
	if err != nil {
		return err
	}
	if err := s.readOwn(ctx); err != nil {
		return err
	}
	s.lackedBefore()
	s.locatedBefore()
	entries, err := s.dead.OfImport(ctx, s.Site)
	for _, e := range entries {
		s.recallFailure(&e)
	}
	return err
}

func (s *session) recall(e *ledger.Entry) {
	if s.onCircle() && !e.Own {
		s.received[e.UID] = e.Version
	}
	s.lack(e)
	if e.Live() {
		delete(s.tombstones, e.UID)
		delete(s.discarded, e.UID)
		s.actual.Put(e.UID, tree.Place{Parent: e.Parent, Name: e.Name}, e)
		return
	}
	s.actual.Remove(e.UID)
	s.tombstones[e.UID] = e.Version
	if delete(s.discarded, e.UID); e.Discarded != 0 {
		s.discarded[e.UID] = e.Discarded
	}
}

func (s *session) recallFailure(e *deadletter.Entry) {
	s.forgetFailure(e.UID)
	s.failed[e.UID] = e
	s.codes[e.Code]++
	if !e.Next.IsZero() && (s.nextTry.IsZero() || e.Next.Before(s.nextTry)) {
		s.nextTry = e.Next
	}
	if e.WaitsFor != "" {
		s.wait(e.WaitsFor, e.UID, e.Channel)
	}
}

// forgetFailure takes a failure out of what is known.
func (s *session) forgetFailure(uid string) {
	e := s.failed[uid]
	if e == nil {
		return
	}
	delete(s.failed, uid)
	delete(s.waiting[e.WaitsFor], uid)
	if s.codes[e.Code]--; s.codes[e.Code] == 0 {
		delete(s.codes, e.Code)
	}
}

func (s *session) wait(on, uid, channel string) {
	if s.waiting[on] == nil {
		s.waiting[on] = map[string]string{}
	}
	s.waiting[on][uid] = channel
}

func (s *session) say() {
	r := status.Report{State: status.Running, Pending: s.tasks.Open() + len(s.inbox), Done: s.done.Load(), Drift: s.drift, Failed: map[string]int{}}
	for code, n := range s.codes {
		r.Failed[string(code)] = n
	}
	for _, t := range s.newest {
		if at := t.change.CapturedAt; r.Oldest.IsZero() || at.Before(r.Oldest) {
			r.Oldest = at
		}
	}
	if s.paused.on {
		r.State, r.Reason = status.Paused, s.paused.reason.Error()
	}
	if p, paused := s.told.Site(s.Site); paused {
		r.State, r.Reason = status.Paused, p.String()
	}
	s.report.Store(&r)
}

// hear takes in what people say, and takes up what they let go on.
func (s *session) hear(ctx context.Context) error {
	s.told, s.news = s.Control.State()
	if _, paused := s.told.Site(s.Site); paused {
		s.gate.shut.Store(true)
	}
	for uid, e := range maps.Clone(s.failed) {
		if e.Code != fault.Paused {
			continue
		}
		if _, still := s.told.Path(s.Site, e.Path); still {
			continue
		}
		if err := s.retry(ctx, e.Channel, uid, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// order has everything compared now, unless that is about to happen.
func (s *session) order(what string) {
	select {
	case s.orders <- what:
	default:
	}
}

// breakOff ends the session with an error from another goroutine.
func (s *session) breakOff(err error) {
	select {
	case s.broken <- err:
	default:
	}
}

// landed tells whoever wants to know.
func (s *session) landed(path string, c *content.Change) {
	s.done.Add(1)
	if s.Landed != nil {
		s.Landed(path, c)
	}
}
