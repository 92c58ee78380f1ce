package faults

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"

	"synchro.example/tests/fleet"
)

var totals = struct {
	sync.Mutex
	counts map[string]int
	bugs   map[string]string // planted, and by what they were found
}{counts: map[string]int{}, bugs: map[string]string{}}

func addTotals(counts map[string]int) {
	totals.Lock()
	defer totals.Unlock()
	for what, n := range counts {
		totals.counts[what] += n
	}
}

// mustOccur are the counts that may not be zero when all tests ran: what never happened
// was not tested.
var mustOccur = []string{
	"changes", "effects", "reads", "audits", "kills", "freezes", "redeliveries", "superseded", "held", "parked",
	"repaired", "take-overs", "cuts", "damages", "replays", "deaths at a point", "syscalls failed",
}

func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	fleet.RemoveBuilds()
	if whole() && !printTotals() && status == 0 {
		status = 1
	}
	os.Exit(status)
}

// whole tells whether no test was left out.
func whole() bool {
	return !testing.Short() && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.list").Value.String() == ""
}

// printTotals ends the run with what happened in it. It is false when something did not.
func printTotals() bool {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nWHAT HAPPENED\tHOW OFTEN")
	all := true
	for _, what := range mustOccur {
		n := totals.counts[what]
		note := ""
		if n == 0 {
			note, all = "\tNEVER: it was not tested", false
		}
		fmt.Fprintf(w, "%s\t%d%s\n", what, n, note)
	}
	for _, what := range slices.Sorted(maps.Keys(totals.counts)) {
		if !slices.Contains(mustOccur, what) {
			fmt.Fprintf(w, "%s\t%d\n", what, totals.counts[what])
		}
	}
	fmt.Fprintln(w, "\nPLANTED BUG\tFOUND BY")
	for _, name := range slices.Sorted(maps.Keys(totals.bugs)) {
		fmt.Fprintf(w, "%s\t%s\n", name, totals.bugs[name])
	}
	_ = w.Flush()
	return all
}
