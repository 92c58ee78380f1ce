package relay

import (
	"context"

	"synchro.example/shared/control"
	"synchro.example/shared/reconcile"
)

// Plan is what the relay would do to its channel's log if it started now.
type Plan struct {
	Channel, From string
	Differences   []reconcile.Difference
	// Guard counts what would leave although the source has it, and Held says that this is
	// more than may leave without somebody's word.
	Guard control.Guard
	Held  bool
}

// Plan computes what the relay would do, and does nothing.
func (r *Relay) Plan(ctx context.Context) (Plan, error) {
	p := Plan{Channel: r.channel, From: r.from}
	if r.filter == nil {
		var err error
		p.Differences, err = r.Verify(ctx)
		return p, err
	}
	heads, err := r.carried(ctx)
	if err != nil {
		return p, err
	}
	now, have, err := r.filter.afresh(ctx, heads)
	if err != nil {
		return p, err
	}
	p.Differences = now.differences(heads, have)
	p.Guard = now.removals(now.selection.all(), have)
	p.Held = now.exceeds(p.Guard)
	return p, nil
}
