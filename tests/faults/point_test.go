package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	"synchro.example/tests/fleet"
	"synchro.example/tests/overlay"
	"synchro.example/tests/overlay/plant"
)

// TestProcessDiesAtEveryDurableStep lets the process kill itself before and after each
// step that others rely on, one after the other, while the source changes. Some paths
// cannot be applied, so that the steps of a failure are passed too.
//
// Between two deaths no object changes twice: docs/reliability.md tells what happens to
// one that moves on after it took effect and before that is in the ledger.
func TestProcessDiesAtEveryDurableStep(t *testing.T) {
	t.Parallel()
	r := scripted(t, 11, fleet.Options{Receivers: 2, Together: true})
	r.fill(60)
	r.script(plant.Script{"s1": {Poison: "Ω"}})
	r.start()
	ready := func() {
		r.eventually(30*time.Second, "all that can be applied is", func() bool {
			for _, site := range r.fleet.Sites() {
				if behind, err := r.in.LedgerBehind(r.ctx, site); err != nil || behind > 0 {
					return false
				}
			}
			return true
		})
	}
	for round := range tier(1, 3) {
		points := overlay.Points()
		r.rnd.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		for _, name := range points {
			ready()
			r.dieAt(name, round+1)
		}
	}
	ready()
	r.mend()
	r.clean(time.Minute)
}

// dieAt makes the process die at the nth passing of a point, and works until it has.
func (r *run) dieAt(name string, nth int) {
	r.t.Helper()
	before := r.fleet.Exits("up")
	r.fleet.Setenv("up", fmt.Sprintf("%s=%s:%d", plant.PointVariable, name, nth))
	r.must(r.fleet.Kill("up"))
	ctx, cancel := context.WithTimeout(r.ctx, 30*time.Second)
	defer cancel()
	r.must(r.fleet.AwaitExit(ctx, "up", before))
	r.source.Rest()
	dead := make(chan error, 1)
	go func() { dead <- r.fleet.AwaitExit(ctx, "up", before+1) }()
	for {
		select {
		case err := <-dead:
			if err != nil {
				r.t.Fatalf("nothing died at %q: %v", name, err)
			}
			r.fleet.Setenv("up") // it is started again in a moment
			r.hist.Add("fault", "died", name, nth)
			r.hist.Count("deaths at a point", 1)
			return
		case <-time.After(20 * time.Millisecond):
			r.must(r.source.StepOnce())
		}
	}
}
