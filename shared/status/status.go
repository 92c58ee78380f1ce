// Package status lets running services say how they are, and lets commands ask
// them through the broker. What nobody answers for is not running.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/subject"
)

// Roles of services.
const (
	Exporter = "exporter"
	Relay    = "relay"
	Importer = "importer"
	// Queue tells what lies in a classic queue.
	Queue = "queue"
	// The mirrors of a site's two sides.
	MirrorExport = "mirror-export"
	MirrorImport = "mirror-import"
)

// States of a service.
const (
	Starting = "starting"
	Running  = "running"
	Paused   = "paused"  // its site, or the broker, does not let it work
	Guarded  = "guarded" // the mass-removal guard holds a cycle back
	StandBy  = "standby" // another process does the work and has the lease
	Stopped  = "stopped" // nobody answers
)

// States of a plugin, which is in neither before it was asked.
const (
	Up   = "up"
	Down = "down" // nobody answers for it
)

// Plugin is what a service says of a plugin that it asks.
type Plugin struct {
	ID    string `json:"id"`
	State string `json:"state"`
	// Reason says why it is down.
	Reason string `json:"reason,omitempty"`
	// Calls and Errors count since the service started, and Seconds is how long all calls
	// took together.
	Calls   int64   `json:"calls"`
	Errors  int64   `json:"errors"`
	Seconds float64 `json:"seconds"`
}

// standByDelay is how long a stand-by leaves the answer to the one at work.
const standByDelay = 200 * time.Millisecond

// wait bounds a question to one service.
const wait = 2 * time.Second

// Report is what a service says of itself.
type Report struct {
	State string `json:"state"`
	// Reason says in a sentence why the state is not Running.
	Reason string `json:"reason,omitempty"`
	// Pending is what the service knows it still has to do.
	Pending int `json:"pending"`
	// Oldest is when the oldest pending work was captured; zero when none is.
	Oldest time.Time `json:"oldest,omitzero"`
	// Drift is how many objects of a receiving site somebody else has changed.
	Drift int `json:"drift,omitempty"`
	// Failed counts the objects in ERROR by their code.
	Failed map[string]int `json:"failed,omitempty"`
	// Folders counts the files of a classic queue by their folder, such as EXPORT/DONE.
	Folders map[string]int `json:"folders,omitempty"`
	// Odd tells of files there that somebody should look at.
	Odd []string `json:"odd,omitempty"`
	// Plugins are those that the service asks.
	Plugins []Plugin `json:"plugins,omitempty"`
	// Done counts what it has done since it started.
	Done int64 `json:"done"`
}

// Serve answers questions with what report gives, until stop is called.
func Serve(nc *nats.Conn, role, name string, report func() Report) (stop func(), err error) {
	sub, err := nc.Subscribe(subject.Status(role, name), func(m *nats.Msg) {
		r := report()
		body, err := json.Marshal(r)
		if err != nil {
			return
		}
		if r.State == StandBy {
			time.Sleep(standByDelay) // the one at work answers first
		}
		_ = m.Respond(body) // who asked may be gone; that is its business
	})
	if err != nil {
		return nil, fmt.Errorf("answer for %s %s: %w", role, name, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// Ask asks a service. One that does not run, or does not answer in time, gives the state
// Stopped and no error.
func Ask(ctx context.Context, nc *nats.Conn, role, name string) (Report, error) {
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	m, err := nc.RequestWithContext(short, subject.Status(role, name), nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return Report{State: Stopped}, nil
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return Report{State: Stopped, Reason: "its process is there and does not answer; it hangs, or is stopped by a signal"}, nil
	case err != nil:
		return Report{}, fmt.Errorf("ask %s %s: %w", role, name, err)
	}
	var r Report
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return Report{}, fmt.Errorf("%s %s answers what cannot be read: %w", role, name, err)
	}
	return r, nil
}
