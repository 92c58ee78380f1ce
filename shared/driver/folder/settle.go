//go:build unix

package folder

import (
	"sync"
	"time"
)

// settler tells files that may still be being written from those at rest. It goes
// by the change time, which no program can set. Where that lies in the future
// (the file server's clock, or a clock that was set back), it goes by how long the
// file has looked the same. Safe for concurrent use.
type settler struct {
	quiet time.Duration
	now   func() time.Time

	mu     sync.Mutex
	round  uint64
	future map[string]sighting
}

type sighting struct {
	fingerprint string
	first       time.Time
	round       uint64
}

func newSettler(quiet time.Duration, now func() time.Time) *settler {
	return &settler{quiet: quiet, now: now, future: map[string]sighting{}}
}

// unsettled tells whether a file is not to be read yet.
func (s *settler) unsettled(path string, st stat) bool {
	now := s.now()
	age := now.Sub(st.ctime.time())
	if age >= 0 {
		return age < s.quiet
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.future[path]
	if fp := st.fingerprint(); !ok || seen.fingerprint != fp {
		seen = sighting{fingerprint: fp, first: now}
	}
	seen.round = s.round
	s.future[path] = seen
	return now.Sub(seen.first) < s.quiet
}

// begin starts a listing, and end, after a whole one, forgets what it did not see.
func (s *settler) begin() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round++
	return s.round
}

func (s *settler) end(round uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, seen := range s.future {
		if seen.round < round {
			delete(s.future, path)
		}
	}
}
