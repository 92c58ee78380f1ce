package control

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/subject"
)

// Following is the newest state as far as this process knows. Safe for concurrent use. A
// nil one knows of nothing.
type Following struct {
	store *Store

	mu      sync.Mutex
	state   *State
	changed chan struct{}
}

// Follow reads the state and keeps it up to date until ctx ends.
func Follow(ctx context.Context, js jetstream.JetStream) (*Following, error) {
	store, err := New(ctx, js)
	if err != nil {
		return nil, err
	}
	f := &Following{store: store, changed: make(chan struct{})}
	if f.state, err = store.Read(ctx); err != nil {
		return nil, err
	}
	c, err := js.OrderedConsumer(ctx, subject.ControlStream, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return nil, changelog.Classify(fmt.Errorf("follow %s: %w", subject.ControlStream, err))
	}
	running, err := c.Consume(func(m jetstream.Msg) { f.take(m.Subject(), m.Data()) })
	if err != nil {
		return nil, changelog.Classify(fmt.Errorf("follow %s: %w", subject.ControlStream, err))
	}
	context.AfterFunc(ctx, running.Stop)
	return f, nil
}

func (f *Following) take(subj string, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.state.clone()
	next.take(subj, body)
	f.state = next
	close(f.changed)
	f.changed = make(chan struct{})
}

// State gives the state, and a channel that is closed when there is a newer one.
func (f *Following) State() (*State, <-chan struct{}) {
	if f == nil {
		return newState(), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.changed
}

// Hold keeps the state of a guard.
func (f *Following) Hold(ctx context.Context, g Guard) error {
	if f == nil {
		return nil
	}
	return f.store.Guard(ctx, g)
}
