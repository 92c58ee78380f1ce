// Package schedule decides which changes of one site may run now. It knows paths
// and nothing else, and does no I/O.
//
// Two tasks conflict when a path of one is a path of the other or lies above it:
// the same object, a container and what lies below, a place that one frees and
// another takes, a move and anything below either end. Conflicting tasks run in
// the order in which they were added, all others at the same time.
//
// It works as hierarchical locks do (Gray et al., "Granularity of Locks", 1976):
// a task passes through every node above its paths and takes the nodes of its
// paths whole. Each node keeps its tasks in order of arrival, in groups that may
// be there together. Adding and finishing a task costs the depth of its paths,
// however many tasks wait.
package schedule

import (
	"cmp"
	"slices"
	"strings"
)

// Task is one unit of work.
type Task[V any] struct {
	Value V

	turn  int // counts the tasks that were added
	waits int // groups of its own that are not granted
	holds []*group[V]
}

// group is a run of tasks that may be at a node at the same time.
type group[V any] struct {
	node    *node[V]
	whole   bool
	granted bool
	left    int        // tasks that are not done
	waiting []*Task[V] // tasks to tell when it is granted
	newest  *Task[V]
	next    *group[V]
}

type node[V any] struct {
	name        string
	parent      *node[V]
	below       map[string]*node[V]
	first, last *group[V]
}

// Scheduler holds what was added and not finished. Not safe for concurrent use.
type Scheduler[V any] struct {
	root  node[V]
	ready []*Task[V] // in order of arrival
	open  int
	added int
}

// New makes an empty scheduler.
func New[V any]() *Scheduler[V] { return &Scheduler[V]{} }

// Open is the number of tasks that were added and are not done.
func (s *Scheduler[V]) Open() int { return s.open }

// Add takes in a task that works on paths, which are slash-separated and need not
// exist. Equal paths count once; no path at all conflicts with nothing.
func (s *Scheduler[V]) Add(v V, paths ...string) *Task[V] {
	t := &Task[V]{Value: v, turn: s.added}
	s.open++
	s.added++
	for i, p := range paths {
		if !slices.Contains(paths[:i], p) {
			s.lock(t, p)
		}
	}
	if t.waits == 0 {
		s.mayRun(t)
	}
	return t
}

// mayRun puts a task among those that are ready. One that has waited comes before those that
// arrived after it: what it is about may be needed by them.
func (s *Scheduler[V]) mayRun(t *Task[V]) {
	at, _ := slices.BinarySearchFunc(s.ready, t, func(a, b *Task[V]) int { return cmp.Compare(a.turn, b.turn) })
	s.ready = slices.Insert(s.ready, at, t)
}

func (s *Scheduler[V]) lock(t *Task[V], path string) {
	n := &s.root
	rest, more := path, true
	for more {
		n.join(t, false)
		var name string
		name, rest, more = strings.Cut(rest, "/")
		n = n.child(name)
	}
	n.join(t, true)
}

func (n *node[V]) child(name string) *node[V] {
	if c, ok := n.below[name]; ok {
		return c
	}
	if n.below == nil {
		n.below = map[string]*node[V]{}
	}
	c := &node[V]{name: name, parent: n}
	n.below[name] = c
	return c
}

// join queues t at n. A task that is in the last group already, by another of its
// paths, does not wait for itself.
func (n *node[V]) join(t *Task[V], whole bool) {
	g := n.last
	switch {
	case g != nil && g.newest == t:
		if whole && !g.whole {
			n.narrow(t)
		}
		return
	case g == nil || g.whole || whole:
		g = n.extend(whole)
	}
	n.enter(g, t)
}

func (n *node[V]) extend(whole bool) *group[V] {
	g := &group[V]{node: n, whole: whole}
	if n.last == nil {
		n.first, g.granted = g, true
	} else {
		n.last.next = g
	}
	n.last = g
	return g
}

func (n *node[V]) enter(g *group[V], t *Task[V]) {
	g.newest = t
	g.left++
	t.holds = append(t.holds, g)
	if !g.granted {
		g.waiting = append(g.waiting, t)
		t.waits++
	}
}

// narrow takes t out of the last group, which it entered to pass through, and gives
// it a group of its own behind: one of its paths lies above the other.
func (n *node[V]) narrow(t *Task[V]) {
	g := n.last
	if g.left == 1 {
		g.whole = true
		return
	}
	g.left--
	g.newest = nil
	t.holds = slices.DeleteFunc(t.holds, func(h *group[V]) bool { return h == g })
	if !g.granted {
		g.waiting = g.waiting[:len(g.waiting)-1]
		t.waits--
	}
	n.enter(n.extend(true), t)
}

// Next gives a task that may run now, in order of arrival as far as possible, or
// nil. Each task is given once.
func (s *Scheduler[V]) Next() *Task[V] {
	if len(s.ready) == 0 {
		return nil
	}
	t := s.ready[0]
	s.ready[0] = nil
	s.ready = s.ready[1:]
	return t
}

// Ready is the number of tasks that Next would give.
func (s *Scheduler[V]) Ready() int { return len(s.ready) }

// Done ends a task that Next gave and lets those go that waited for it.
func (s *Scheduler[V]) Done(t *Task[V]) {
	s.open--
	for _, g := range t.holds {
		g.left--
		if g.left == 0 && g.granted && g.node.first == g {
			s.advance(g.node)
		}
	}
	t.holds = nil
}

// advance grants the next group of a node, and drops a node that nobody needs.
func (s *Scheduler[V]) advance(n *node[V]) {
	for n.first != nil && n.first.left == 0 {
		n.first = n.first.next
		if n.first == nil {
			n.last = nil
			n.prune()
			return
		}
		s.grant(n.first)
	}
}

func (s *Scheduler[V]) grant(g *group[V]) {
	g.granted = true
	for _, t := range g.waiting {
		t.waits--
		if t.waits == 0 {
			s.mayRun(t)
		}
	}
	g.waiting = nil
}

func (n *node[V]) prune() {
	for n.parent != nil && n.first == nil && len(n.below) == 0 {
		delete(n.parent.below, n.name)
		n = n.parent
	}
}
