package command

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"synchro.example/services/exporter"
	"synchro.example/services/relay"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/status"
)

// mending mends hop after hop. A hop is mended when there is no difference left, or when
// nothing has become better for a while: what is in ERROR, or foreign, stays.
type mending struct {
	*app
	*cobra.Command
	conn *connection
}

// standstill is how long a hop that others mend may show no progress.
const standstill = 15 * time.Second

func (m *mending) all(s scope) error {
	for _, site := range s.sources {
		if err := m.source(site); err != nil {
			return err
		}
	}
	relays, err := relay.Open(m.Context(), m.conn.Env)
	if err != nil {
		return err
	}
	for _, r := range relays {
		if !slices.Contains(s.channels, r.Channel()) {
			continue
		}
		r.Distrust()
		if err := m.hop(status.Relay, r.Channel(), r, func() error { return r.Settle(m.Context(), closed()) }); err != nil {
			return err
		}
	}
	for _, site := range s.receivers {
		if err := m.receiver(site); err != nil {
			return err
		}
	}
	return nil
}

// source mends a source's log. Where others run the broker, the source is theirs to export:
// what this machine has at that path may be something else.
func (m *mending) source(site string) error {
	if m.conn.Config.Sites[site].Queue != nil {
		return nil
	}
	e, err := exporter.Open(m.Context(), m.conn.Env, site)
	if err != nil {
		return err
	}
	e.Distrust()
	return m.hop(status.Exporter, site, e, func() error {
		if m.conn.server == nil {
			fmt.Fprintf(m.err, "synchro: no exporter of %s runs, so its log stays as it is\n", site)
			return nil
		}
		_, err := e.Settle(m.Context())
		return err
	})
}

func (m *mending) receiver(site string) error {
	i, err := openImporter(m.Context(), m.conn.Env, site, nil)
	if err != nil {
		return err
	}
	i.Repair = true
	return m.hop(status.Importer, site, i, func() error { return i.Settle(m.Context(), closed()) })
}

// closed is what comes before a hop when nothing more will.
func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// hop has one hop mended by its running service, or by work.
func (m *mending) hop(role, name string, v verifier, work func() error) error {
	running, err := reconcile.Order(m.Context(), m.conn.NC, role, name, reconcile.Repair)
	if err != nil {
		return err
	}
	if running {
		return m.await(role, name, v)
	}
	if err := work(); err != nil && !isHeld(err) {
		return fmt.Errorf("mend %s %s: %w", role, name, err)
	}
	return nil
}

// await watches a running service mend its hop.
func (m *mending) await(role, name string, v verifier) error {
	ctx := m.Context()
	best, since := -1, time.Now()
	for time.Since(since) < standstill {
		list, err := v.Verify(ctx)
		if err != nil {
			return fmt.Errorf("look at %s %s: %w", role, name, err)
		}
		left := mendable(list)
		if left == 0 {
			return nil
		}
		if best < 0 || left < best {
			best, since = left, time.Now()
		}
		if err := pauseFor(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// mendable counts the differences that go away by themselves.
func mendable(list []reconcile.Difference) (n int) {
	for _, d := range list {
		if d.What != reconcile.Failed && d.What != reconcile.Extra {
			n++
		}
	}
	return n
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
