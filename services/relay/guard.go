package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"synchro.example/shared/control"
	"synchro.example/shared/fault"
)

// samplePaths is how many of the paths that would be removed are shown.
const samplePaths = 10

var errGuarded = errors.New("the channel's expression would remove more than it may")

// guard holds the channel back when the expression, which is another one than before,
// would remove more than it may. What the source itself has removed is not counted: the
// exporter's guard has let it pass.
func (f *filter) guard(ctx context.Context, uids []string, have map[string]stored) error {
	g := f.removals(uids, have)
	state, _ := f.control.State()
	before, waits := state.ChannelGuard(f.channel)
	if !f.exceeds(g) {
		return f.endGuard(ctx, before, waits)
	}
	if waits && before.Released && g.Removals <= before.Removals {
		return nil // its end is noted when there is nothing left to remove
	}
	g.Since = time.Now().UTC()
	if !waits || before.Removals != g.Removals || before.Released {
		if err := f.control.Hold(ctx, g); err != nil {
			return err
		}
	}
	return fault.OfSite(fault.Retry, fault.Guarded, fmt.Errorf("%w: %d of %d objects of channel %s, %q among them; "+
		"`synchro resume --channel %s` lets them go", errGuarded, g.Removals, g.Objects, f.channel, g.Sample[0], f.channel))
}

// removals counts what would leave the channel although the source has it.
func (f *filter) removals(uids []string, have map[string]stored) control.Guard {
	g := control.Guard{Site: f.from, Channel: f.channel}
	for _, s := range have {
		if !s.removed {
			g.Objects++
		}
	}
	for _, uid := range uids {
		if want, needed := f.wanted(uid, have[uid]); needed && want == absent && have[uid].in() && f.selection.gone[uid] == 0 {
			g.Removals++
			g.Sample = append(g.Sample, f.path(uid))
		}
	}
	slices.Sort(g.Sample)
	g.Sample = g.Sample[:min(len(g.Sample), samplePaths)]
	return g
}

func (f *filter) exceeds(g control.Guard) bool {
	return f.options.MaxRemovals != nil && g.Removals > f.options.MaxRemovals(g.Objects)
}

func (f *filter) endGuard(ctx context.Context, g control.Guard, waits bool) error {
	if !waits {
		return nil
	}
	g.Over = true
	return f.control.Hold(ctx, g)
}
