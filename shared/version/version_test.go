package version

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestVersionsRiseWhateverTheWallClockDoes(t *testing.T) {
	times := []int64{1000, 1000, 1001, 5, -7, 0, 2000, 1999, math.MaxInt32}
	i := 0
	c := NewClock(0, func() time.Time { i++; return time.UnixMilli(times[(i-1)%len(times)]) })
	last := Version(0)
	for range 10 * len(times) {
		v := c.Next()
		if v <= last {
			t.Fatalf("%v follows %v", v, last)
		}
		last = v
	}
}

func TestAClockGoesOnAboveWhatItHasSeen(t *testing.T) {
	at := time.UnixMilli(1000)
	clock := func() time.Time { return at }
	c := NewClock(Version(2000)<<16, clock)
	if v := c.Next(); v != Version(2000)<<16+1 {
		t.Errorf("got %v", v)
	}
	c.Observe(Version(3000) << 16)
	c.Observe(5)
	if v := c.Next(); v != Version(3000)<<16+1 {
		t.Errorf("got %v", v)
	}
	if v := NewClock(0, clock).Next(); !v.Time().Equal(at) {
		t.Errorf("%v was made at %v, not %v", v, v.Time(), at)
	}
	if v := NewClock(0, nil).Next(); time.Since(v.Time()).Abs() > time.Minute {
		t.Errorf("%v was made at %v", v, v.Time())
	}
}

func TestVersionsOfOneClockAreDistinct(t *testing.T) {
	c := NewClock(0, nil)
	var mu sync.Mutex
	var all []Version
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				v := c.Next()
				mu.Lock()
				all = append(all, v)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 4000 {
		t.Errorf("%d of 4000 are distinct", n)
	}
}

func TestTextOrderIsVersionOrderAndComesBack(t *testing.T) {
	all := []Version{0, 1, 9, 10, 1 << 16, 1<<63 - 1, 1 << 63, math.MaxUint64}
	for i, v := range all {
		back, err := Parse(v.String())
		if err != nil || back != v {
			t.Errorf("%v: got %v, %v", v, back, err)
		}
		if i > 0 && all[i-1].String() >= v.String() {
			t.Errorf("%s is not before %s", all[i-1], v)
		}
	}
	for _, s := range []string{"", "0", "000000000000000g", "00000000000000001", "+000000000000001", "0x00000000000001"} {
		if v, err := Parse(s); err == nil {
			t.Errorf("%q is read as %v", s, v)
		}
	}
}

func TestClocksOfOneCircleNeverGiveTheSameVersion(t *testing.T) {
	still := func() time.Time { return time.UnixMilli(1_700_000_000_000) }
	seen := map[Version]int{}
	for slot := range 4 {
		c := NewClock(0, still).Among(slot, 4)
		last := Version(0)
		for range 1000 {
			v := c.Next()
			if other, taken := seen[v]; taken || v <= last {
				t.Fatalf("clock %d gives %v after %v, which clock %d has given", slot, v, last, other)
			}
			seen[v], last = slot, v
			c.Observe(v + 1)
		}
	}
}
