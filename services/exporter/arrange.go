package exporter

import (
	"slices"

	"synchro.example/shared/tree"
)

// asideName begins the name that an object has for a moment while a ring of moves
// is carried out one by one.
const asideName = ".synchro-aside-"

// arrangement sorts steps by what each needs done before it.
type arrangement struct {
	inv   *inventory
	steps map[string]*step
	state map[string]progress
	moved map[string]bool // uids that an aside step has taken from their place
	out   []*step
}

type progress int

const (
	untouched progress = iota
	underway
	finished
)

func arrange(inv *inventory, steps map[string]*step, order []*step) []*step {
	a := &arrangement{inv: inv, steps: steps, state: map[string]progress{}, moved: map[string]bool{}}
	for _, s := range order {
		if s.removed {
			a.visit(s) // first, so that what is gone makes room
		}
	}
	for _, s := range order {
		a.visit(s)
	}
	return a.out
}

// visit puts out a step after everything that it needs. It is false when something
// that it needs is under way itself and waits for this step: the step then stays
// for later, and whoever waits must do without.
func (a *arrangement) visit(s *step) bool {
	if a.state[s.uid] != untouched {
		return a.state[s.uid] == finished
	}
	a.state[s.uid] = underway
	if !a.prepare(s) {
		a.state[s.uid] = untouched
		return false
	}
	a.state[s.uid] = finished
	a.out = append(a.out, s)
	return true
}

func (a *arrangement) prepare(s *step) bool {
	if s.removed {
		return a.emptyFirst(s)
	}
	return a.containerFirst(s) && a.freeFirst(s)
}

// emptyFirst lets everything leave a container that goes.
func (a *arrangement) emptyFirst(s *step) bool {
	for _, child := range slices.Sorted(a.inv.tree.Children(s.uid)) {
		c, ok := a.steps[child]
		if !ok || a.visit(c) {
			continue
		}
		if c.removed {
			return false
		}
		a.stepAside(c)
	}
	return true
}

// containerFirst makes or moves the container before what it holds. One that only
// changes otherwise need not come first.
func (a *arrangement) containerFirst(s *step) bool {
	c, ok := a.steps[s.place.Parent]
	if !ok {
		return true
	}
	at, live := a.inv.tree.Place(c.uid)
	if live && at == c.place {
		return true
	}
	return a.visit(c)
}

// freeFirst clears the place that a step takes.
func (a *arrangement) freeFirst(s *step) bool {
	holder, ok := a.inv.tree.At(s.place)
	if !ok || holder == s.uid {
		return true
	}
	h, ok := a.steps[holder]
	if !ok || a.visit(h) {
		return true
	}
	if h.removed {
		return false
	}
	a.stepAside(h)
	return true
}

// stepAside breaks a ring: an object that is in the way leaves its place for a name
// of its own at the root, where no step can be in its way.
func (a *arrangement) stepAside(s *step) {
	if a.moved[s.uid] {
		return
	}
	a.moved[s.uid] = true
	aside := *s
	aside.aside = true
	aside.place = tree.Place{Name: asideName + s.uid}
	aside.path = aside.place.Name
	a.out = append(a.out, &aside)
}
