// Package tree keeps where objects are: a set of nodes, each named by uid, that
// know their container and their name in it. Paths follow from that, so a
// container that moves takes along what lies below it in one step.
package tree

import (
	"iter"
	"maps"
	"strings"
)

// maxDepth bounds a path's segments; a chain that is longer, or that bites its own
// tail, has no path.
const maxDepth = 1024

// Place is a name in a container. The empty container is the root.
type Place struct{ Parent, Name string }

// Tree holds nodes with a value each. A node may stand before its container is
// known; it has no path until then. Not safe for concurrent use.
type Tree[V any] struct {
	nodes    map[string]*node[V]
	places   map[Place]string
	children map[string]map[string]struct{}
}

type node[V any] struct {
	place Place
	value V
}

// New makes an empty tree.
func New[V any]() *Tree[V] {
	return &Tree[V]{
		nodes: map[string]*node[V]{}, places: map[Place]string{}, children: map[string]map[string]struct{}{},
	}
}

// Len is the number of nodes.
func (t *Tree[V]) Len() int { return len(t.nodes) }

// Get gives the value of a node.
func (t *Tree[V]) Get(uid string) (v V, ok bool) {
	n, ok := t.nodes[uid]
	if ok {
		v = n.value
	}
	return v, ok
}

// Place tells where a node is.
func (t *Tree[V]) Place(uid string) (Place, bool) {
	if n, ok := t.nodes[uid]; ok {
		return n.place, true
	}
	return Place{}, false
}

// At tells which node stands at a place: the last that was put there.
func (t *Tree[V]) At(p Place) (uid string, ok bool) {
	uid, ok = t.places[p]
	return uid, ok
}

// Put adds a node, or moves it and sets its value.
func (t *Tree[V]) Put(uid string, p Place, v V) {
	if n, ok := t.nodes[uid]; ok {
		n.value = v
		if n.place != p {
			t.leave(uid, n.place)
			n.place = p
		}
	} else {
		t.nodes[uid] = &node[V]{place: p, value: v}
	}
	t.places[p] = uid
	if t.children[p.Parent] == nil {
		t.children[p.Parent] = map[string]struct{}{}
	}
	t.children[p.Parent][uid] = struct{}{}
}

// Remove forgets a node. What lies below it stays, without a path.
func (t *Tree[V]) Remove(uid string) {
	if n, ok := t.nodes[uid]; ok {
		t.leave(uid, n.place)
		delete(t.nodes, uid)
	}
}

func (t *Tree[V]) leave(uid string, p Place) {
	if t.places[p] == uid {
		delete(t.places, p)
	}
	delete(t.children[p.Parent], uid)
	if len(t.children[p.Parent]) == 0 {
		delete(t.children, p.Parent)
	}
}

// Children yields the uids of what stands directly in a container, in no order.
func (t *Tree[V]) Children(uid string) iter.Seq[string] { return maps.Keys(t.children[uid]) }

// Empty tells whether nothing stands directly in a container.
func (t *Tree[V]) Empty(uid string) bool { return len(t.children[uid]) == 0 }

// All yields every uid with its value, in no order.
func (t *Tree[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for uid, n := range t.nodes {
			if !yield(uid, n.value) {
				return
			}
		}
	}
}

// Path gives the slash-separated path of a node below the root. It is false for an
// unknown node and for one whose chain of containers does not reach the root.
func (t *Tree[V]) Path(uid string) (string, bool) {
	names := make([]string, 0, 8)
	for ; uid != ""; uid = t.nodes[uid].place.Parent {
		n, ok := t.nodes[uid]
		if !ok || len(names) == maxDepth {
			return "", false
		}
		names = append(names, n.place.Name)
	}
	for i, j := 0, len(names)-1; i < j; i, j = i+1, j-1 {
		names[i], names[j] = names[j], names[i]
	}
	return strings.Join(names, "/"), true
}

// PathIn gives the path of a name in a container.
func (t *Tree[V]) PathIn(p Place) (string, bool) {
	if p.Parent == "" {
		return p.Name, true
	}
	above, ok := t.Path(p.Parent)
	if !ok {
		return "", false
	}
	return above + "/" + p.Name, true
}
