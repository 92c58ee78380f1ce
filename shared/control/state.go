package control

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/bmatcuk/doublestar/v4"

	"synchro.example/shared/subject"
)

// State is what holds at a moment.
type State struct {
	pauses map[string]Pause
	guards map[string]Guard
	sites  map[string]Identity
}

func newState() *State {
	return &State{pauses: map[string]Pause{}, guards: map[string]Guard{}, sites: map[string]Identity{}}
}

func (s *State) clone() *State {
	return &State{pauses: maps.Clone(s.pauses), guards: maps.Clone(s.guards), sites: maps.Clone(s.sites)}
}

// take takes in a message of the stream. One that cannot be read, from a newer version
// perhaps, changes nothing.
func (s *State) take(subj string, body []byte) {
	var (
		p Pause
		g Guard
		i Identity
	)
	switch {
	case subject.IsGuard(subj) && json.Unmarshal(body, &g) == nil:
		s.guards[g.key()] = g
	case subject.IsIdentity(subj) && json.Unmarshal(body, &i) == nil:
		s.sites[i.Site] = i
	case subject.IsPause(subj) && json.Unmarshal(body, &p) == nil && p.Ended:
		delete(s.pauses, p.key())
	case subject.IsPause(subj) && json.Unmarshal(body, &p) == nil:
		s.pauses[p.key()] = p
	}
}

// Pauses gives all pauses, in order.
func (s *State) Pauses() []Pause {
	keys := slices.Sorted(maps.Keys(s.pauses))
	pauses := make([]Pause, 0, len(keys))
	for _, k := range keys {
		pauses = append(pauses, s.pauses[k])
	}
	return pauses
}

// Guards gives the guards that hold removals back, or were told to let go, in order.
func (s *State) Guards() []Guard {
	guards := []Guard{}
	for _, key := range slices.Sorted(maps.Keys(s.guards)) {
		if g := s.guards[key]; !g.Over {
			guards = append(guards, g)
		}
	}
	return guards
}

// Site tells whether a site is paused as a whole.
func (s *State) Site(site string) (Pause, bool) {
	p, ok := s.pauses[Pause{Site: site}.key()]
	return p, ok
}

// Channel tells whether a channel is paused.
func (s *State) Channel(channel string) (Pause, bool) {
	p, ok := s.pauses[Pause{Channel: channel}.key()]
	return p, ok
}

// Path tells whether a path of a receiving site is paused.
func (s *State) Path(site, path string) (Pause, bool) {
	for _, p := range s.pauses {
		if p.Site == site && p.Path != "" && doublestar.MatchUnvalidated(p.Path, path) {
			return p, true
		}
	}
	return Pause{}, false
}

// Guard gives the guard of a source that holds removals back, or was told to let go.
func (s *State) Guard(site string) (Guard, bool) {
	g, ok := s.guards[site]
	return g, ok && !g.Over
}

// ChannelGuard gives the guard of a channel that holds removals back, or was told to let go.
func (s *State) ChannelGuard(channel string) (Guard, bool) {
	g, ok := s.guards[Guard{Channel: channel}.key()]
	return g, ok && !g.Over
}
