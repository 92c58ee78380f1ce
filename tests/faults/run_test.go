package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"synchro.example/tests/fleet"
	"synchro.example/tests/history"
	"synchro.example/tests/workload"
)

var (
	nightly = flag.Bool("nightly", false, "run the long tier")
	seeded  = flag.Uint64("seed", 0, "use this `seed` instead of each run's own")
)

// patience is how many times longer than on a quiet machine anything may take: others may
// work on this one. Only what fails waits for so long.
const patience = 4

// tier chooses by the tier.
func tier[T any](short, long T) T {
	if *nightly {
		return long
	}
	return short
}

// run is a fleet with somebody who works on its source, readers on its receivers, and
// everything that is needed to judge it.
type run struct {
	t      *testing.T
	ctx    context.Context
	seed   uint64
	rnd    *rand.Rand
	hist   *history.History
	fleet  *fleet.Fleet
	source *workload.Source
	in     *fleet.Inside

	// except tells paths of a site that are none of the source's business, or that are
	// known to fail.
	except func(site, path string) bool
	// scriptFile is what scripted sites read.
	scriptFile string
	// hasty is set where something is expected not to come about, so that it is not waited for.
	hasty bool

	stop    context.CancelFunc
	beside  sync.WaitGroup
	readers []*workload.Reader

	mu      sync.Mutex
	auditOn bool
	found   []history.Violation
	audits  int
}

// begin makes the folder of a run. Nothing runs yet.
func begin(t *testing.T, seed uint64, o fleet.Options) *run {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short")
	}
	if *seeded != 0 {
		seed = *seeded
	}
	dir, err := os.MkdirTemp("", "synchro-faults-") //nolint:usetesting // it is kept when the test fails
	must(t, err)
	hist, err := history.New(filepath.Join(dir, "history.jsonl"))
	must(t, err)
	if o.Binary == "" {
		o.Binary, err = fleet.Binary()
		must(t, err)
	}
	o.Dir, o.History = dir, hist
	what := fmt.Sprintf("seed %d, commit %s, %d receivers, together %v, sites %v", seed, fleet.Commit(t.Context()), o.Receivers, o.Together, o.Site)
	t.Logf("%s, in %s", what, dir)
	hist.Add("run", t.Name(), what, nil)
	r := &run{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 2)), hist: hist, auditOn: true, except: func(string, string) bool { return false }}
	r.fleet, err = fleet.New(o)
	must(t, err)
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.source = workload.NewSource(r.fleet.Path(fleet.Source), seed, hist)
	t.Cleanup(func() { r.end(dir) })
	return r
}

// end stops everything, and keeps the folder when something is wrong.
func (r *run) end(dir string) {
	r.stop()
	r.beside.Wait()
	r.fleet.KillAll()
	if r.in != nil {
		r.in.Close()
	}
	addTotals(r.hist.Counts())
	_ = r.hist.Close()
	if r.t.Failed() {
		r.t.Logf("everything is kept in %s; run it again with -run '^%s$' -seed %d", dir, r.t.Name(), r.seed)
		return
	}
	_ = os.RemoveAll(dir)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *run) must(err error) {
	r.t.Helper()
	must(r.t, err)
}

// start starts the fleet, the readers and the audit.
func (r *run) start() {
	r.t.Helper()
	r.must(r.fleet.Start(r.ctx))
	r.watch()
}

func (r *run) watch() {
	r.t.Helper()
	if r.in != nil {
		return // it was started before
	}
	var err error
	r.in, err = r.fleet.Connect()
	r.must(err)
	for _, site := range r.fleet.Sites() {
		reader := workload.NewReader(site, r.fleet.Path(site), r.source.Written, func(p string) bool { return r.except(site, p) })
		r.readers = append(r.readers, reader)
		r.beside.Go(func() { reader.Run(r.ctx, time.Duration(r.fleet.Receivers)*2*time.Millisecond) })
	}
	r.beside.Go(r.audit)
}

// audit looks again and again whether what is acknowledged is also in a ledger.
func (r *run) audit() {
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(time.Second):
		}
		for _, site := range r.fleet.Sites() {
			ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
			accounts, err := r.in.Accounts(ctx, site)
			cancel()
			if err == nil {
				r.auditOf(history.JudgeAccounts(site, accounts, false))
			}
		}
	}
}

func (r *run) auditOf(found []history.Violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.auditOn {
		return
	}
	r.audits++
	if len(r.found) < 20 {
		r.found = append(r.found, found...)
	}
}

// blind ends the audit: a run that damages the broker's data makes it say what it should
// not have to.
func (r *run) blind() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auditOn = false
}

// fill gives the source n objects.
func (r *run) fill(n int) {
	r.t.Helper()
	r.must(r.source.Fill(n))
}

// work changes the source, n times, so many in a second.
func (r *run) work(n, perSecond int) {
	r.t.Helper()
	_, err := r.source.Steps(n, perSecond, nil)
	r.must(err)
	r.hist.Count("changes", n)
}

// gather makes and edits things and moves and removes none. Where the broker forgets what
// a site has, what goes away meanwhile stays on the site (docs/reliability.md).
func (r *run) gather(n, perSecond int) {
	r.t.Helper()
	r.must(r.source.Gather(n, perSecond))
	r.hist.Count("changes", n)
}

