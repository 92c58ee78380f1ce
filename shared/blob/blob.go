// Package blob keeps the bytes that are too many for an envelope: cut into chunks,
// each a message under its own digest in one stream. What is there is never written
// twice, and never altered; who refers to it carries the list of the chunks. What is
// in the chunks is none of its business.
package blob

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

const (
	// ChunkSize is the length of every chunk but the last.
	ChunkSize = 512 << 10
	// MaxInline is how many chunks a content.Blob lists itself; a longer list is
	// stored as chunks in turn.
	MaxInline = 1024
	// MaxDepth is how deep lists may be nested: far beyond any file.
	MaxDepth = 3

	putWindow = 16 // chunks on their way to the broker
	readAhead = 6  // chunks on their way from the broker
	listAhead = 2  // the same for lists

	answerWait = 10 * time.Second
	patience   = 30 * time.Second // how long a broker that does not answer is waited for
	maxPause   = 500 * time.Millisecond
)

// Store is the blob store. Safe for concurrent use; the stream must exist.
type Store struct {
	js       jetstream.JetStream
	chunk    int
	inline   int
	wait     time.Duration
	patience time.Duration
	trust    time.Duration

	mu     sync.Mutex
	stream jetstream.Stream
}

// New makes a store.
func New(js jetstream.JetStream) *Store {
	return &Store{js: js, chunk: ChunkSize, inline: MaxInline, wait: answerWait, patience: patience, trust: trust}
}

// handle gives the stream, for what needs more than its name.
func (s *Store) handle(ctx context.Context) (jetstream.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == nil {
		st, err := s.js.Stream(ctx, subject.BlobStream)
		if err != nil {
			return nil, err
		}
		s.stream = st
	}
	return s.stream, nil
}

// persist repeats an attempt while the broker does not answer: until it does, ctx
// ends, or the patience.
func (s *Store) persist(ctx context.Context, what string, attempt func(context.Context) error) error {
	end := time.Now().Add(s.patience)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, maxPause) {
		err := s.once(ctx, attempt)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case changelog.IsFull(err):
			return fault.OfSite(fault.Retry, fault.BrokerFull, fmt.Errorf("%s: the broker has no room for blobs: %w", what, err))
		case !passes(err):
			return fmt.Errorf("%s: %w", what, err)
		case errors.Is(err, nats.ErrConnectionClosed) || time.Now().After(end):
			return fault.OfSite(fault.Retry, fault.BrokerDown, fmt.Errorf("%s: the broker does not answer: %w", what, err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// once ends early when the connection does: no answer comes after that.
func (s *Store) once(ctx context.Context, attempt func(context.Context) error) error {
	nc := s.js.Conn()
	if nc.IsClosed() {
		return nats.ErrConnectionClosed
	}
	if !nc.IsConnected() {
		return nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	lost := nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer nc.RemoveStatusListener(lost)
	if !nc.IsConnected() { // lost between the first look and the listening
		return nats.ErrDisconnected
	}
	go func() {
		<-lost // or closed
		cancel()
	}()
	return attempt(ctx)
}

// passes tells whether an error of the broker may pass by itself.
func passes(err error) bool {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return false
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.Code >= 500
	}
	return !errors.Is(err, nats.ErrMaxPayload)
}

// present asks whether there is a message on the subject of a chunk, without moving it.
func (s *Store) present(ctx context.Context, subj string) (bool, error) {
	st, err := s.handle(ctx)
	if err != nil {
		return false, err
	}
	info, err := st.Info(ctx, jetstream.WithSubjectFilter(subj))
	if err != nil {
		return false, err
	}
	return info.State.Subjects[subj] > 0, nil
}

func name(d content.Digest) string { return fmt.Sprintf("%x", d[:8]) }
