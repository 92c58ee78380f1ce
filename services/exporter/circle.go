package exporter

import (
	"cmp"
	"context"
	"strings"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/ledger"
	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// A site on a circle of channels is written by its importer as well. What stands there
// exactly as the importer left it is no news: it goes into the log all the same, so that the
// log is the site, but as what it is, in its version and with its origin, by which relays and
// importers know it. The ledger says what the importer did. It writes there what it is about
// to do before it does it, so that who reads the ledger after a listing finds everything that
// the listing can have seen; what is not through yet is looked at again.

// circle is what the exporter of such a site knows of its importer.
type circle struct {
	view *ledger.View
	// site is the site as the log and the ledger together have it: the newer of both.
	site *inventory
	// since is how far the ledger was read before the listing.
	since uint64
}

// overlay lays all lines of the ledger over what the log has.
func (e *Exporter) overlay(log *inventory) {
	if len(e.Circle) == 0 {
		return
	}
	if e.circle == nil {
		e.circle = &circle{view: ledger.NewView(e.JS, e.Site)}
	}
	e.circle.site = log.clone()
	e.circle.view.Lines(e.circle.site.learn)
}

// lookAtLedger reads what the importer has done and is about to do.
func (e *Exporter) lookAtLedger(ctx context.Context) error {
	c := e.circle
	if c == nil {
		return nil
	}
	c.since = c.view.Seen()
	err := c.view.Update(ctx, func(line *ledger.Entry) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if c.site != nil {
			c.site.learn(line)
		}
	})
	e.clock.Observe(c.view.Newest())
	return err
}

// known is the site as far as it is known: as the log has it, or newer.
func (e *Exporter) known() *inventory {
	if e.circle != nil {
		return e.circle.site
	}
	return e.inv
}

// learn takes in a line of the ledger if it is newer.
func (inv *inventory) learn(line *ledger.Entry) {
	if old := inv.versionOf(line.UID); line.Version <= old || isApart(line) {
		return
	}
	if !line.Live() {
		inv.remove(line.UID, line.Version)
		return
	}
	old, _ := inv.tree.Get(line.UID)
	inv.put(line.UID, tree.Place{Parent: line.Parent, Name: line.Name}, known{
		version: line.Version, kind: line.Type, digest: line.Digest, fingerprint: line.Fingerprint, identity: old.identity,
	})
}

// isApart tells whether a line does not say what the site has in a version.
func isApart(line *ledger.Entry) bool { return line.Made || line.Skipped || line.Discarded != 0 }

// lineFor gives the line that says how a captured object came to be as it is; nil when it
// was not the importer.
func (e *Exporter) lineFor(s *step, digest content.Digest, fingerprint string) *ledger.Entry {
	if e.circle == nil {
		return nil
	}
	line := e.circle.view.Line(s.uid)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case line == nil || line.Kept || isApart(line) || line.Version <= e.inv.versionOf(s.uid):
		return nil
	case s.removed && !line.Live():
		return line
	case !s.removed && line.Live() && (line.Digest == digest || line.Fingerprint != "" && line.Fingerprint == fingerprint) &&
		s.place == tree.Place{Parent: line.Parent, Name: line.Name}:
		return line
	}
	return nil
}

// isOverlaid tells whether the importer has done something to an object that the log does
// not have.
func (e *Exporter) isOverlaid(uid string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.circle != nil && e.circle.site.versionOf(uid) > e.inv.versionOf(uid)
}

// previous is the version in which an object was known before.
func (e *Exporter) previous(uid string, old known) version.Version {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.circle != nil {
		return e.circle.site.versionOf(uid)
	}
	return old.version
}

// passOn adds the removals of what the log never had: it came and went, here or on a site
// before, and sites behind may have it.
func (e *Exporter) passOn(c *comparison) {
	if e.circle == nil {
		return
	}
	e.circle.view.Lines(func(line *ledger.Entry) {
		if line.Live() || isApart(line) || c.claimed[line.UID] || c.steps[line.UID] != nil ||
			line.Version <= c.inv.versionOf(line.UID) || time.Since(line.At) > e.Tombstones {
			return
		}
		place := tree.Place{Parent: line.Parent, Name: line.Name}
		path, _ := c.inv.tree.PathIn(place)
		c.add(&step{uid: line.UID, place: place, path: cmp.Or(path, line.Name), removed: true, kind: line.Type})
	})
}

// quiet leaves out of the steps what the importer has in hand, or did while the site was
// listed, with what lies below it and what it stands in.
func (e *Exporter) quiet(d *difference) (busy int) {
	if e.circle == nil {
		return 0
	}
	at, above, paths := map[string]bool{}, map[string]bool{}, map[string]bool{}
	e.circle.view.Busy(e.circle.since, func(line *ledger.Entry, path string) {
		at[line.UID] = true
		above[line.Parent] = true
		for _, inv := range []*inventory{e.inv, e.circle.site} {
			if p, ok := inv.tree.Place(line.UID); ok {
				above[p.Parent] = true
			}
		}
		if path != "" {
			paths[path] = true
		}
	})
	var steps []*step
	for _, s := range d.steps {
		if above[s.uid] && !s.removed || paths[s.path] || e.isBelow(s, at) {
			busy++
			continue
		}
		steps = append(steps, s)
	}
	d.steps = steps
	return busy
}

// isBelow tells whether the object of a step, or something that it stands in, is among some.
func (e *Exporter) isBelow(s *step, some map[string]bool) bool {
	if some[s.uid] {
		return true
	}
	for _, up := range []string{s.place.Parent, e.inv.parentOf(s.uid), e.circle.site.parentOf(s.uid)} {
		for range maxDepth {
			if up == "" {
				break
			}
			if some[up] {
				return true
			}
			up = e.inv.parentOf(up)
		}
	}
	return false
}

// maxDepth bounds a chain of containers.
const maxDepth = 1024

// isAside tells whether the importer has put something out of its way for a moment.
func isAside(path string) bool { return strings.HasPrefix(path, asideName) }
