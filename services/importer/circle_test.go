package importer

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
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

func TestASessionEndsWhileSomebodyIsAboutToHandItSomething(t *testing.T) {
	w := newWorld(t)
	w.must(stream.Ensure(t.Context(), w.js, stream.Export("paris")))
	i := w.importer(onCircle)
	s := newSession(i)
	stop, err := s.listen(t.Context())
	w.must(err)
	c := w.put("a", page("edited here"))
	m, err := envelope.Message(subject.ExportToProcess("paris", c.Object.UID), c, "", "")
	w.must(err)
	_, err = w.log.Publish(t.Context(), []*nats.Msg{m})
	w.must(err)
	w.publish(c)
	w.eventually("the change is here", func() bool { return len(s.inbox) == 1 }) // and by then mostly the other, for which there is no loop

	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("it waits for what nobody takes")
	}
}
