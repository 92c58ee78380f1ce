//go:build unix

package e2e

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestFourPloneTargetsAtOnce(t *testing.T) {
	instances := strings.Fields(os.Getenv("SYNCHRO_PLONE"))
	if len(instances) < 3 {
		t.Skip("no three instances of Plone are up: scripts/plone with 3 go test ./services/synchro/e2e -run FourPlone")
	}
	names := []string{"paris", "lyon", "nice", "rome"}
	at := []string{instances[1] + "/plone-b", instances[2] + "/plone-a", instances[2] + "/plone-b", instances[1] + "/plone-a"}
	var from *plone
	var alone time.Duration
	for n := range 2 {
		some := names[:1+3*n]
		w := newWorld(t, some...)
		w.write("password", "secret\n")
		if from == nil {
			from = newPlone(w, instances[0]+"/plone-a")
			from.mix(pick(45, 200), 1<<20)
			time.Sleep(3 * time.Second) // the second that the last date names is to be over
		}
		w.configure("folder: {path: ./hq}", from.yaml())
		var sites []*plone
		for i, name := range some {
			p := newPlone(w, at[i])
			sites = append(sites, p)
			w.configure("folder: {path: ./"+name+", writes: ./"+name+".writes}", p.yaml())
		}
		for _, name := range some { // the instances are copies of one another
			w.succeeds("adopt", "--site", name, "--reason", "it is a copy that is made for tests")
		}
		start := time.Now()
		w.succeeds("up", "--once")
		took := time.Since(start)
		for i, p := range sites {
			if d := differs(from, p); d != "" {
				t.Fatalf("%s: %s", some[i], d)
			}
		}
		if alone == 0 {
			alone = took
			continue
		}
		figure(t, "Plone to four Plones", "%.1f s, %.1f times as long as to one (%.1f s), on two servers with this machine's processors", took.Seconds(), took.Seconds()/alone.Seconds(), alone.Seconds())
	}
}