// settle waits until all receivers equal the source, and fails the run when that takes
// longer than limit.
func (r *run) settle(limit time.Duration) {
	r.t.Helper()
	if lines := r.converge(patience * limit); len(lines) > 0 {
		r.t.Fatalf("after %v these differ:\n%s", limit, strings.Join(lines, "\n"))
	}
}

// converge waits until all receivers equal the source, and gives what differs in the end.
func (r *run) converge(limit time.Duration) []string {
	end := time.Now().Add(limit)
	for {
		lines := r.differences()
		if len(lines) == 0 || time.Now().After(end) {
			return lines
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// differences compares trees, some lines of each site.
func (r *run) differences() (lines []string) {
	source, err := workload.ReadTree(r.fleet.Path(fleet.Source))
	if err != nil {
		return []string{err.Error()}
	}
	for _, site := range r.fleet.Sites() {
		tree, err := workload.ReadTree(r.fleet.Path(site))
		if err != nil {
			return []string{err.Error()}
		}
		want := workload.Tree{}
		for p, o := range source {
			if !r.except(site, p) {
				want[p] = o
			}
		}
		for p := range tree {
			if r.except(site, p) {
				delete(tree, p)
			}
		}
		diff := want.Diff(tree)
		for i, line := range diff {
			if i == 5 {
				lines = append(lines, fmt.Sprintf("%s: and %d more", site, len(diff)-i))
				break
			}
			lines = append(lines, site+": "+line)
		}
	}
	return lines
}

// verdict waits for convergence, at most limit, and judges the whole run.
func (r *run) verdict(limit time.Duration) []history.Violation {
	r.t.Helper()
	start := time.Now()
	if !r.hasty {
		limit *= patience
	}
	lines := r.converge(limit)
	r.hist.Add("note", "drained", time.Since(start).String(), nil)
	var found []history.Violation
	for _, line := range lines {
		found = append(found, history.Violation{Invariant: history.Convergence, Site: "all", Text: line})
	}
	found = append(found, r.atRest(len(lines) == 0)...)
	for _, reader := range r.readers {
		seen, reads := reader.Found()
		found = append(found, seen...)
		r.hist.Count("reads", reads)
	}
	r.mu.Lock()
	found = append(found, r.found...)
	r.hist.Count("audits", r.audits)
	r.mu.Unlock()
	for _, v := range found {
		r.hist.Add("violation", string(v.Invariant), v.Site, v.Text)
	}
	return found
}

// atRest judges what is on disk and in the broker when nothing moves any more.
func (r *run) atRest(equal bool) (found []history.Violation) {
	heads, err := r.in.Published(r.ctx)
	r.must(err)
	published := func(uid string) (string, bool) {
		h, ok := heads[uid]
		return h.Version.String(), ok
	}
	for _, site := range r.fleet.Sites() {
		writes, err := history.ReadWrites(r.fleet.Writes(site))
		r.must(err)
		r.hist.Count("effects", len(writes))
		found = append(found, history.JudgeWrites(site, writes, published)...)
		if equal {
			found = append(found, r.accountsAtRest(site)...)
		}
	}
	return found
}

// accountsAtRest waits for the ledger, which follows the tree.
func (r *run) accountsAtRest(site string) (found []history.Violation) {
	for range 100 {
		accounts, err := r.in.Accounts(r.ctx, site)
		r.must(err)
		if found = history.JudgeAccounts(site, accounts, true); len(found) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return found
}

// clean fails the test for each violation.
func (r *run) clean(limit time.Duration) {
	r.t.Helper()
	for _, v := range r.verdict(limit) {
		r.t.Errorf("%v", v)
	}
	r.noneFailed()
}

// noneFailed demands that nothing is in ERROR.
func (r *run) noneFailed() {
	r.t.Helper()
	failed, err := r.fleet.Errors(r.ctx)
	r.must(err)
	for i, f := range failed {
		if i == 5 {
			break
		}
		r.t.Errorf("%s: %s is in ERROR: %s: %s", f.Site, f.Path, f.Code, f.Reason)
	}
}

// eventually waits until something is so.
func (r *run) eventually(limit time.Duration, what string, is func() bool) {
	r.t.Helper()
	limit *= patience
	for end := time.Now().Add(limit); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("after %v still not so: %s", limit, what)
		}
	}
}

// killSome kills processes at random moments until stop is closed.
func (r *run) killSome(least, most time.Duration, stop <-chan struct{}) {
	roles := r.fleet.Roles()
	for {
		select {
		case <-stop:
			return
		case <-time.After(least + time.Duration(r.rnd.Int64N(int64(most-least)))):
		}
		pending, again := r.in.InFlight(r.ctx, r.fleet.Sites())
		r.hist.Count("redeliveries", pending+again)
		victims := []fleet.Role{roles[r.rnd.IntN(len(roles))]}
		if r.rnd.IntN(6) == 0 {
			victims = roles // all at once
		}
		for _, role := range victims {
			if err := r.fleet.Kill(role); err != nil {
				r.hist.Add("note", err.Error(), string(role), nil)
			}
		}
	}
}

// during does something beside f, which is told when to stop, and waits for both.
func during(f func(stop <-chan struct{}), do func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { f(stop) })
	defer wg.Wait()
	defer close(stop)
	do()
}
