// Package control keeps what people have told running services: pauses of sites, channels
// and paths, and the removals that wait for somebody's word. Each is the newest message of
// a subject in one small stream, which every service follows. What was ended stays for a
// while as a record of who did it and why.
package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

// keepEnded is how long an ended pause stays as a record.
const keepEnded = 30 * 24 * time.Hour

// Pause stops work on a site, a channel, or the paths that match a pattern at a receiving
// site. Site and Channel exclude each other; Path goes with Site.
type Pause struct {
	Site    string    `json:"site,omitempty"`
	Channel string    `json:"channel,omitempty"`
	Path    string    `json:"path,omitempty"` // a pattern with * and **
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	// Ended says that it is over, since At, and Reason why.
	Ended bool `json:"ended,omitempty"`
}

// String says it in a sentence.
func (p Pause) String() string {
	return fmt.Sprintf("paused by %s at %s: %s", p.By, p.At.Format(time.RFC3339), p.Reason)
}

// key tells pauses apart: one of the same key takes the place of the other.
func (p Pause) key() string { return p.Site + "\x00" + p.Channel + "\x00" + p.Path }

// Guard is a cycle of a source, or a changed expression of a channel, that would remove
// more than it may, and waits.
type Guard struct {
	Site     string    `json:"site"`
	Channel  string    `json:"channel,omitempty"`
	Removals int       `json:"removals"`
	Objects  int       `json:"objects"` // that the site had
	Sample   []string  `json:"sample"`  // some of the paths
	Since    time.Time `json:"since"`
	// Released says that somebody allowed as many removals.
	Released bool      `json:"released,omitempty"`
	By       string    `json:"by,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at,omitzero"`
	// Over says that the cycle is done, or was not needed any more.
	Over bool `json:"over,omitempty"`
}

// key tells guards apart: one of the same key takes the place of the other.
func (g Guard) key() string {
	if g.Channel != "" {
		return "channel:" + g.Channel // no site has such a name
	}
	return g.Site
}

// Store writes what people say. Safe for concurrent use.
type Store struct{ js jetstream.JetStream }

// New makes a store, and the stream if it is not there.
func New(ctx context.Context, js jetstream.JetStream) (*Store, error) {
	return &Store{js}, stream.Ensure(ctx, js, stream.Control())
}

// Pause keeps a pause, or its end.
func (s *Store) Pause(ctx context.Context, p Pause) error {
	p.At = time.Now().UTC()
	ttl := ""
	if p.Ended {
		ttl = keepEnded.String()
	}
	return s.put(ctx, subject.ControlPause(p.key()), p, ttl)
}

// Guard keeps the state of a guard.
func (s *Store) Guard(ctx context.Context, g Guard) error {
	ttl := ""
	if g.Over {
		ttl = keepEnded.String()
	}
	return s.put(ctx, subject.ControlGuard(g.key()), g, ttl)
}

func (s *Store) put(ctx context.Context, subj string, v any, ttl string) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("keep %s: %w", subj, err)
	}
	m := nats.NewMsg(subj)
	m.Data = body
	if ttl != "" {
		m.Header.Set(jetstream.MsgTTLHeader, ttl)
	}
	_, err = s.js.PublishMsg(ctx, m)
	return changelog.Classify(err)
}

// Read gives what holds now.
func (s *Store) Read(ctx context.Context) (*State, error) {
	st := newState()
	err := changelog.Scan(ctx, s.js, subject.ControlStream, changelog.Options{}, func(m jetstream.Msg) error {
		st.take(m.Subject(), m.Data())
		return nil
	})
	return st, err
}
