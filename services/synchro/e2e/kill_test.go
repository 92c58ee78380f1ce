//go:build unix

package e2e

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// killer kills processes at moments that its seed decides.
type killer struct {
	*world
	rnd *rand.Rand
	// known has the digest of everything that ever stood in the source: a receiver
	// must not show anything else, whenever it is looked at.
	known map[[sha256.Size]byte]bool
	round int
}

func newKiller(t *testing.T) *killer {
	t.Helper()
	w := newWorld(t, "paris", "lyon", "nice")
	w.fill("net", "image", "text", "os")
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	return &killer{world: w, rnd: rand.New(rand.NewPCG(seed, 0)), known: map[[sha256.Size]byte]bool{}}
}

// step changes the source: first as in the other runs, then a little each time, so that
// there is something under way when the next process dies.
func (k *killer) step() {
	k.t.Helper()
	k.round++
	if k.round == 2 {
		k.edit()
	} else if k.round > 2 {
		k.change(100, fmt.Sprint("round ", k.round))
		k.add(fmt.Sprintf("round-%d", k.round), 40)
		k.rename(fmt.Sprintf("%s/net%d", source, k.round-1), fmt.Sprintf("%s/net%d", source, k.round))
	}
	for _, e := range k.look(source, true) {
		k.known[e.digest] = true
	}
}

// moment lets a random time pass.
func (k *killer) moment(most time.Duration) {
	time.Sleep(time.Duration(k.rnd.Int64N(int64(most))))
}

// whole checks that no receiver shows half a file.
func (k *killer) whole() {
	k.t.Helper()
	for _, name := range k.receivers {
		for p, e := range k.look(name, true) {
			if !k.known[e.digest] {
				k.t.Fatalf("round %d: %s has a file that never was on the source: %s %v", k.round, name, p, e)
			}
		}
	}
}

// settles ends the run: all must be equal, and what was done twice is told.
func (k *killer) settles(what string, kills int) {
	k.t.Helper()
	k.becomesEqual(k.receivers...)
	twice, all := 0, 0
	for _, name := range k.receivers {
		twice += k.twice(name)
		all += len(k.writes(name, 0))
	}
	figure(k.t, what, "%d kills; equal, nothing pending; %d of %d changes applied twice", kills, twice, all)
}

func TestKillingTheAllInOneLosesNothing(t *testing.T) {
	long(t)
	k := newKiller(t)
	kills := pick(4, 20)
	for range kills {
		k.step()
		p := k.start(synchro, "up")
		k.moment(2500 * time.Millisecond)
		p.kill()
		k.whole()
	}
	k.start(synchro, "up")
	k.settles("kill -9 of the all-in-one", kills)
}

func TestKillingAnyProcessLosesNothing(t *testing.T) {
	long(t)
	k := newKiller(t)
	f := commands(k.world)
	f.up("broker", "exporter", "relay", "paris", "lyon", "nice")
	each := pick(1, 20)
	var victims []string
	for range each {
		victims = append(victims, sortedKeys(f.args)...)
	}
	k.rnd.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	for _, service := range victims {
		k.step()
		k.moment(1500 * time.Millisecond)
		f.alive[service].kill()
		k.moment(300 * time.Millisecond)
		f.up(service)
		k.whole()
	}
	k.settles("kill -9 of each process", len(victims))
}
