// Package version orders the changes of one source. A version is a value of a
// hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): near
// to wall time, and strictly rising whatever the wall clock does.
package version

import (
	"fmt"
	"strconv"
	"sync"
	"time"
)

// counterBits are the low bits that count within one millisecond.
const counterBits = 16

// Version is milliseconds since 1970 in the upper 48 bits and a counter in the
// lower 16. Zero means "none"; larger is newer, within one
// source or circle of sites only.
type Version uint64

// Time is the wall time that the version was made near to, to the millisecond.
func (v Version) Time() time.Time { return time.UnixMilli(int64(v >> counterBits)) }

// String prints 16 hexadecimal digits, so that text order is version order.
func (v Version) String() string { return fmt.Sprintf("%016x", uint64(v)) }

// Parse reads what String printed.
func Parse(s string) (Version, error) {
	if len(s) != 16 {
		return 0, fmt.Errorf("version %q: want 16 hexadecimal digits", s)
	}
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("version %q: want 16 hexadecimal digits", s)
	}
	return Version(n), nil
}

// MarshalJSON writes the text of String: a number of 64 bits does not survive in every
// reader of JSON.
func (v Version) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(v.String())), nil }

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Version) UnmarshalJSON(b []byte) error {
	s, err := strconv.Unquote(string(b))
	if err != nil {
		return fmt.Errorf("version %s: want a text", b)
	}
	*v, err = Parse(s)
	return err
}

// Clock makes versions. It is safe for concurrent use.
type Clock struct {
	mu   sync.Mutex
	last Version
	now  func() time.Time
	// slot and of: each version is slot more than a multiple of of.
	slot, of Version
}

// NewClock makes a clock whose first version lies above last. now is the wall
// clock, time.Now when nil.
func NewClock(last Version, now func() time.Time) *Clock {
	if now == nil {
		now = time.Now
	}
	return &Clock{last: last, now: now}
}

// Among makes the clock give only versions that are slot more than a multiple of of, so that
// those of several clocks, each with a slot of its own, never are the same.
func (c *Clock) Among(slot, of int) *Clock {
	c.slot, c.of = Version(slot), Version(of)
	return c
}

// Next gives a version above every earlier one of this clock.
func (c *Clock) Next() Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := Version(max(c.now().UnixMilli(), 0)) << counterBits
	c.last = max(c.last+1, wall)
	if c.of > 1 {
		c.last += (c.slot + c.of - c.last%c.of) % c.of
	}
	return c.last
}

// Observe makes the clock go on above v.
func (c *Clock) Observe(v Version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, v)
}
