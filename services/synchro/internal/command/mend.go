package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"synchro.example/shared/reconcile"
	"synchro.example/shared/status"
)

// mending mends hop after hop. A hop is mended when there is no difference left, or when
// nothing has become better for a while: what is in ERROR, or foreign, stays.
type mending struct {
	*app
	*cobra.Command
	conn  *connection
	fleet *fleet
}

// standstill is how long a hop that others mend may show no progress.
const standstill = 15 * time.Second

func (m *mending) all(s scope) error {
	ctx := m.Context()
	ended := make(chan struct{})
	close(ended)
	for _, site := range s.sources {
		e := m.fleet.exporters[site]
		err := m.hop(status.Exporter, site, e, func() error { _, err := e.Settle(ctx); return err })
		if err != nil {
			return err
		}
	}
	for _, r := range m.fleet.relays {
		if err := m.hop(status.Relay, r.Channel(), r, func() error { return r.Settle(ctx, ended) }); err != nil {
			return err
		}
	}
	for _, site := range s.receivers {
		i := m.fleet.importers[site]
		i.Repair = true
		if err := m.hop(status.Importer, site, i, func() error { return i.Settle(ctx, ended) }); err != nil {
			return err
		}
	}
	return nil
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
