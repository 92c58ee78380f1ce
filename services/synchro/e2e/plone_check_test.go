//go:build unix

package e2e

import (
	"strings"
	"testing"
	"time"
)

func TestAPloneSiteIsCheckedAndACopyOfOneIsRefusedUntilSomebodyAdoptsIt(t *testing.T) {
	w, from, to := plones(t)
	if r := w.synchro("check"); r.status != 0 {
		t.Fatalf("before the first run the check fails:\n%s%s", r.stdout, r.stderr)
	}
	if rows := to.rows(); len(rows) > 0 {
		t.Fatalf("the check leaves %v on the receiver", rows)
	}
	from.call("POST", "", object{"@type": "Folder", "id": "one", "title": "one"})
	time.Sleep(2 * time.Second)
	w.once()
	// The first sites of both instances are copies of one another.
	twin := newPlone(w, strings.TrimSuffix(to.base, "plone-b")+"plone-a")
	w.configure(to.yaml(), twin.yaml())
	from.call("PATCH", "one", object{"title": "two"})
	w.start(synchro, "up")
	w.eventually("the copy is refused", func() string {
		reason := w.status()["paris"].Reason
		if strings.Contains(reason, "identity") {
			return ""
		}
		return "it says " + reason
	})
	if rows := twin.rows(); len(rows) > 0 {
		t.Errorf("before anybody adopts it the copy has %v", rows)
	}
	if r := w.synchro("check"); r.status != 1 || !strings.Contains(r.stdout, "synchro adopt --site NAME") {
		t.Errorf("the check of the copy ends with %d:\n%s", r.status, r.stdout)
	}
	if r := w.synchro("adopt", "--site", "paris", "--reason", "the test wants it"); r.status != 0 {
		t.Fatalf("it cannot be adopted: %s", r.stderr)
	}
	w.eventually("what changes then arrives", func() string {
		if row := twin.rows()["one"]; row == nil {
			return "there is nothing"
		}
		return differs(from, twin)
	})
	if r := w.synchro("check"); r.status != 0 || !strings.Contains(r.stdout, "the test wants it") {
		t.Errorf("the check of the adopted copy ends with %d:\n%s", r.status, r.stdout)
	}
}
