package collect

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

// fetches is how many bodies are on their way at a time.
const fetches = 16

// logs is everything on a broker that may refer to blobs.
type logs struct{ js jetstream.JetStream }

// blobs calls each for the blobs of every change in every log, one after the other.
// It ends with an error when a log, or a change in one, cannot be read.
func (l logs) blobs(ctx context.Context, each func(context.Context, *content.Blob) error) error {
	names := l.js.StreamNames(ctx)
	var all []string
	for name := range names.Name() {
		if subject.KeepsEnvelopes(name) {
			all = append(all, name)
		}
	}
	if err := names.Err(); err != nil {
		return changelog.Classify(fmt.Errorf("list the broker's streams: %w", err))
	}
	for _, name := range all {
		r := &reading{js: l.js, name: name, each: each, seen: map[uint64]struct{}{}, seed: maphash.MakeSeed()}
		if err := r.read(ctx); err != nil {
			return changelog.Classify(fmt.Errorf("find what stream %s refers to: %w", name, err))
		}
	}
	return nil
}

// reading is the reading of one log.
type reading struct {
	js   jetstream.JetStream
	name string
	log  jetstream.Stream
	seed maphash.Seed
	seen map[uint64]struct{} // hashes of the subjects that were read

	mu   sync.Mutex
	each func(context.Context, *content.Blob) error
}

func (r *reading) read(ctx context.Context) error {
	var err error
	if r.log, err = r.js.Stream(ctx, r.name); err != nil {
		return err
	}
	g, bodies := errgroup.WithContext(ctx)
	g.SetLimit(fetches)
	err = changelog.Scan(ctx, r.js, r.name, changelog.Options{HeadersOnly: true}, func(m jetstream.Msg) error {
		if !r.concerns(m.Subject()) {
			return nil
		}
		r.seen[maphash.String(r.seed, m.Subject())] = struct{}{}
		if !mayRefer(m.Headers()) {
			return nil
		}
		subj := m.Subject()
		g.Go(func() error { return r.body(bodies, subj) })
		return bodies.Err()
	})
	if failed := g.Wait(); failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	return r.rest(ctx)
}

// concerns tells whether a message may be one with an envelope.
func (r *reading) concerns(subj string) bool {
	return r.name == subject.ErrorStream || subject.IsChange(subj)
}

// mayRefer tells by its headers whether a message must be read whole. Those of a change
// say whether it refers to blobs; a failure has none of them, and is empty without an
// envelope.
func mayRefer(h nats.Header) bool {
	if h.Get(nats.MsgSize) == "0" {
		return false
	}
	head, err := envelope.ParseHead(h)
	return err != nil || head.HasBlobs
}

// rest reads what the broker counts as there and has not given: a damaged message is
// left out without a word.
func (r *reading) rest(ctx context.Context) error {
	info, err := r.log.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return err
	}
	for subj := range info.State.Subjects {
		if _, ok := r.seen[maphash.String(r.seed, subj)]; ok || !r.concerns(subj) {
			continue
		}
		if err := r.body(ctx, subj); err != nil {
			return err
		}
	}
	return nil
}

// body shows the blobs of the newest change on a subject. That may be newer than the
// one that was listed; then it is the newer one that counts.
func (r *reading) body(ctx context.Context, subj string) error {
	m, err := r.log.GetLastMsgForSubject(ctx, subj)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return r.missing(ctx, subj)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", subj, err)
	}
	if len(m.Data) == 0 {
		return nil
	}
	c, err := envelope.Decode(m.Data)
	if err != nil && r.name == subject.ErrorStream && fault.Of(err).Code == fault.Invalid {
		return nil // it failed for that, and nobody can ever apply it
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", subj, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range envelope.Blobs(c) {
		if err := r.each(ctx, b); err != nil {
			return fmt.Errorf("follow the bytes of %s: %w", subj, err)
		}
	}
	return nil
}

// missing tells a message that was removed just now from one that is damaged: the
// broker counts that as there.
func (r *reading) missing(ctx context.Context, subj string) error {
	info, err := r.log.Info(ctx, jetstream.WithSubjectFilter(subj))
	if err == nil && info.State.Subjects[subj] > 0 {
		err = fmt.Errorf("the broker has message %s and cannot read it; its store is damaged", subj)
	}
	return err
}
