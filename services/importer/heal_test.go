package importer

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
)

// refer makes the object at a path refer to others, and notes what it lacked each time
// that it was applied.
func (w *world) refer(p string, uids ...string) (lacked func() [][]string) {
	there := map[string]bool{}
	var log [][]string
	w.site.OnApplied = func(_ context.Context, op content.Op) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		there[op.Change.Object.UID] = op.To != ""
		if op.To != p {
			return nil
		}
		op.Note.Missing = slices.DeleteFunc(slices.Clone(uids), func(uid string) bool { return there[uid] })
		op.Note.State += "x"
		log = append(log, op.Note.Missing)
		return nil
	}
	return func() [][]string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Clone(log)
	}
}

func TestAnObjectIsAppliedOnceMoreWhenAllThatItRefersToHasCome(t *testing.T) {
	w := newWorld(t)
	lacked := w.refer("a", "uid-b", "uid-c")
	w.publish(w.put("a", contenttest.Leaf("a", 1)), w.put("b", contenttest.Leaf("b", 2)), w.put("c", contenttest.Leaf("c", 3)))
	w.settle(func(o *Options) { o.Workers = 1 })
	got := lacked()
	if last := got[len(got)-1]; len(last) != 0 || len(got) > 2 {
		t.Errorf("applied with %v missing, want at most two times, at last with nothing", got)
	}
}

func TestWhatAnObjectLacksSurvivesARestart(t *testing.T) {
	w := newWorld(t)
	lacked := w.refer("a", "uid-b", "uid-never")
	w.publish(w.put("a", contenttest.Leaf("a", 1)))
	w.settle()
	w.publish(w.put("b", contenttest.Leaf("b", 2)))
	w.settle()
	w.settle()
	if got, want := fmt.Sprint(lacked()), "[[uid-b uid-never] [uid-never]]"; got != want {
		t.Errorf("applied with %v missing, want %v", got, want)
	}
}

func TestAnObjectThatIsRemovedLacksNothing(t *testing.T) {
	w := newWorld(t)
	lacked := w.refer("a", "uid-b")
	w.publish(w.put("a", contenttest.Leaf("a", 1)))
	w.settle()
	w.publish(w.remove("a", content.TypeFile), w.put("b", contenttest.Leaf("b", 2)))
	w.settle()
	if got := lacked(); len(got) != 1 {
		t.Errorf("applied with %v missing, want once", got)
	}
}

func TestANoteComesBackToTheTarget(t *testing.T) {
	w := newWorld(t)
	var states []string
	w.site.OnApplied = func(_ context.Context, op content.Op) error {
		states = append(states, op.Note.State)
		op.Note.State += "x"
		return nil
	}
	for mark := range 3 {
		w.publish(w.put("a", contenttest.Leaf("a", mark)))
		w.settle()
	}
	if got := fmt.Sprintf("%q", states); got != `["" "x" "xx"]` {
		t.Errorf("the target was told %s", got)
	}
}
