package faults

import (
	"slices"
	"testing"
	"time"

	"synchro.example/tests/fleet"
	"synchro.example/tests/history"
	"synchro.example/tests/overlay"
	"synchro.example/tests/overlay/plant"
)

// planted are the bugs, each with a run that must show it, and the invariants by one of
// which it must be found.
var planted = map[string]struct {
	by  []history.Invariant
	run func(r *run) []history.Violation
}{
	"ack-before-apply":     {[]history.Invariant{history.DurableWord}, killedWhileApplying},
	"ledger-by-sequence":   {[]history.Invariant{history.Convergence, history.NoneLost}, streamMadeAnew},
	"drop-one-in-thousand": {[]history.Invariant{history.Convergence}, manyChanges},
	"swap-two-changes":     {[]history.Invariant{history.Order}, manyEdits},
	"replay-fresh-version": {[]history.Invariant{history.FromNowhere}, replayed},
	"skip-folder-sync":     {[]history.Invariant{history.DurableWord}, syncsTraced},
}

func TestEveryPlantedBugIsFound(t *testing.T) {
	for name := range overlay.Bugs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "skip-folder-sync" {
				needStrace(t)
			}
			r := scripted(t, 21, fleet.Options{Receivers: 1, Env: []string{plant.BugVariable + "=" + name}})
			r.hasty = true
			found := planted[name].run(r)
			i := slices.IndexFunc(found, func(v history.Violation) bool { return slices.Contains(planted[name].by, v.Invariant) })
			if i < 0 {
				t.Fatalf("%s (%s) was not found by any of %v; the judge said %q", name, overlay.Bugs[name], planted[name].by, found)
			}
			totals.Lock()
			totals.bugs[name] = found[i].String()
			totals.Unlock()
		})
	}
}

// TestRunsForPlantedBugsAreCleanWithoutThem keeps the one above honest: it is the bug
// that is found, and not the run.
func TestRunsForPlantedBugsAreCleanWithoutThem(t *testing.T) {
	for name := range overlay.Bugs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "skip-folder-sync" {
				needStrace(t)
			}
			r := scripted(t, 21, fleet.Options{Receivers: 1})
			for _, v := range planted[name].run(r) {
				t.Errorf("%v", v)
			}
		})
	}
}

// killedWhileApplying kills an importer that has taken more than it has applied.
func killedWhileApplying(r *run) []history.Violation {
	r.fill(300)
	r.script(plant.Script{"s1": {Delay: 10 * time.Millisecond}})
	r.start()
	r.eventually(30*time.Second, "something is applied", func() bool {
		writes, err := history.ReadWrites(r.fleet.Writes("s1"))
		return err == nil && len(writes) > 20
	})
	r.fleet.KillAll(fleet.Importer("s1"))
	accounts, err := r.in.Accounts(r.ctx, "s1")
	r.must(err)
	r.auditOf(history.JudgeAccounts("s1", accounts, false))
	r.script(plant.Script{})
	r.must(r.fleet.Start(r.ctx, fleet.Importer("s1")))
	return r.verdict(30 * time.Second)
}

// streamMadeAnew deletes the channel's log while everything runs.
func streamMadeAnew(r *run) []history.Violation {
	r.fill(100)
	r.start()
	r.settle(30 * time.Second)
	r.work(100, 100)
	r.settle(30 * time.Second)
	r.blind()
	r.deleteStream(channelLog)
	r.work(60, 50)
	return r.verdict(20 * time.Second)
}

func manyChanges(r *run) []history.Violation {
	r.fill(1100)
	r.start()
	return r.verdict(20 * time.Second)
}

func manyEdits(r *run) []history.Violation {
	r.fill(40)
	r.start()
	r.settle(30 * time.Second)
	r.work(200, 50)
	return r.verdict(10 * time.Second)
}

// replayed lets some objects fail and replays them while newer changes come.
func replayed(r *run) []history.Violation {
	r.fill(80)
	r.script(plant.Script{"s1": {Poison: "data|Ω"}})
	r.start()
	r.eventually(30*time.Second, "something has failed", func() bool {
		behind, err := r.in.LedgerBehind(r.ctx, "s1")
		failed, err2 := r.fleet.Errors(r.ctx)
		return err == nil && err2 == nil && behind == 0 && len(failed) > 3
	})
	r.script(plant.Script{})
	during(func(stop <-chan struct{}) { _, _ = r.source.Steps(1000, 50, stop) }, func() { r.replay() })
	return r.verdict(30 * time.Second)
}
