package faults

import (
	"path"
	"strings"

	"synchro.example/tests/fleet"
	"synchro.example/tests/history"
	"synchro.example/tests/workload"
)

// What is left behind is a known bug (docs/reliability.md, "Bugs found"): an object that
// took effect at a place, and moved on before the ledger had that, stays there too. A run
// that has nothing else to say goes on; the table at the end counts it, so that nobody
// forgets it.

// findLeft looks for what no source has, and a receiver made by itself at that very place.
func (r *run) findLeft() {
	r.t.Helper()
	source, err := workload.ReadTree(r.fleet.Path(fleet.Source))
	r.must(err)
	for _, site := range r.fleet.Sites() {
		tree, err := workload.ReadTree(r.fleet.Path(site))
		r.must(err)
		writes, err := history.ReadWrites(r.fleet.Writes(site))
		r.must(err)
		made := map[string]bool{}
		for _, w := range writes {
			made[w.Path] = made[w.Path] || w.Op != "remove"
		}
		r.noteLeft(site, source, tree, made)
	}
}

func (r *run) noteLeft(site string, source, tree workload.Tree, made map[string]bool) {
	for p := range tree {
		if _, wanted := source[p]; wanted || r.except(site, p) || !madeHere(made, p) {
			continue
		}
		if r.left == nil {
			r.left = map[string]map[string]bool{}
		}
		if r.left[site] == nil {
			r.left[site] = map[string]bool{}
		}
		if !r.left[site][p] {
			r.left[site][p] = true
			r.hist.Count("left behind (open bug)", 1)
		}
	}
}

// madeHere tells whether an effect put something there: at that path, or at another one of
// the same name, below a folder that has moved since.
func madeHere(made map[string]bool, p string) bool {
	for q := range made {
		if path.Base(q) == path.Base(p) {
			return true
		}
	}
	return false
}

// touched tells a path that was left behind, or a folder whose time it spoils.
func (r *run) touched(site, p string) bool {
	if r.left[site][p] {
		return true
	}
	for left := range r.left[site] {
		if path.Dir(left) == p {
			return true
		}
	}
	return false
}

// aboutLeft tells a reader's finding about something that was left behind.
func (r *run) aboutLeft(v history.Violation) bool {
	for p := range r.left[v.Site] {
		if strings.HasPrefix(v.Text, "a reader: "+p+" ") {
			return true
		}
	}
	return false
}
