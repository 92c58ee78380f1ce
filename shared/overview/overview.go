// Package overview gathers how all sites of a configuration are: what their services say of
// themselves, what is on its way to them, what has failed. It looks only, and any number
// of processes may do so at the same time.
package overview

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"synchro.example/shared/config"
	"synchro.example/shared/control"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/status"
	"synchro.example/shared/subject"
)

// atOnce is how many sites are asked at the same time.
const atOnce = 16

// Overview is how all is. The JSON names are a contract.
type Overview struct {
	Sites    []Site          `json:"sites"`    // by name
	Channels []Channel       `json:"channels"` // by name
	Pauses   []control.Pause `json:"pauses"`
	Guards   []control.Guard `json:"guards"`
}

// Site is how one site is.
type Site struct {
	Name  string `json:"name"`
	Role  string `json:"role"` // source, receiver, both or none
	State string `json:"state"`
	// Reason says in a sentence why the state is not running.
	Reason string `json:"reason,omitempty"`
	// Pending is how many changes are on their way to it, and from a source how many the
	// relay has not passed on.
	Pending int `json:"pending"`
	// LagSeconds is the age of the oldest of them.
	LagSeconds float64 `json:"lag_seconds"`
	Errors     int     `json:"errors"`
	Drift      int     `json:"drift"`
	// Folders counts the files of a classic queue, and Odd tells which of them somebody
	// should look at.
	Folders map[string]int `json:"folders,omitempty"`
	Odd     []string       `json:"odd,omitempty"`
	// Mirror says why the site's mirror is not kept.
	Mirror string `json:"mirror,omitempty"`
	// Plugins are those that the site's services ask.
	Plugins []Plugin `json:"plugins,omitempty"`
}

// Plugin is a plugin of one site.
type Plugin struct {
	// Service is the one that asks it: exporter or importer.
	Service string `json:"service"`
	status.Plugin
}

// Channel is the way from a source to those that receive from it.
type Channel struct {
	Name string   `json:"name"`
	From string   `json:"from"`
	To   []string `json:"to"`
	// State is that of its relay.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Pending is how many changes of the source it has not passed on.
	Pending int `json:"pending"`
}

// looker looks at one fleet.
type looker struct {
	cfg *config.Config
	nc  *nats.Conn
	js  jetstream.JetStream
}

// Look asks all services, and the broker for what nobody answers. One that does not run is
// no error: that is its state.
func Look(ctx context.Context, cfg *config.Config, nc *nats.Conn, js jetstream.JetStream) (*Overview, error) {
	told, err := control.New(ctx, js)
	if err != nil {
		return nil, err
	}
	state, err := told.Read(ctx)
	if err != nil {
		return nil, err
	}
	o := &Overview{Pauses: state.Pauses(), Guards: state.Guards()}
	l := &looker{cfg, nc, js}
	if o.Sites, err = l.sites(ctx); err != nil {
		return nil, err
	}
	o.Channels, err = l.channels(ctx)
	return o, err
}

func (l *looker) sites(ctx context.Context) ([]Site, error) {
	failed, err := deadletter.New(l.js).Count(ctx)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(l.cfg.Sites))
	sites := make([]Site, len(names))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	for i, name := range names {
		sites[i] = Site{Name: name, Role: "none", State: status.Stopped, Errors: failed[name]}
		all.Go(func() error {
			if err := l.asSource(ctx, &sites[i]); err != nil {
				return err
			}
			if err := l.asReceiver(ctx, &sites[i]); err != nil {
				return err
			}
			return l.askQueue(ctx, &sites[i])
		})
	}
	return sites, all.Wait()
}

