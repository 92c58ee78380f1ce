package faults

import (
	"encoding/json"
	"testing"
	"time"

	"synchro.example/shared/changelog"
	"synchro.example/shared/lease"
	"synchro.example/shared/subject"
	"synchro.example/tests/fleet"
)

// TestFrozenProcessChangesNothingWhenItWakes freezes the active one of two exporters and
// of two importers, works on until the other one has taken over, and wakes it.
func TestFrozenProcessChangesNothingWhenItWakes(t *testing.T) {
	t.Parallel()
	r := begin(t, 61, fleet.Options{Receivers: 2})
	importer := fleet.Importer("s1")
	pairs := []struct {
		first, second   fleet.Role
		stream, subject string
	}{
		{importer, r.fleet.Second(importer), ledgerOf("s1"), subject.ImportLease("s1")},
		{"exporter", r.fleet.Second("exporter"), sourceLog, subject.ExportLease(fleet.Source)},
	}
	r.fill(80)
	r.must(r.fleet.Start(r.ctx, "broker", "relay", "exporter", importer, fleet.Importer("s2")))
	r.watch()
	r.settle(30 * time.Second)
	for _, p := range pairs {
		r.must(r.fleet.Start(r.ctx, p.second))
	}
	for round := range tier(1, 6) {
		for _, p := range pairs {
			active, other := p.first, p.second
			if round%2 == 1 {
				active, other = other, active
			}
			r.takeOver(active, other, p.stream, p.subject)
		}
	}
	r.clean(time.Minute)
}

// takeOver freezes a process while changes flow, and wakes it among the writes of the one
// that has taken over.
func (r *run) takeOver(active, other fleet.Role, stream, subj string) {
	r.t.Helper()
	before := r.holder(stream, subj)
	during(func(stop <-chan struct{}) { _, _ = r.source.Steps(1_000_000, 40, stop) }, func() {
		time.Sleep(300 * time.Millisecond)
		r.must(r.fleet.Freeze(active))
		start := time.Now()
		r.eventually(15*time.Second, string(other)+" has taken over", func() bool {
			now := r.holder(stream, subj)
			return now != "" && now != before
		})
		r.t.Logf("%s took over %v after %s was frozen", other, time.Since(start).Round(100*time.Millisecond), active)
		r.hist.Count("take-overs", 1)
		time.Sleep(500 * time.Millisecond)
		r.must(r.fleet.Thaw(active))
		time.Sleep(1500 * time.Millisecond)
	})
	r.settle(40 * time.Second)
}

// holder names who has a lease, empty when nobody has.
func (r *run) holder(stream, subj string) string {
	m, err := changelog.Newest(r.ctx, r.in.JS, stream, subj)
	if err != nil || m == nil {
		return ""
	}
	var h lease.Holder
	if json.Unmarshal(m.Data, &h) != nil {
		return ""
	}
	return h.ID
}
