package blob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

// Grace is for Sweep: how old a chunk must be before it is marked, and how old a mark before it
// is carried out. It is far longer than an envelope takes from the Put of its bytes to
// the log.
const Grace = 6 * time.Hour

// markers is how many marks are on their way at a time.
const markers = 8

// References calls each for every blob that anybody refers to, one after the other.
// An error means that there may be others.
type References func(ctx context.Context, each func(context.Context, *content.Blob) error) error

// Swept counts what a sweep did.
type Swept struct {
	Chunks int // old enough to be judged
	Marked int // will be removed by a later sweep, unless somebody wants them
	Freed  int
	Bytes  int64 // of those that are freed
}

// Sweep removes the chunks that an earlier sweep has marked and that nothing refers to
// still, and marks those that nothing refers to now. When the references cannot be
// read to the end it removes and marks nothing. Any number of sweeps may run at the
// same time, and beside any number of Puts; one that is broken off is continued by
// the next.
func (s *Store) Sweep(ctx context.Context, grace time.Duration, references References) (Swept, error) {
	w := &sweep{Store: s, grace: grace, chunks: map[content.Digest]*candidate{}, marks: map[content.Digest]mark{}}
	if err := w.look(ctx); err != nil {
		return Swept{}, fmt.Errorf("sweep the blobs: %w", err)
	}
	if len(w.chunks)+len(w.marks) == 0 {
		return Swept{}, nil
	}
	walk := s.Walk(w.refer)
	if err := references(ctx, walk.Blob); err != nil {
		return Swept{}, fmt.Errorf("sweep the blobs: nothing is removed, because not everything that may refer to one can be read: %w", err)
	}
	if err := w.judgeAll(ctx); err != nil {
		return w.result(), fmt.Errorf("sweep the blobs: %w", err)
	}
	return w.result(), nil
}

// sweep is one sweep.
type sweep struct {
	*Store
	grace  time.Duration
	now    time.Time // by the broker's clock, as all times here
	chunks map[content.Digest]*candidate
	marks  map[content.Digest]mark
}

// candidate is a chunk that is old enough to be judged.
type candidate struct {
	seq      uint64
	size     int64
	referred bool
	outcome  string
}

// look reads the marks, and then which chunks there are. The order matters: what is
// claimed later was marked before the references are read.
func (w *sweep) look(ctx context.Context) error {
	st, err := w.js.Stream(ctx, subject.BlobStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := stream.Ensure(ctx, w.js, stream.BlobMarks(stream.Replicas(st.CachedInfo().Config.Replicas))); err != nil {
		return err
	}
	if w.now, err = w.clock(ctx); err != nil {
		return err
	}
	err = changelog.Scan(ctx, w.js, subject.BlobMarkStream, changelog.Options{}, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if d, ok := subject.BlobMarkDigest(m.Subject()); ok && err == nil {
			w.marks[d] = parseMark(m.Data(), meta.Sequence.Stream, meta.Timestamp)
		}
		return err
	})
	if err != nil {
		return err
	}
	return changelog.Scan(ctx, w.js, subject.BlobStream, changelog.Options{HeadersOnly: true}, w.add)
}

func (w *sweep) add(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	if d, ok := subject.BlobDigest(m.Subject()); ok && w.now.Sub(meta.Timestamp) >= w.grace {
		size, _ := strconv.ParseInt(m.Headers().Get(nats.MsgSize), 10, 64)
		w.chunks[d] = &candidate{seq: meta.Sequence.Stream, size: size}
	}
	return nil
}

// clock asks the broker for the time.
func (s *Store) clock(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	m, err := s.js.Conn().RequestWithContext(ctx, s.prefix()+"STREAM.INFO."+subject.BlobStream, nil)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the broker for the time: %w", err)
	}
	var info struct {
		Time time.Time `json:"ts"`
	}
	if err := json.Unmarshal(m.Data, &info); err != nil || info.Time.IsZero() {
		return time.Time{}, fmt.Errorf("the broker does not say what time it has, it answers %.200q", m.Data)
	}
	return info.Time, nil
}

func (w *sweep) refer(d content.Digest) {
	if c := w.chunks[d]; c != nil {
		c.referred = true
	}
}

func (w *sweep) judgeAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(markers)
	for d, c := range w.chunks {
		g.Go(func() error { return w.judge(ctx, d, c) })
	}
	for d := range w.marks {
		if w.chunks[d] == nil {
			g.Go(func() error { return w.judge(ctx, d, nil) })
		}
	}
	return g.Wait()
}

// judge decides about one chunk, or about a mark without one. A chunk whose mark
// somebody else changes meanwhile is left to them.
func (w *sweep) judge(ctx context.Context, d content.Digest, c *candidate) error {
	return w.persist(ctx, "judge chunk "+name(d), func(ctx context.Context) error {
		var err error
		if m := w.marks[d]; c == nil || c.referred || m.state == claimed {
			err = w.dropMark(ctx, d, m)
		} else {
			err = w.condemn(ctx, d, c, m)
		}
		if errors.Is(err, errMarkChanged) {
			return nil
		}
		return err
	})
}

// condemn brings a chunk that nothing refers to one step nearer to its end.
func (w *sweep) condemn(ctx context.Context, d content.Digest, c *candidate, m mark) error {
	if m.state != doomed || m.chunk != c.seq {
		_, err := w.setMark(ctx, d, doomed, c.seq, m)
		if err == nil {
			c.outcome = doomed
		}
		return err
	}
	if w.now.Sub(m.at) < w.grace {
		c.outcome = doomed
		return nil
	}
	seq, err := w.setMark(ctx, d, claimed, c.seq, m)
	if err != nil {
		return err
	}
	c.outcome = claimed
	return w.carryOut(ctx, mark{state: claimed, chunk: c.seq, seq: seq})
}

// dropMark ends what a mark says. Only a mark that nobody acts upon is removed: a
// claim is carried out before, because others have seen it, and a doom is overruled,
// so that whoever is about to claim the chunk is refused.
func (w *sweep) dropMark(ctx context.Context, d content.Digest, m mark) error {
	switch {
	case m.seq == 0 || m.state == damaged:
		return nil
	case m.state == claimed:
		return w.carryOut(ctx, m)
	case m.state == doomed:
		_, err := w.setMark(ctx, d, spared, m.chunk, m)
		return err
	}
	return w.erase(ctx, subject.BlobMarkStream, m.seq)
}

func (w *sweep) result() Swept {
	r := Swept{Chunks: len(w.chunks)}
	for _, c := range w.chunks {
		switch c.outcome {
		case doomed:
			r.Marked++
		case claimed:
			r.Freed++
			r.Bytes += c.size
		}
	}
	return r
}
