package faults

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"synchro.example/tests/fleet"
	"synchro.example/tests/overlay"
	"synchro.example/tests/overlay/plant"
)

// scripted is begin with the binary that has points, planted bugs and scripted sites.
func scripted(t *testing.T, seed uint64, o fleet.Options) *run {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short")
	}
	binary, err := overlay.Binary()
	must(t, err)
	script := filepath.Join(t.TempDir(), "script.json")
	o.Binary = binary
	o.Env = append(o.Env, plant.ScriptVariable+"="+script)
	r := begin(t, seed, o)
	r.scriptFile = script
	r.script(plant.Script{})
	return r
}

// script says how sites behave from now on.
func (r *run) script(s plant.Script) {
	r.t.Helper()
	b, err := json.Marshal(s)
	r.must(err)
	r.hist.Add("fault", "script", "", s)
	next := r.scriptFile + ".next"
	r.must(os.WriteFile(next, b, 0o644))
	r.must(os.Rename(next, r.scriptFile))
}

// mend makes all sites work again, replays what failed, and waits until nothing is left.
func (r *run) mend() {
	r.t.Helper()
	r.script(plant.Script{})
	r.replay()
}

// replay asks for another try of everything that failed, and counts what it was.
func (r *run) replay(args ...string) {
	r.t.Helper()
	failed, err := r.fleet.Errors(r.ctx)
	r.must(err)
	for _, f := range failed {
		if f.Class == "held" {
			r.hist.Count("held", 1)
		} else {
			r.hist.Count("parked", 1)
		}
	}
	r.hist.Count("replays", len(failed))
	out, status, err := r.fleet.Run(r.ctx, append([]string{"replay"}, args...)...)
	r.must(err)
	if status != 0 {
		r.t.Fatalf("replay ended with status %d: %s", status, out)
	}
}
