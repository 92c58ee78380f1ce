package importer

import (
	"synchro.example/shared/content"
	"synchro.example/shared/ledger"
	"synchro.example/shared/tree"
)

// plan is the site as it will be when every queued task has succeeded: the ledger's
// tree with the queued places laid over it. Tasks lock the paths that they have in
// the plan, which are those that they will have when their turn comes.
type plan struct {
	actual *tree.Tree[*ledger.Entry]
	over   map[string]planned
	at     map[tree.Place]string
}

type planned struct {
	place   tree.Place
	removed bool
}

func newPlan(actual *tree.Tree[*ledger.Entry]) *plan {
	return &plan{actual: actual, over: map[string]planned{}, at: map[tree.Place]string{}}
}

// set lays a queued change over the tree.
func (p *plan) set(uid string, place tree.Place, removed bool) {
	p.clear(uid)
	p.over[uid] = planned{place, removed}
	if !removed {
		p.at[place] = uid
	}
}

// clear takes a queued change away: it has happened, or it will not.
func (p *plan) clear(uid string) {
	if o, ok := p.over[uid]; ok && p.at[o.place] == uid {
		delete(p.at, o.place)
	}
	delete(p.over, uid)
}

// place tells where an object will be; false when it will not be.
func (p *plan) place(uid string) (tree.Place, bool) {
	if o, ok := p.over[uid]; ok {
		return o.place, !o.removed
	}
	return p.actual.Place(uid)
}

func (p *plan) live(uid string) bool {
	_, ok := p.place(uid)
	return ok
}

// holder tells which object will stand at a place.
func (p *plan) holder(place tree.Place) (string, bool) {
	if uid, ok := p.at[place]; ok {
		return uid, true
	}
	uid, ok := p.actual.At(place)
	if !ok {
		return "", false
	}
	if o, queued := p.over[uid]; queued && (o.removed || o.place != place) {
		return "", false
	}
	return uid, true
}

// pathIn gives the path of a place; false when its container will not be.
func (p *plan) pathIn(place tree.Place) (string, bool) {
	path := place.Name
	for depth := 0; place.Parent != ""; depth++ {
		above, ok := p.place(place.Parent)
		if !ok || depth == maxDepth {
			return "", false
		}
		path = above.Name + "/" + path
		place = above
	}
	return path, true
}

// inside tells whether an object will lie in another one, or be it.
func (p *plan) inside(uid, container string) bool {
	for depth := 0; uid != "" && depth < maxDepth; depth++ {
		if uid == container {
			return true
		}
		at, ok := p.place(uid)
		if !ok {
			return false
		}
		uid = at.Parent
	}
	return false
}

func (p *plan) path(uid string) (string, bool) {
	place, ok := p.place(uid)
	if !ok {
		return "", false
	}
	return p.pathIn(place)
}

// maxDepth bounds a chain of containers.
const maxDepth = 1024

func placeOf(c *content.Change) tree.Place {
	return tree.Place{Parent: c.Object.ParentUID, Name: c.Object.Name}
}
