package relay

import (
	"maps"
	"slices"

	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// verdict is what a channel's expression says of an object.
type verdict int

const (
	no verdict = iota
	yes
	kept // the expression fails for it, and the channel has it
)

// shape is how a channel carries an object.
type shape int

const (
	absent shape = iota
	bare         // id and type only: something below it is carried
	full
	asItIs // what the channel has of it stays
)

// member is an object of the source.
type member struct {
	kind    string // its type
	version version.Version
	verdict verdict
	// back says that all receivers have made it themselves, and that the channel leaves it
	// as they have it.
	back bool
}

// selection knows every object of a source, what the expression says of it, and so how
// the channel is to carry it. It does no I/O.
type selection struct {
	tree *tree.Tree[*member]
	// below counts what stands directly in a container and is carried, also for
	// containers that are not known yet.
	below map[string]int
	// gone are the removals that the source's log remembers.
	gone map[string]version.Version
	// stays are those of the removals that do not concern the channel.
	stays map[string]bool
	// require says that nothing is carried whose containers are not carried whole.
	require bool
	// touched are the objects whose shape may have changed.
	touched map[string]bool
}

func newSelection() *selection {
	return &selection{
		tree: tree.New[*member](), below: map[string]int{}, gone: map[string]version.Version{}, stays: map[string]bool{}, touched: map[string]bool{},
	}
}

// versionOf is the version in which the selection knows an object, or its removal.
func (s *selection) versionOf(uid string) version.Version {
	if m, ok := s.tree.Get(uid); ok {
		return m.version
	}
	return s.gone[uid]
}

// put takes in an object. It tells whether the paths of what lies below it have changed.
func (s *selection) put(uid string, p tree.Place, m *member) (moved bool) {
	old, known := s.tree.Place(uid)
	s.change(uid, func() { s.tree.Put(uid, p, m) })
	delete(s.gone, uid)
	delete(s.stays, uid)
	return (!known || old != p) && !s.tree.Empty(uid)
}

// remove takes in a removal. stays says that it does not concern the channel.
func (s *selection) remove(uid string, v version.Version, stays bool) {
	if delete(s.stays, uid); stays {
		s.stays[uid] = true
	}
	s.change(uid, func() { s.tree.Remove(uid) })
	s.gone[uid] = v
}

// change lets do change one object, and counts what follows for its containers.
func (s *selection) change(uid string, do func()) {
	s.touched[uid] = true
	before, was := s.container(uid), s.carried(uid)
	do()
	after, is := s.container(uid), s.carried(uid)
	if before == after && was == is {
		return
	}
	if s.require {
		for _, below := range s.under(uid) {
			s.touched[below] = true
		}
		return
	}
	if was {
		s.count(before, -1)
	}
	if is {
		s.count(after, 1)
	}
}

func (s *selection) container(uid string) string {
	p, _ := s.tree.Place(uid)
	return p.Parent
}

// carried tells whether the channel carries an object, in whatever shape.
func (s *selection) carried(uid string) bool {
	m, ok := s.tree.Get(uid)
	if s.require {
		_, held := s.heldBy(uid)
		return ok && m.verdict != no && !held
	}
	return ok && (m.verdict != no || s.below[uid] > 0)
}

// heldBy gives the container because of which an object is not carried although it meets
// the expression itself; an empty one is not known yet.
func (s *selection) heldBy(uid string) (container string, held bool) {
	if !s.require {
		return "", false
	}
	for range maxDepth {
		if uid = s.container(uid); uid == "" {
			return "", false
		}
		m, known := s.tree.Get(uid)
		if !known {
			return "", true
		}
		if m.verdict == no {
			return uid, true
		}
	}
	return "", true
}

// maxDepth bounds a chain of containers.
const maxDepth = 1024

// count goes up as long as something changes.
func (s *selection) count(uid string, by int) {
	for uid != "" {
		was := s.carried(uid)
		if s.below[uid] += by; s.below[uid] == 0 {
			delete(s.below, uid)
		}
		s.touched[uid] = true
		if s.carried(uid) == was {
			return
		}
		uid = s.container(uid)
	}
}

// shape tells how the channel is to carry an object.
func (s *selection) shape(uid string) shape {
	m, ok := s.tree.Get(uid)
	_, held := s.heldBy(uid)
	switch {
	case !ok, held:
		return absent
	case m.verdict == yes:
		return full
	case m.verdict == kept:
		return asItIs
	case s.below[uid] > 0:
		return bare
	}
	return absent
}

// under gives all objects below a container, each container before what it holds.
func (s *selection) under(uid string) []string {
	var all []string
	seen := map[string]bool{uid: true}
	for next := []string{uid}; len(next) > 0; next = next[1:] {
		for child := range s.tree.Children(next[0]) {
			if !seen[child] {
				seen[child] = true
				all, next = append(all, child), append(next, child)
			}
		}
	}
	return all
}

// all gives every object that is known, or known to be gone. What only the channel's log
// has is not among them: the source's log has lost it, and its exporter will say more.
func (s *selection) all() []string {
	var uids []string
	for uid := range s.tree.All() {
		uids = append(uids, uid)
	}
	return slices.AppendSeq(uids, maps.Keys(s.gone))
}

// take gives the objects whose shape may have changed since it was called last.
func (s *selection) take() []string {
	var uids []string
	for uid := range s.touched {
		uids = append(uids, uid)
	}
	clear(s.touched)
	return uids
}
