package importer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

func (w *world) publishPages(n int) {
	for p := range n {
		w.publish(w.put(fmt.Sprintf("page-%d", p), page("text")))
	}
}

func TestNoMoreCallsAreAtTheTargetThanThereAreWorkers(t *testing.T) {
	w := newWorld(t)
	w.site.Size = 1
	var at, most atomic.Int64
	w.site.OnApply = func(context.Context, content.Op) error {
		for n := at.Add(1); n > most.Load(); {
			most.Store(n)
		}
		time.Sleep(5 * time.Millisecond)
		at.Add(-1)
		return nil
	}
	w.publishPages(60)
	w.settle(func(o *Options) { o.Workers = 3 })
	if most.Load() > 3 {
		t.Errorf("there were %d calls at the same time, want at most 3", most.Load())
	}
}

func TestASiteThatIsDownIsNotAskedAgainByWhatWasReady(t *testing.T) {
	w := newWorld(t)
	w.site.Size = 1
	var mu sync.Mutex
	var failed time.Time
	w.site.OnApply = func(context.Context, content.Op) error {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case failed.IsZero():
			time.Sleep(50 * time.Millisecond) // for others to get ready
			failed = time.Now()
			return fault.OfSite(fault.Retry, fault.TargetDown, errors.New("it is down"))
		case time.Since(failed) < 50*time.Millisecond: // the first probe comes later
			t.Error("it was asked again at once")
		}
		return nil
	}
	w.publishPages(8)
	w.settle(func(o *Options) { o.Workers = 1 })
	if n := len(w.paths()); n != 8 {
		t.Errorf("%d pages are there, want 8", n)
	}
}

func TestNothingIsBegunThatWasReadyWhenTheImporterIsToStop(t *testing.T) {
	w := newWorld(t)
	w.site.Size = 1
	began, soft := make(chan struct{}), make(chan struct{})
	var calls atomic.Int64
	w.site.OnApply = func(context.Context, content.Op) error {
		if calls.Add(1) == 1 {
			close(began)
			<-soft
			time.Sleep(300 * time.Millisecond) // for the loop to hear of it
		}
		return nil
	}
	w.publishPages(8)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		time.Sleep(50 * time.Millisecond) // for others to get ready
		cancel()
		close(soft)
	}()
	w.must(w.importer(func(o *Options) { o.Workers = 1 }).Run(ctx, t.Context()))
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls were made, want the one that had begun", n)
	}
}
