package importer

import (
	"context"
	"slices"
	"sync"
	"testing"

	"synchro.example/shared/content"
)

// TestWhatFollowsARemovalOvertakesNothing has three changes of one object under way: the site
// is busy with the first, a removal waits for that, and so the third finds the object gone
// in the plan.
func TestWhatFollowsARemovalOvertakesNothing(t *testing.T) {
	for about, third := range map[string]struct {
		is   func(w *world) *content.Change
		want []string
	}{
		"another removal": {func(w *world) *content.Change { return w.remove("page", content.TypeFile) }, nil},
		"a return at another place": {func(w *world) *content.Change {
			w.uids["elsewhere"] = w.uids["page"]
			return w.put("elsewhere", page("2"))
		}, []string{"elsewhere"}},
	} {
		t.Run(about, func(t *testing.T) {
			w := newWorld(t)
			busy, letGo := w.busyWith("page")
			i := w.importer()
			w.start(i)
			w.publish(w.put("page", page("1")))
			<-busy
			w.publish(w.remove("page", content.TypeFile), w.put("x", page("x")))
			w.eventually("the removal is taken in", func() bool { return w.has("x") })
			w.publish(third.is(w), w.put("y", page("y")))
			w.eventually("the third is taken in", func() bool { return slices.Contains(w.paths(), "y") })
			letGo()
			w.eventually("all take effect, in order", func() bool { return i.Done() == 5 && w.has(append(third.want, "x", "y")...) })
		})
	}
}

// busyWith lets the site begin with what first goes to a path, and do that when it is let go.
func (w *world) busyWith(path string) (busy <-chan struct{}, letGo func()) {
	begun, end := make(chan struct{}), make(chan struct{})
	w.site.Size = 1 // so that it does other things meanwhile
	once := sync.OnceFunc(func() {
		close(begun)
		<-end
	})
	w.site.OnApply = func(_ context.Context, op content.Op) error {
		if op.To == path {
			once()
		}
		return nil
	}
	letGo = sync.OnceFunc(func() { close(end) })
	w.t.Cleanup(letGo)
	return begun, letGo
}
