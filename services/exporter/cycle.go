package exporter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/status"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// coalesce is how long an exporter waits after a hint for further ones.
const coalesce = 20 * time.Millisecond

// cycles scans again and again until soft ends, a scan fails, or the lease is lost.
func (e *Exporter) cycles(soft, hard context.Context, progress func()) error {
	for soft.Err() == nil {
		if err := hard.Err(); err != nil {
			return err
		}
		if e.isPaused(soft) {
			continue
		}
		start := time.Now()
		left, err := e.cycle(soft, hard)
		switch {
		case errors.Is(err, errGuarded):
			e.waitForWord(soft, hard)
			continue
		case err != nil:
			return err
		}
		progress()
		e.goesOn()
		next := e.Rescan
		if left > 0 {
			next = e.LookAgain
		}
		e.sleep(soft, hard, next, time.Since(start))
	}
	return nil
}

// goesOn tells, once, that whatever kept the site from being exported is over.
func (e *Exporter) goesOn() {
	if e.troubled.Swap(false) {
		e.log.Info("the site is exported again")
	}
}

// isPaused waits for a change of mind when somebody has paused the site.
func (e *Exporter) isPaused(ctx context.Context) bool {
	state, changed := e.Control.State()
	p, paused := state.Site(e.Site)
	if !paused {
		return false
	}
	e.tell(status.Report{State: status.Paused, Reason: p.String()})
	select {
	case <-ctx.Done():
	case <-changed:
	}
	return true
}

// sleep waits for a hint, the next scan, or the end of the lease. A scan that took long is
// not repeated without a pause as long, however many hints come.
func (e *Exporter) sleep(soft, hard context.Context, next, took time.Duration) {
	_, changed := e.Control.State()
	select {
	case <-soft.Done():
	case <-hard.Done():
	case <-time.After(next):
	case <-changed:
	case <-e.hints:
		wait(soft, max(coalesce, min(took, e.Rescan)))
	}
	select {
	case <-e.hints:
	default:
	}
}

// looks scans until nothing is left to look at again, a few times at most.
func (e *Exporter) looks(ctx context.Context) (left int, err error) {
	const most = 20
	state, _ := e.Control.State()
	if p, paused := state.Site(e.Site); paused {
		return 0, fault.OfSite(fault.Retry, fault.Paused, fmt.Errorf("site %s is %v", e.Site, p))
	}
	for range most {
		if left, err = e.cycle(ctx, ctx); err != nil || left == 0 {
			return left, err
		}
		if wait(ctx, e.LookAgain); ctx.Err() != nil {
			return left, ctx.Err()
		}
	}
	return left, nil
}

// cycle scans once and publishes the difference. left counts the objects that have
// to be looked at again.
func (e *Exporter) cycle(soft, hard context.Context) (left int, err error) {
	if err := e.load(hard); err != nil {
		return 0, err
	}
	if err := e.lookAtLedger(hard); err != nil {
		return 0, err
	}
	items, err := e.list(soft)
	if err != nil {
		return 0, err
	}
	d, err := e.difference(hard, items)
	if err != nil {
		return 0, err
	}
	if err := e.guard(hard, d.steps); err != nil {
		return 0, err
	}
	e.say(len(d.steps))
	out, err := e.carry(hard, d.steps)
	if err != nil {
		e.forget()
		return 0, err
	}
	e.say(0)
	if out.published > 0 {
		e.log.Info("changes are in the log", "published", out.published, "unchanged", out.unchanged, "postponed", out.postponed)
	}
	left = d.unsettled + out.postponed + d.busy
	return left, e.failures.account(hard, append(d.problems, out.problems...))
}

// difference compares a listing with the log, and leaves out what is not through yet.
func (e *Exporter) difference(ctx context.Context, items []content.Item) (difference, error) {
	if err := e.lookAtLedger(ctx); err != nil {
		return difference{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c := compare(e.inv, e.known(), items)
	e.passOn(c)
	c.signRemovals()
	d := c.arranged()
	d.busy = e.quiet(&d)
	return d, nil
}

func (e *Exporter) list(ctx context.Context) ([]content.Item, error) {
	var items []content.Item
	for item, err := range e.Source.List(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list site %s: %w", e.Site, err)
		}
		items = append(items, item)
	}
	return items, ctx.Err()
}

// load reads the log, unless the inventory is up to date. Now and then it is read all the
// same: what it has lost shows as a difference then, and is exported again.
func (e *Exporter) load(ctx context.Context) error {
	if e.inv != nil && time.Since(e.loaded) < e.Reconcile && !e.reread.Swap(false) {
		return nil
	}
	var inv *inventory
	start, log := time.Now(), subject.ExportStream(e.Site)
	deep := e.distrust.Swap(false) && e.own != nil
	err := e.doctor.Reading(ctx, log, func() error {
		inv = newInventory(e.idsFrom())
		return changelog.Scan(ctx, e.JS, log, changelog.Options{HeadersOnly: !deep, Whole: true}, func(m jetstream.Msg) error {
			e.takeIn(inv, m, deep)
			return nil
		})
	})
	if err != nil {
		return err
	}
	e.tellUnsigned(inv)
	if e.clock == nil {
		e.clock = version.NewClock(inv.newest, nil)
		if n := len(e.Circle); n > 0 { // relays have the slots between
			e.clock.Among(2*slices.Index(e.Circle, e.Site), 2*n)
		}
	}
	e.clock.Observe(inv.newest)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inv, e.loaded = inv, start
	e.overlay(inv)
	return nil
}

// idsFrom names whose the ids of new objects are: what is made on several sites of a circle
// at one path is one object.
func (e *Exporter) idsFrom() string {
	if len(e.Circle) > 0 {
		return e.Circle[0]
	}
	return e.Site
}

// forget makes the next cycle read the log: what became of a batch is not known.
func (e *Exporter) forget() {
	e.mu.Lock()
	e.inv = nil
	e.mu.Unlock()
}
