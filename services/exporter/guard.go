package exporter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/control"
	"synchro.example/shared/fault"
	"synchro.example/shared/status"
)

// samplePaths is how many of the paths that would be removed are shown.
const samplePaths = 10

// errGuarded is the cause of the fault of a cycle that waits for somebody's word.
var errGuarded = errors.New("more would be removed than one cycle may")

// guard lets a cycle go on that removes no more than it may, or as much as somebody has
// allowed. An empty source is more often a mistake than a wish: a mount that is missing,
// a wrong path.
func (e *Exporter) guard(ctx context.Context, steps []*step) error {
	g := control.Guard{Site: e.Site, Objects: e.inv.tree.Len()}
	for _, s := range steps {
		if s.removed && !s.resigned && e.lineFor(s, content.Digest{}, "") == nil { // else another site has let it pass
			g.Removals++
			if len(g.Sample) < samplePaths {
				g.Sample = append(g.Sample, s.path)
			}
		}
	}
	state, _ := e.Control.State()
	before, waits := state.Guard(e.Site)
	if e.MaxRemovals == nil || g.Removals <= e.MaxRemovals(g.Objects) {
		return e.endGuard(ctx, before, waits)
	}
	if waits && before.Released && g.Removals <= before.Removals {
		return nil // its end is noted when the cycle after it finds nothing to remove
	}
	g.Since = time.Now().UTC()
	if waits {
		g.Since = before.Since
	}
	if !waits || before.Removals != g.Removals || before.Released {
		e.log.Error("more would be removed than one cycle may, so nothing is exported", "removals", g.Removals, "objects", g.Objects, "advice", fault.Advice(fault.Guarded))
		if err := e.Control.Hold(ctx, g); err != nil {
			return err
		}
	}
	err := fmt.Errorf("%w: %d of %d objects of %s, %q among them", errGuarded, g.Removals, g.Objects, e.Site, g.Sample[0])
	e.tell(status.Report{State: status.Guarded, Reason: err.Error(), Pending: len(steps)})
	return fault.OfSite(fault.Retry, fault.Guarded, err)
}

func (e *Exporter) endGuard(ctx context.Context, g control.Guard, waits bool) error {
	if !waits {
		return nil
	}
	g.Over = true
	return e.Control.Hold(ctx, g)
}

// waitForWord waits until somebody says something, or the source may be back.
func (e *Exporter) waitForWord(soft, hard context.Context) {
	e.sleep(soft, hard, e.Rescan, 0)
}
