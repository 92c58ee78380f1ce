package relay

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"synchro.example/shared/tree"
)

// model says the same as a selection, from scratch each time.
type model map[string]struct {
	parent string
	verdict
}

func (m model) carries(uid string) bool {
	o, ok := m[uid]
	if !ok || o.verdict != no {
		return ok
	}
	for child, c := range m {
		if c.parent == uid && m.carries(child) {
			return true
		}
	}
	return false
}

func (m model) shape(uid string) shape {
	o, ok := m[uid]
	switch {
	case ok && o.verdict == yes:
		return full
	case ok && o.verdict == kept:
		return asItIs
	case m.carries(uid):
		return bare
	}
	return absent
}

// inside tells whether a container is an object itself or lies below it.
func (m model) inside(container, uid string) bool {
	for n := 0; container != "" && n < 100; n++ {
		if container == uid {
			return true
		}
		container = m[container].parent
	}
	return false
}

func TestASelectionCarriesWhatMeetsAndWhatHoldsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := newSelection(), model{}
		shapes := map[string]shape{}
		uids := []string{"", "a", "b", "c", "d", "e", "f"}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			uid := rapid.SampledFrom(uids[1:]).Draw(t, "uid")
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				s.remove(uid, 1, false)
				delete(m, uid)
			} else {
				parent := rapid.SampledFrom(uids).Draw(t, "parent")
				if m.inside(parent, uid) {
					continue // no source moves a container into itself
				}
				v := verdict(rapid.IntRange(0, 2).Draw(t, "verdict"))
				s.put(uid, tree.Place{Parent: parent, Name: uid}, &member{verdict: v})
				o := m[uid]
				o.parent, o.verdict = parent, v
				m[uid] = o
			}
			touched := map[string]bool{}
			for _, uid := range s.take() {
				touched[uid] = true
			}
			for _, uid := range uids[1:] {
				got, want := s.shape(uid), m.shape(uid)
				if got != want {
					t.Fatalf("%s has shape %d, want %d", uid, got, want)
				}
				if got != shapes[uid] && !touched[uid] {
					t.Fatalf("the shape of %s has changed from %d to %d, and nobody is told", uid, shapes[uid], got)
				}
				shapes[uid] = got
			}
		}
	})
}

func TestManyContainersInOneAnotherCostOneStepEach(t *testing.T) {
	s, parent := newSelection(), ""
	for i := range 500 {
		uid := fmt.Sprint(i)
		s.put(uid, tree.Place{Parent: parent, Name: uid}, &member{})
		parent = uid
	}
	s.take()
	s.put("x", tree.Place{Parent: parent, Name: "x"}, &member{verdict: yes})
	if n := len(s.take()); n != 501 {
		t.Errorf("%d objects are touched, want 501", n)
	}
	s.put("y", tree.Place{Parent: parent, Name: "y"}, &member{verdict: yes})
	if n := len(s.take()); n != 2 {
		t.Errorf("%d objects are touched by a second one, want 2", n)
	}
}
