package importer

import (
	"context"
	"fmt"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
)

// TestManyFailuresAreReplayedWhileNewerChangesFlow replays 20,000 failures of one site, a
// part of which has newer state by then. Nothing old may come back.
func TestManyFailuresAreReplayedWhileNewerChangesFlow(t *testing.T) {
	count := 20_000
	if testing.Short() {
		count = 1000
	}
	w := newWorld(t)
	paths := make([]string, count)
	changes := make([]*content.Change, count)
	for i := range paths {
		paths[i] = fmt.Sprintf("page-%05d", i)
		changes[i] = w.put(paths[i], page("old"))
	}
	poison := w.poison(denied, paths...)
	w.publish(changes...)
	start := time.Now()
	w.settle(wide)
	if n := len(w.failures()); n != count {
		t.Fatalf("%d failures, want %d", n, count)
	}
	t.Logf("%d failures are kept after %v", count, time.Since(start))
	poison.mend()
	guard := w.refuseOld()
	start = time.Now()
	w.ask(deadletter.Request{By: "me"})
	t.Logf("asked for after %v", time.Since(start))
	for i := 0; i < count; i += 10 {
		w.publish(w.put(paths[i], page("new")))
	}
	w.settle(wide)
	t.Logf("replayed after %v", time.Since(start))
	w.wantFailures()
	things, err := w.site.Things()
	w.must(err)
	for i, p := range paths {
		if want := map[bool]string{true: "new", false: "old"}[i%10 == 0]; things[p].Data != want {
			t.Fatalf("%s holds %q, want %q", p, things[p].Data, want)
		}
	}
	if *guard > 0 {
		t.Errorf("%d stale overwrites", *guard)
	}
}

// refuseOld counts ops that would put an older version over a newer one.
func (w *world) refuseOld() *int {
	stale := new(int)
	newest := map[string]content.Change{}
	w.site.OnApply = func(_ context.Context, op content.Op) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if op.Change.Version < newest[op.Change.Object.UID].Version {
			*stale++
			return fault.Errorf(fault.Park, fault.Invalid, "stale")
		}
		newest[op.Change.Object.UID] = *op.Change
		return nil
	}
	return stale
}

func wide(o *Options) { o.Window, o.Workers = 1000, 8 }
