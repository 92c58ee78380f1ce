package plone

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// order gives the names of what is at the top of a site.
func (w world) order(t *testing.T) (names []string) {
	t.Helper()
	out := must[jsonMap](t)(w.call("GET", w.base+"/@search?path.depth=1&sort_on=getObjPositionInParent&show_inactive=1&b_size=1000", nil))
	for _, item := range out["items"].([]any) {
		names = append(names, path.Base(item.(jsonMap)["@id"].(string)))
	}
	return names
}

func TestTheOrderAtTheTopOfASiteArrives(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		a, b, m := two(t, fresh)
		top := func(s *site, id string) {
			must[jsonMap](t)(s.call("PATCH", s.base, jsonMap{"ordering": jsonMap{"obj_id": id, "delta": "top"}}))
		}
		for _, id := range []string{"one", "two", "three", "four"} {
			a.put(t, "", "Folder", id, nil)
		}
		b.put(t, "", "Document", "local", nil)
		top(a, "four")
		noErrors(t, m.sync())
		if got, want := b.order(t), []string{"local", "four", "one", "two", "three"}; !slices.Equal(got, want) {
			t.Errorf("the order is %v, want %v", got, want)
		}
		changes := m.changes
		top(a, "three")
		noErrors(t, m.sync())
		if got, want := strings.Join(b.order(t), " "), "three four one two"; strings.ReplaceAll(got, "local ", "") != want {
			t.Errorf("the order is %s, want %s and local somewhere", got, want)
		}
		if n := m.changes - changes; n != 1 {
			t.Errorf("a new order is carried by %d objects, want one", n)
		}
		effects := m.target.effects
		noErrors(t, newMirror(t, a.source(t), m.to).sync())
		if n := m.target.effects - effects; n > 0 {
			t.Errorf("a second run writes %d times", n)
		}
	})
}