func (l *looker) asSource(ctx context.Context, s *Site) error {
	channels := l.cfg.ChannelsFrom(s.Name)
	if len(channels) == 0 {
		return nil
	}
	s.Role = "source"
	if err := l.ask(ctx, s, status.Exporter); err != nil {
		return err
	}
	most := backlog{}
	for _, ch := range channels {
		b, err := l.backlog(ctx, subject.ExportStream(s.Name), subject.RelayConsumer(ch))
		if err != nil {
			return err
		}
		most = most.worst(b)
	}
	s.add(most)
	return nil
}

func (l *looker) asReceiver(ctx context.Context, s *Site) error {
	channels := l.cfg.ChannelsTo(s.Name)
	if len(channels) == 0 {
		return nil
	}
	if s.Role == "source" {
		s.Role = "both"
	} else {
		s.Role = "receiver"
	}
	if err := l.ask(ctx, s, status.Importer); err != nil {
		return err
	}
	for _, ch := range channels {
		from := l.cfg.Channels[ch].From
		unrelayed, err := l.backlog(ctx, subject.ExportStream(from), subject.RelayConsumer(ch))
		if err != nil {
			return err
		}
		unapplied, err := l.backlog(ctx, subject.ImportStream(ch), subject.SiteConsumer(s.Name))
		if err != nil {
			return err
		}
		s.add(unrelayed)
		s.add(unapplied)
	}
	return nil
}

func (l *looker) ask(ctx context.Context, s *Site, role string) error {
	r, err := status.Ask(ctx, l.nc, role, s.Name)
	if err != nil {
		return err
	}
	if s.State == status.Stopped || r.State != status.Running {
		s.State, s.Reason = r.State, r.Reason
	}
	if role == status.Exporter {
		s.Pending += r.Pending
		s.lagSince(r.Oldest)
	}
	s.Drift += r.Drift
	for _, p := range r.Plugins {
		s.Plugins = append(s.Plugins, Plugin{role, p})
	}
	return l.askMirror(ctx, s, role)
}

// askQueue asks what lies in a site that is a classic queue.
func (l *looker) askQueue(ctx context.Context, s *Site) error {
	if l.cfg.Sites[s.Name].Queue == nil {
		return nil
	}
	r, err := status.Ask(ctx, l.nc, status.Queue, s.Name)
	s.Folders, s.Odd = r.Folders, r.Odd
	return err
}

// askMirror asks for the mirror of the side that a role serves. One that nobody keeps is
// told only when its service runs: else that is reason enough.
func (l *looker) askMirror(ctx context.Context, s *Site, role string) error {
	if l.cfg.Sites[s.Name].Mirror == "" || s.State == status.Stopped {
		return nil
	}
	side := status.MirrorImport
	if role == status.Exporter {
		side = status.MirrorExport
	}
	r, err := status.Ask(ctx, l.nc, side, s.Name)
	switch {
	case err != nil:
		return err
	case r.State == status.Paused:
		s.Mirror = r.Reason
	case r.State == status.Stopped:
		s.Mirror = "the process that serves the site does not keep it; start that again with this configuration"
	}
	return nil
}

func (s *Site) add(b backlog) {
	s.Pending += b.pending
	s.lagSince(b.oldest)
}

func (s *Site) lagSince(oldest time.Time) {
	if !oldest.IsZero() {
		lag := time.Since(oldest).Seconds()
		s.LagSeconds = math.Max(s.LagSeconds, math.Round(lag*1000)/1000)
	}
}

func (l *looker) channels(ctx context.Context) ([]Channel, error) {
	channels := []Channel{}
	for _, name := range slices.Sorted(maps.Keys(l.cfg.Channels)) {
		c := l.cfg.Channels[name]
		r, err := status.Ask(ctx, l.nc, status.Relay, name)
		if err != nil {
			return nil, err
		}
		b, err := l.backlog(ctx, subject.ExportStream(c.From), subject.RelayConsumer(name))
		if err != nil {
			return nil, err
		}
		channels = append(channels, Channel{name, c.From, c.To, r.State, r.Reason, b.pending})
	}
	return channels, nil
}
