package faults

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/tests/fleet"
	"synchro.example/tests/history"
	"synchro.example/tests/overlay/plant"
	"synchro.example/tests/workload"
)

// effects counts what all receivers did.
func (r *run) effects() (n int) {
	r.t.Helper()
	for _, site := range r.fleet.Sites() {
		writes, err := history.ReadWrites(r.fleet.Writes(site))
		r.must(err)
		n += len(writes)
	}
	return n
}

// TestSiteWithMoods lets a site fail before and after it has done what was asked, be slow
// and go away, and kills its importer meanwhile.
func TestSiteWithMoods(t *testing.T) {
	t.Parallel()
	r := scripted(t, 91, fleet.Options{Receivers: 2, Site: map[string]string{"s1": "attempts: 30"}})
	r.script(plant.Script{"s1": {FailBefore: 0.1, FailAfter: 0.1, Delay: time.Millisecond}})
	r.fill(150)
	r.start()
	r.work(tier(200, 2000), 60)
	r.script(plant.Script{"s1": {Down: true}})
	r.work(100, 60)
	r.eventually(20*time.Second, "the site shows as paused", func() bool {
		sites, err := r.fleet.Status(r.ctx)
		return err == nil && sites["s1"].State == "paused" && sites["s2"].State == "running"
	})
	r.script(plant.Script{"s1": {FailBefore: 0.1, FailAfter: 0.1}})
	r.work(100, 60)
	r.script(plant.Script{})
	r.clean(2 * time.Minute)
}

// TestOnePoisonInAThousand lets one path in a thousand fail at one of three receivers.
func TestOnePoisonInAThousand(t *testing.T) {
	t.Parallel()
	objects := tier(1000, 5000)
	r := scripted(t, 92, fleet.Options{Receivers: 3})
	r.fill(objects)
	clean := r.timeToFill("s1") // of a run in which nothing fails
	poisoned := r.poison(objects / 1000)
	r.script(plant.Script{"s1": {Poison: "^(" + strings.Join(poisoned, "|") + ")$"}})
	r.except = func(site, path string) bool {
		return site == "s1" && slices.ContainsFunc(poisoned, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
	}
	took := r.timeToFill("s1")
	t.Logf("%d objects: %v without and %v with %d that fail", objects, clean, took, len(poisoned))
	failed, err := r.fleet.Errors(r.ctx)
	r.must(err)
	for _, f := range failed {
		if f.Site != "s1" {
			t.Errorf("%s is in ERROR at %s, which is not poisoned", f.Path, f.Site)
		}
		if f.Class == "held" && !strings.HasPrefix(f.Reason, "waits for ") {
			t.Errorf("%s is held and does not say by what: %s", f.Path, f.Reason)
		}
	}
	if len(failed) < len(poisoned) {
		t.Errorf("%d are listed, of %d that failed", len(failed), len(poisoned))
	}
	r.except = func(string, string) bool { return false }
	r.mend()
	r.clean(time.Minute)
}

// poison picks n paths: one of them a folder, so that something has to wait.
func (r *run) poison(n int) (paths []string) {
	r.t.Helper()
	for _, p := range r.source.Files() {
		if dir := filepath.Dir(p); dir != "." && len(paths) == 0 {
			paths = append(paths, dir)
		} else if len(paths) > 0 && len(paths) <= n && !strings.HasPrefix(p, paths[0]+"/") {
			paths = append(paths, p)
		}
	}
	return paths
}

// timeToFill empties all receivers and the broker, and gives the time until a site has
// everything.
func (r *run) timeToFill(site string) time.Duration {
	r.t.Helper()
	r.fleet.KillAll()
	r.must(os.RemoveAll(r.fleet.BrokerDir()))
	for _, s := range r.fleet.Sites() {
		r.must(os.RemoveAll(r.fleet.Path(s)))
		r.must(os.MkdirAll(r.fleet.Path(s), 0o755))
		r.must(os.RemoveAll(r.fleet.Writes(s)))
	}
	start := time.Now()
	r.start()
	r.settle(2 * time.Minute)
	return time.Since(start).Round(time.Millisecond)
}

// TestTwentyReceiversOfWhichSomeAreBroken shows that a dead, a slow and a poisoned
// receiver delay none of the seventeen others.
func TestTwentyReceiversOfWhichSomeAreBroken(t *testing.T) {
	t.Parallel()
	r := scripted(t, 93, fleet.Options{Receivers: 20, Together: true})
	broken := []string{"s1", "s2", "s3"}
	others := func(site, _ string) bool { return slices.Contains(broken, site) }
	r.fill(tier(100, 1000))
	r.start()
	r.settle(time.Minute)
	r.must(r.source.Fill(50))
	whole := r.timeToSettle()
	r.script(plant.Script{"s1": {Down: true}, "s2": {Delay: 200 * time.Millisecond}, "s3": {Poison: "e"}})
	r.must(r.source.Fill(50))
	r.except = others
	beside := r.timeToSettle() // while three are broken, so that none waits for them
	t.Logf("50 changes reach all in %v, and 17 in %v beside three that are broken", whole, beside)
	r.except = func(string, string) bool { return false }
	r.mend()
	r.clean(2 * time.Minute)
}

func (r *run) timeToSettle() time.Duration {
	r.t.Helper()
	start := time.Now()
	r.settle(time.Minute)
	return time.Since(start).Round(time.Millisecond)
}

// TestForeignFilesInTheWay puts what did not come through Synchro where objects belong.
func TestForeignFilesInTheWay(t *testing.T) {
	t.Parallel()
	r := begin(t, 94, fleet.Options{Receivers: 1})
	r.fill(60)
	var taken []string
	for i, p := range r.source.Files() {
		if i%20 == 0 && !strings.Contains(p, "/") {
			taken = append(taken, p)
		}
	}
	r.must(os.WriteFile(filepath.Join(r.fleet.Path(fleet.Source), "obstacle"), workload.Stamp{Key: 0, Rev: 1, Size: 100}.Bytes(), 0o644))
	taken = append(taken, "obstacle")
	for _, p := range taken {
		r.must(os.Symlink("/nowhere", filepath.Join(r.fleet.Path("s1"), p)))
	}
	r.except = func(_, path string) bool { return slices.Contains(taken, path) }
	r.start()
	r.settle(30 * time.Second)
	r.eventually(20*time.Second, "what is in the way is listed", func() bool {
		failed, err := r.fleet.Errors(r.ctx, "--code", "path-taken")
		return err == nil && len(failed) == len(taken)
	})
	for _, p := range taken {
		if target, err := os.Readlink(filepath.Join(r.fleet.Path("s1"), p)); err != nil || target != "/nowhere" {
			t.Errorf("%v: %s was touched: %q, %v", history.Unauthorised, p, target, err)
		}
		r.must(os.Remove(filepath.Join(r.fleet.Path("s1"), p)))
	}
	r.except = func(string, string) bool { return false }
	r.replay()
	r.clean(30 * time.Second)
}
