package collect

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
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
		if subject.IsLog(name) {
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
		if !subject.IsChange(m.Subject()) {
			return nil
		}
		r.seen[maphash.String(r.seed, m.Subject())] = struct{}{}
		if h, err := envelope.ParseHead(m.Headers()); err == nil && !h.HasBlobs {
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

// rest reads what the broker counts as there and has not given: a damaged message is
// left out without a word.
func (r *reading) rest(ctx context.Context) error {
	info, err := r.log.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return err
	}
	for subj := range info.State.Subjects {
		if _, ok := r.seen[maphash.String(r.seed, subj)]; ok || !subject.IsChange(subj) {
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
		return fmt.Errorf("message %s is listed but cannot be read; it is damaged, or was removed just now", subj)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", subj, err)
	}
	c, err := envelope.Decode(m.Data)
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
