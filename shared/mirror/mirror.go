// Package mirror shows the state of a site as the folders of a classic queue, for people
// and scripts that look at folders. A site that content comes from has the side EXPORT, one
// that receives has IMPORT; each has TO_PROCESS, PROCESSING, DONE and ERROR, and a small file
// of JSON in them for each change.
//
// It is a view and nothing else: everything in it comes from the logs, the ledger and the
// failures, so that it can be deleted at any time and comes back, and nothing is ever read
// from it. It works beside the services and asks nothing of them; where it cannot be
// written it says so, and tries again.
package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/status"
)

// Side is one of the two ends that a site can be.
type Side string

// The sides. Each has folders of its own, and is kept by whoever runs the service of that
// end.
const (
	Export Side = "EXPORT"
	Import Side = "IMPORT"
)

// Role is that of a side's mirror in package status.
func (s Side) Role() string {
	if s == Export {
		return status.MirrorExport
	}
	return status.MirrorImport
}

// Times of a mirror.
const (
	// shortest is the least time between two comparisons of the folders with the state, and
	// longest the most while there is something to do.
	shortest = 250 * time.Millisecond
	longest  = 5 * time.Second
	// budget is for how long files are written in one comparison; the rest follows in the
	// next. With share, the part of the time that all may take, the services have the rest.
	budget = 100 * time.Millisecond
	share  = 10
	// lookEvery is when the folders are looked at although nothing has come: somebody may
	// have removed files.
	lookEvery = 5 * time.Second
	// farewell is how long a mirror that is told to end may take. A disk that hangs must
	// not keep the process.
	farewell = 2 * time.Second
)

// Options are what a mirror needs. Reconcile may be left out.
type Options struct {
	Site string
	Side Side
	// Path is the folder that has EXPORT and IMPORT. The folder above it must exist.
	Path string
	// Channels are those that take from the site, or bring to it.
	Channels []string
	NC       *nats.Conn
	JS       jetstream.JetStream
	Log      *slog.Logger
	// Reconcile is how often everything is read anew, 15 minutes when zero.
	Reconcile time.Duration
}

// Mirror keeps the folders of one side of a site.
type Mirror struct {
	Options
	log     *slog.Logger
	report  atomic.Pointer[status.Report]
	done    atomic.Int64
	streams map[string]jetstream.Stream // that are read, in one session
	// changed has a word when something has come.
	changed chan struct{}
}

// New makes a mirror and touches nothing.
func New(o Options) *Mirror {
	o.Reconcile = cmp.Or(o.Reconcile, 15*time.Minute)
	m := &Mirror{Options: o, log: o.Log.With("service", "mirror", "site", o.Site, "side", string(o.Side)), changed: make(chan struct{}, 1)}
	m.tell(status.Report{State: status.Starting})
	return m
}

// Run keeps the folders true until soft ends. It never fails: what cannot be written is
// told and tried again.
func (m *Mirror) Run(soft, _ context.Context) error {
	stop, err := status.Serve(m.NC, m.Side.Role(), m.Site, func() status.Report { return *m.report.Load() })
	if err != nil {
		m.log.Warn("nobody can ask for the state of the mirror", "error", err)
		stop = func() {}
	}
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.sessions(soft)
	}()
	<-soft.Done()
	select {
	case <-ended:
	case <-time.After(farewell):
		m.log.Warn("the mirror's folder does not answer, it is left as it is", "path", m.Path)
	}
	return nil
}

func (m *Mirror) sessions(ctx context.Context) {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = 200*time.Millisecond, 30*time.Second
	for ctx.Err() == nil {
		err := m.session(ctx, retry.Reset)
		if err == nil || ctx.Err() != nil {
			continue
		}
		state := status.Paused
		if errors.Is(err, errTaken) {
			state = status.StandBy
		} else if r := m.report.Load(); r.Reason != err.Error() {
			m.log.Warn("the mirror cannot be kept for a while, and is tried again", "path", m.Path, "error", err)
		}
		m.tell(status.Report{State: state, Reason: err.Error()})
		wait(ctx, retry.NextBackOff())
	}
}

// session reads everything and keeps the folders until it is time to read it anew.
func (m *Mirror) session(ctx context.Context, progress func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t, v, err := m.open(ctx, cancel)
	if err != nil {
		return err
	}
	defer t.close()
	for end := time.After(m.Reconcile); ; {
		start := time.Now()
		left, err := m.compare(ctx, t, v, budget)
		if err != nil {
			return errors.Join(err, brokenBy(ctx))
		}
		progress()
		m.tell(status.Report{State: status.Running, Pending: left})
		if left > 0 {
			m.news()
		}
		pause := min(max(shortest, share*time.Since(start)), longest)
		wait(ctx, pause)
		select {
		case <-ctx.Done():
			return brokenBy(ctx)
		case <-end:
			return nil
		case <-m.changed:
		case <-time.After(max(0, lookEvery-pause)):
		}
	}
}

// brokenBy gives the reason for which a session had to end, nil when it was told to.
func brokenBy(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Settle brings the folders to the state of now.
func (m *Mirror) Settle(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t, v, err := m.open(ctx, cancel)
	if err != nil {
		return err
	}
	defer t.close()
	_, err = m.compare(ctx, t, v, time.Hour)
	return err
}

// view is the state of a side as far as it has been read, which goes on meanwhile.
type view interface {
	// read reads everything and follows what comes until ctx ends, or calls broken.
	read(ctx context.Context, broken func(error)) error
	// show gives what belongs into the folders.
	show(ctx context.Context) (shown, error)
	// form gives what the file of a change says that has not failed.
	form(ctx context.Context, f *file) (*contents, error)
}

func (m *Mirror) open(ctx context.Context, broken func(error)) (*tree, view, error) {
	t, err := openTree(m.Path, m.Site, m.Side, m.log)
	if err != nil {
		return nil, nil, err
	}
	m.streams = map[string]jetstream.Stream{}
	v := view(&imports{Mirror: m})
	if m.Side == Export {
		v = &exports{Mirror: m}
	}
	if err := v.read(ctx, broken); err != nil {
		t.close()
		return nil, nil, err
	}
	return t, v, nil
}

// compare brings the folders to the state of now, as far as that can be written within a
// time. left counts what could not.
func (m *Mirror) compare(ctx context.Context, t *tree, v view, within time.Duration) (left int, err error) {
	s, err := v.show(ctx)
	if err != nil {
		return 0, err
	}
	written, left, err := t.make(s, time.Now().Add(within), func(f *file) ([]byte, error) { return m.text(ctx, v, f) })
	m.done.Add(int64(written))
	if err != nil {
		return left, fmt.Errorf("write the mirror %s: %w", m.Path, err)
	}
	return left, ctx.Err()
}

// news says that something has come.
func (m *Mirror) news() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

func (m *Mirror) tell(r status.Report) {
	r.Done = m.done.Load()
	m.report.Store(&r)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
