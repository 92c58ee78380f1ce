package faults

import (
	"sync"
	"testing"
	"time"

	"synchro.example/tests/faultnet"
	"synchro.example/tests/fleet"
)

// behindProxy makes a fleet whose services reach the broker through a proxy.
func behindProxy(t *testing.T, seed uint64, receivers int) (*run, *faultnet.Proxy) {
	t.Helper()
	var proxy *faultnet.Proxy
	r := begin(t, seed, fleet.Options{Receivers: receivers, Through: func(broker string) string {
		p, err := faultnet.Listen(broker)
		must(t, err)
		t.Cleanup(p.Close)
		proxy = p
		return p.Addr()
	}})
	return r, proxy
}

// TestLinesAreCutAfterEveryFewBytes cuts connections after k bytes either way, for many k:
// the answers to what was stored are lost as well as the questions.
func TestLinesAreCutAfterEveryFewBytes(t *testing.T) {
	t.Parallel()
	r, proxy := behindProxy(t, 51, 2)
	r.fill(100)
	r.start()
	r.settle(30 * time.Second)
	during(func(stop <-chan struct{}) {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(20+r.rnd.IntN(100)) * time.Millisecond):
			}
			way := faultnet.Direction(i % 2)
			k := r.rnd.Int64N(20_000)
			r.hist.Add("fault", "cut", "", k)
			proxy.CutAfter(way, k)
		}
	}, func() { r.work(tier(600, 6000), 60) })
	proxy.Heal()
	r.hist.Count("cuts", proxy.Cuts())
	r.clean(time.Minute)
}

// TestPartitionsAndHalfOpenLines takes the network away in each way for a while.
func TestPartitionsAndHalfOpenLines(t *testing.T) {
	t.Parallel()
	r, proxy := behindProxy(t, 52, 2)
	r.fill(80)
	r.start()
	r.settle(30 * time.Second)
	long := tier(3*time.Second, 30*time.Second)
	for _, fault := range []struct {
		name string
		on   func()
	}{
		{"partition", func() { proxy.Partition(true) }},
		{"answers are lost", func() { proxy.Block(faultnet.Down, true) }},
		{"questions are lost", func() { proxy.Block(faultnet.Up, true) }},
		{"slow", func() { proxy.Delay(faultnet.Up, 60*time.Millisecond); proxy.Delay(faultnet.Down, 60*time.Millisecond) }},
		{"flapping", nil},
	} {
		r.hist.Add("fault", fault.name, "", nil)
		if fault.on != nil {
			fault.on()
		}
		r.outage(proxy, long, fault.on == nil)
		proxy.Heal()
		start := time.Now()
		r.settle(12 * time.Second) // a relay whose line was dead must not need its ack wait of a minute
		t.Logf("%s for %v: equal %v after it was healed", fault.name, long, time.Since(start).Round(100*time.Millisecond))
	}
	r.hist.Count("cuts", proxy.Cuts())
	r.clean(time.Minute)
}

// outage works on the source for a while, and lets the line flap meanwhile if asked.
func (r *run) outage(proxy *faultnet.Proxy, long time.Duration, flaps bool) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	if flaps {
		wg.Go(func() {
			for on := true; ; on = !on {
				proxy.Partition(on)
				select {
				case <-stop:
					return
				case <-time.After(300 * time.Millisecond):
				}
			}
		})
	}
	r.work(int(long/time.Second)*40, 40)
	close(stop)
	wg.Wait()
}
