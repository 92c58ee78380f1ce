package mirror

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// exports is the state of a site that content comes from.
type exports struct {
	*Mirror

	mu      sync.Mutex
	objects map[string]exported          // by token
	failed  map[string]*deadletter.Entry // by the last token of their subject
}

type exported struct {
	version version.Version
	seq     uint64 // in the log
}

// passed is how far the relays have come in a log: each channel has one.
type passed struct {
	given, done uint64
}

func (v *exports) read(ctx context.Context, broken func(error)) error {
	v.objects, v.failed = map[string]exported{}, map[string]*deadletter.Entry{}
	log := feed{stream: subject.ExportStream(v.Site), read: changelog.Options{HeadersOnly: true, Subjects: subject.ExportToProcessAll(v.Site)}, take: v.arrive}
	failures := feed{stream: subject.ErrorStream, read: changelog.Options{HeadersOnly: true, Subjects: subject.ExportErrorAll(v.Site)}, take: v.failure}
	return errors.Join(v.start(ctx, log, broken), v.start(ctx, failures, broken))
}

func (v *exports) arrive(m jetstream.Msg) {
	h, err := envelope.ParseHead(m.Headers())
	if err != nil {
		return // the exporter tells
	}
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.objects[tokenOf(m.Subject())] = exported{h.Version, meta.Sequence.Stream}
}

func (v *exports) failure(m jetstream.Msg) {
	token := tokenOf(m.Subject())
	e, err := deadletter.Parse(m.Headers())
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil || e.Closed != nil {
		delete(v.failed, token)
		return
	}
	v.failed[token] = e
}

// position gives how far the slowest relay has come.
func (v *exports) position(ctx context.Context) (slowest passed, err error) {
	for n, ch := range v.Channels {
		p := passed{}
		c, err := v.JS.Consumer(ctx, subject.ExportStream(v.Site), subject.RelayConsumer(ch))
		switch {
		case err == nil:
			p = passed{c.CachedInfo().Delivered.Stream, c.CachedInfo().AckFloor.Stream}
		case !errors.Is(err, jetstream.ErrConsumerNotFound):
			return slowest, changelog.Classify(fmt.Errorf("look at the relay of %s: %w", ch, err))
		}
		if n == 0 {
			slowest = p
		}
		slowest = passed{min(slowest.given, p.given), min(slowest.done, p.done)}
	}
	return slowest, nil
}

func (v *exports) show(ctx context.Context) (shown, error) {
	at, err := v.position(ctx)
	if err != nil {
		return shown{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s := shown{counts: map[State]int{}}
	s.addFailed(v.failed) // which people look for most
	lists := map[State][]candidate{}
	for token, o := range v.objects {
		state := Done
		switch {
		case o.seq > at.given:
			state = ToProcess
		case o.seq > at.done:
			state = Processing
		}
		lists[state] = append(lists[state], candidate{token: token, version: o.version})
	}
	for _, state := range []State{ToProcess, Processing, Done} {
		s.add(state, lists[state])
	}
	return s, nil
}

func (v *exports) form(ctx context.Context, f *file) (*contents, error) {
	says := &contents{}
	return says, v.envelope(ctx, says, f, subject.ExportStream(v.Site), subject.ExportToProcessAll(v.Site))
}
