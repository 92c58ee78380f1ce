package faults

import (
	"sync"
	"testing"
	"time"

	"synchro.example/tests/fleet"
	"synchro.example/tests/overlay/plant"
)

// TestReplayIsSafeWhileNewerChangesFlow lets many objects of one site fail, and replays
// them, twice and from several hands, while their source goes on to change them.
func TestReplayIsSafeWhileNewerChangesFlow(t *testing.T) {
	t.Parallel()
	objects := tier(2000, 20_000)
	r := scripted(t, 101, fleet.Options{Receivers: 2})
	r.script(plant.Script{"s1": {Poison: "."}})
	r.fill(objects)
	r.start()
	r.eventually(3*time.Minute, "all have failed", func() bool {
		sites, err := r.fleet.Status(r.ctx)
		return err == nil && sites["s1"].Errors >= objects
	})
	start := time.Now()
	out, status, err := r.fleet.Run(r.ctx, "replay", "--site", "s1", "--dry-run")
	r.must(err)
	if status != 0 {
		t.Fatalf("the plan ended with status %d: %.500s", status, out)
	}
	t.Logf("the plan for %d took %v", objects, time.Since(start).Round(time.Millisecond))
	r.work(30, 60) // newer state for some, while nothing can be applied
	r.script(plant.Script{})
	start = time.Now()
	during(func(stop <-chan struct{}) { _, _ = r.source.Steps(1_000_000, 40, stop) }, func() {
		var hands sync.WaitGroup
		for range 3 {
			hands.Go(func() {
				if _, _, err := r.fleet.Run(r.ctx, "replay", "--site", "s1"); err != nil {
					r.hist.Add("note", err.Error(), "replay", nil)
				}
			})
		}
		hands.Wait()
		r.replay("--site", "s1")
		r.eventually(3*time.Minute, "nothing is left in ERROR", func() bool {
			sites, err := r.fleet.Status(r.ctx)
			return err == nil && sites["s1"].Errors == 0
		})
		t.Logf("the replay of %d took %v", objects, time.Since(start).Round(time.Millisecond))
	})
	r.clean(2 * time.Minute)
	settled, err := r.in.Settled(r.ctx)
	r.must(err)
	t.Logf("settled: %v", settled)
	r.hist.Count("superseded", settled["superseded"])
	r.hist.Count("replays", settled["applied"])
}
