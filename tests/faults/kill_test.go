package faults

import (
	"fmt"
	"testing"
	"time"

	"synchro.example/tests/fleet"
)

// TestAllProcessesKilledEveryFewSeconds is the run of the promise: random changes to a
// tree, and everything, the broker included, is killed again and again.
func TestAllProcessesKilledEveryFewSeconds(t *testing.T) {
	for _, seed := range tier([]uint64{1}, []uint64{1, 2, 3, 4, 5}) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := begin(t, seed, fleet.Options{Receivers: tier(3, 5)})
			r.fill(tier(300, 2000))
			r.start()
			r.settle(2 * time.Minute)
			during(func(stop <-chan struct{}) {
				r.killSome(tier(500*time.Millisecond, 2*time.Second), tier(2*time.Second, 6*time.Second), stop)
			}, func() {
				r.work(tier(1200, 10_000), tier(50, 33))
			})
			r.clean(2 * time.Minute)
		})
	}
}
