package importer

import (
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/stream"
)

func onCircle(o *Options) { o.Circle = []string{"hq", "lyon", "paris"} }

func TestWhatLostItsPlaceOnACircleTakesItWhenTheOtherLeaves(t *testing.T) {
	w := newWorld(t)
	w.must(stream.Ensure(t.Context(), w.js, stream.Export("paris")))
	older := w.put("b", page("older"))
	older.Object.Name, older.Object.Path = "a", "a"
	newer := w.put("a", page("newer"))
	w.publish(newer, older)
	w.settle(onCircle)
	w.want("a")
	w.wantFailures("a waiting")

	w.publish(w.move("a", "c", page("newer")))
	w.settle(onCircle)
	w.want("a", "c")
	w.wantFailures()
	things, err := w.site.Things()
	w.must(err)
	if got := things["a"].Data; got != "older" {
		t.Errorf("at the place stands %q", got)
	}
}

func TestWhatWaitsForAPlaceOnACircleGoesOnWhenWhoHeldItLosesIt(t *testing.T) {
	w := newWorld(t)
	w.must(stream.Ensure(t.Context(), w.js, stream.Export("paris")))
	oldest, holder, newest := w.put("1", page("oldest")), w.put("2", page("holder")), w.put("3", page("newest"))
	for _, c := range []*content.Change{oldest, holder, newest} {
		c.Object.Name, c.Object.Path = "a", "a"
	}
	w.publish(holder, oldest)
	w.settle(onCircle)
	w.publish(newest)
	w.settle(onCircle)
	w.wantFailures("a waiting")
	w.publish(w.move("3", "c", page("newest")))
	w.settle(onCircle)
	w.want("a", "c")
	w.wantFailures()
}
