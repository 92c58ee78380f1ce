package exporter

import (
	"path"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/tree"
)

// step is one change that the log lacks.
type step struct {
	uid     string
	place   tree.Place
	path    string
	item    content.Item // zero for a removal
	removed bool
	kind    string // its type, where the log does not know it
	// aside gives the object a name of its own for a moment, because its place and
	// the one it goes to are part of a ring.
	aside bool
	// resigned says that the log has the removal already, and only lacks its signature.
	resigned bool
}

// comparison matches a listing with the inventory.
type comparison struct {
	inv       *inventory               // the log
	site      *inventory               // the site as it is known otherwise, which may be the log
	items     map[string]*content.Item // by uid
	elsewhere map[string]string        // identity to the path that has it
	uids      map[string]string        // path of a listed item to its uid
	claimed   map[string]bool          // uids that the listing has
	shielded  map[string]bool          // uids of containers that could not be looked into
	steps     map[string]*step         // by uid
	order     []*step                  // as listed
	unsettled int
	problems  []problem
}

// difference is what the log lacks of a listing.
type difference struct {
	steps []*step
	// unsettled counts the objects that could not be judged yet, and problems has those
	// of them that will not be without somebody's help.
	unsettled int
	problems  []problem
	// busy counts the objects that the site's importer works on.
	busy int
}

// compare finds the steps that make the log equal to a listing, in an order in which
// each can be applied: containers before what they hold, removals the other way
// round, a place freed before it is taken.
func compare(inv, site *inventory, items []content.Item) *comparison {
	c := &comparison{
		inv: inv, site: site, items: map[string]*content.Item{}, elsewhere: map[string]string{}, uids: map[string]string{"": ""},
		claimed: map[string]bool{}, shielded: map[string]bool{}, steps: map[string]*step{},
	}
	for i := range items {
		if items[i].Identity != "" {
			c.elsewhere[items[i].Identity] = items[i].Path
		}
	}
	for i := range items {
		c.match(&items[i])
	}
	c.findRemoved()
	return c
}

func (c *comparison) arranged() difference {
	return difference{steps: arrange(c.inv, c.steps, c.order), unsettled: c.unsettled, problems: c.problems}
}

func parentPath(p string) string {
	if d := path.Dir(p); d != "." {
		return d
	}
	return ""
}

func (c *comparison) match(item *content.Item) {
	parent, ok := c.uids[parentPath(item.Path)]
	if !ok {
		return // its container is left out, and so is it
	}
	place := tree.Place{Parent: parent, Name: path.Base(item.Path)}
	uid, isKnown := c.resolve(item, place)
	item.Unsettled = item.Unsettled || c.site != c.inv && isAside(item.Path)
	if item.Unsettled {
		c.postpone(item, uid)
		if !isKnown {
			return
		}
	}
	c.uids[item.Path] = uid
	c.claimed[uid] = true
	c.items[uid] = item
	if item.Unsettled {
		c.shielded[uid] = true
		return
	}
	if k, _ := c.inv.tree.Get(uid); isKnown && !k.unsigned && k.fingerprint == item.Fingerprint && c.stands(uid, place) && c.site.versionOf(uid) <= k.version {
		return
	}
	c.add(&step{uid: uid, place: place, path: item.Path, item: *item})
}

// postpone leaves an item for a later listing: soon, unless somebody must do something
// about it before.
func (c *comparison) postpone(item *content.Item, uid string) {
	if item.Problem == nil {
		c.unsettled++
	} else if p, ok := problemOf(uid, item.Path, fault.Of(item.Problem)); ok {
		c.problems = append(c.problems, p)
	}
}

func (c *comparison) add(s *step) {
	c.steps[s.uid] = s
	c.order = append(c.order, s)
}

func (c *comparison) stands(uid string, p tree.Place) bool {
	at, ok := c.inv.tree.Place(uid)
	return ok && at == p
}

// resolve finds the object that an item is: by the site's own uid, by the identity
// that a rename keeps, by its place, or a new one.
func (c *comparison) resolve(item *content.Item, place tree.Place) (uid string, isKnown bool) {
	if item.UID != "" {
		_, isKnown = c.site.tree.Get(item.UID)
		return item.UID, isKnown
	}
	if uid, ok := c.site.byIdentity[item.Identity]; ok && item.Identity != "" && c.same(uid, item) {
		return uid, true
	}
	if uid, ok := c.site.tree.At(place); ok && c.same(uid, item) && !c.movedAway(uid, item) {
		return uid, true
	}
	return c.site.newUID(item.Path, func(uid string) bool { return c.claimed[uid] }), false
}

func (c *comparison) same(uid string, item *content.Item) bool {
	k, ok := c.site.tree.Get(uid)
	return ok && k.kind == item.Type && !c.claimed[uid]
}

// movedAway tells whether the object that stood here is another item of the listing.
func (c *comparison) movedAway(uid string, item *content.Item) bool {
	k, _ := c.site.tree.Get(uid)
	at, ok := c.elsewhere[k.identity]
	return k.identity != "" && ok && at != item.Path
}

func (c *comparison) findRemoved() {
	for uid := range c.inv.tree.All() {
		c.remove(c.inv, uid)
	}
	for uid := range c.site.tree.All() { // it went before the log had it
		if _, logged := c.inv.tree.Get(uid); !logged {
			c.remove(c.site, uid)
		}
	}
}

func (c *comparison) remove(inv *inventory, uid string) {
	if !c.claimed[uid] && !inShield(inv, c.shielded, uid) {
		place, _ := inv.tree.Place(uid)
		p, _ := inv.tree.Path(uid)
		k, _ := inv.tree.Get(uid)
		c.add(&step{uid: uid, place: place, path: p, removed: true, kind: k.kind})
	}
}

// inShield tells whether an object may still be there, in a container that could
// not be looked into.
func inShield(inv *inventory, shielded map[string]bool, uid string) bool {
	for range maxDepth {
		place, ok := inv.tree.Place(uid)
		if !ok || place.Parent == "" {
			return false
		}
		if shielded[place.Parent] {
			return true
		}
		uid = place.Parent
	}
	return false
}
