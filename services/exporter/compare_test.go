package exporter

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"synchro.example/shared/content"
	"synchro.example/shared/tree"
)

// disk is a source in memory: path to inode, where folders end in a slash number.
type disk struct {
	inodes map[string]inode
	last   int
}

type inode struct {
	number, edits int
	folder        bool
}

func (d *disk) items() []content.Item {
	var items []content.Item
	for _, p := range slices.SortedFunc(maps.Keys(d.inodes), func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), cmp.Compare(a, b))
	}) {
		n := d.inodes[p]
		kind := content.TypeFile
		if n.folder {
			kind = content.TypeFolder
		}
		items = append(items, content.Item{
			Path: p, Type: kind, Identity: strconv.Itoa(n.number), Fingerprint: fmt.Sprint(n.number, n.edits),
		})
	}
	return items
}

func (d *disk) folders() []string {
	all := []string{""}
	for p, n := range d.inodes {
		if n.folder {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return all
}

func (d *disk) remove(path string) {
	maps.DeleteFunc(d.inodes, func(p string, _ inode) bool { return p == path || strings.HasPrefix(p, path+"/") })
}

func (d *disk) move(from, to string) {
	if to == from || strings.HasPrefix(to, from+"/") {
		return
	}
	d.remove(to)
	for p, n := range maps.Clone(d.inodes) {
		if p == from || strings.HasPrefix(p, from+"/") {
			delete(d.inodes, p)
			d.inodes[to+p[len(from):]] = n
		}
	}
}

// mutate does one random thing. Moves onto one another make rings.
func (d *disk) mutate(t *rapid.T) {
	join := func(folder, name string) string { return strings.TrimPrefix(folder+"/"+name, "/") }
	target := join(rapid.SampledFrom(d.folders()).Draw(t, "folder"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"))
	paths := slices.Sorted(maps.Keys(d.inodes))
	what := rapid.IntRange(0, 5).Draw(t, "what")
	if len(paths) == 0 || what < 2 {
		if parent, ok := d.inodes[parentPath(target)]; ok && !parent.folder {
			return
		}
		d.remove(target)
		d.last++
		d.inodes[target] = inode{number: d.last, folder: what == 0}
		return
	}
	path := rapid.SampledFrom(paths).Draw(t, "path")
	switch what {
	case 2:
		d.remove(path)
	case 3:
		n := d.inodes[path]
		n.edits++
		d.inodes[path] = n
	case 4:
		d.move(path, target)
	case 5:
		d.swap(path, target)
	}
}

func (d *disk) swap(a, b string) {
	if _, ok := d.inodes[b]; !ok || a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") {
		return
	}
	d.move(a, "ring")
	d.move(b, a)
	d.move("ring", b)
}

// carryOut applies steps one by one as the strictest receiver would.
func carryOut(t *rapid.T, inv *inventory, steps []*step) {
	for _, s := range steps {
		if s.removed {
			if !inv.tree.Empty(s.uid) {
				t.Fatalf("%s is removed before what it holds", s.path)
			}
			inv.remove(s.uid, 0)
			continue
		}
		if s.place.Parent != "" {
			if _, ok := inv.tree.Path(s.place.Parent); !ok {
				t.Fatalf("%s comes before its container", s.path)
			}
		}
		if at, ok := inv.tree.At(s.place); ok && at != s.uid {
			t.Fatalf("%s takes a place that is not free", s.path)
		}
		inv.put(s.uid, s.place, known{kind: s.item.Type, fingerprint: s.item.Fingerprint, identity: s.item.Identity})
		if _, ok := inv.tree.Path(s.uid); !ok {
			t.Fatalf("%s would lie inside itself", s.path)
		}
	}
}

func TestStepsLeadToTheListing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, inv := &disk{inodes: map[string]inode{}}, newInventory("hq")
		for range rapid.IntRange(1, 5).Draw(t, "scans") {
			for range rapid.IntRange(0, 12).Draw(t, "mutations") {
				d.mutate(t)
			}
			steps := compare(inv, inv, d.items()).arranged().steps
			carryOut(t, inv, steps)
			if again := compare(inv, inv, d.items()).arranged().steps; len(again) != 0 {
				t.Fatalf("a second comparison finds %d steps", len(again))
			}
			for _, item := range d.items() {
				if !holds(inv, item) {
					t.Fatalf("%s is not in the inventory", item.Path)
				}
			}
			if inv.tree.Len() != len(d.inodes) {
				t.Fatalf("the inventory has %d objects, the source %d", inv.tree.Len(), len(d.inodes))
			}
		}
	})
}

func holds(inv *inventory, item content.Item) bool {
	for uid, k := range inv.tree.All() {
		if p, _ := inv.tree.Path(uid); p == item.Path {
			return k.fingerprint == item.Fingerprint && k.kind == item.Type
		}
	}
	return false
}

func stepsOf(inv *inventory, items ...content.Item) map[string]bool {
	steps := compare(inv, inv, items).arranged().steps
	paths := map[string]bool{}
	for _, s := range steps {
		paths[s.path] = s.removed
		inv.put(s.uid, s.place, known{kind: s.item.Type, fingerprint: s.item.Fingerprint, identity: s.item.Identity})
	}
	return paths
}

func file(path, identity, fingerprint string) content.Item {
	return content.Item{Path: path, Type: content.TypeFile, Identity: identity, Fingerprint: fingerprint}
}

func folder(path, identity string) content.Item {
	return content.Item{Path: path, Type: content.TypeFolder, Identity: identity, Fingerprint: "d"}
}

func TestAFolderThatMovesIsOneStep(t *testing.T) {
	inv := newInventory("hq")
	stepsOf(inv, folder("net", "1"), file("net/x", "2", "f"), file("net/y", "3", "f"))
	if got := stepsOf(inv, folder("net2", "1"), file("net2/x", "2", "f"), file("net2/y", "3", "f")); len(got) != 1 || got["net2"] {
		t.Fatalf("got %v, want net2 alone", got)
	}
}

func TestASaveByRenameKeepsTheObject(t *testing.T) {
	inv := newInventory("hq")
	stepsOf(inv, file("a", "1", "f1"))
	before, _ := inv.tree.At(tree.Place{Name: "a"})
	if got := stepsOf(inv, file("a", "2", "f2")); len(got) != 1 || got["a"] {
		t.Fatalf("got %v, want one change of a", got)
	}
	if after, _ := inv.tree.At(tree.Place{Name: "a"}); after != before {
		t.Error("the object got another uid")
	}
}

func TestWhatCannotBeJudgedIsNotRemoved(t *testing.T) {
	inv := newInventory("hq")
	stepsOf(inv, folder("d", "1"), folder("d/e", "2"), file("d/e/x", "3", "f"), file("y", "4", "f"))
	locked := folder("d", "1")
	locked.Unsettled = true
	busy := file("y", "4", "g")
	busy.Unsettled = true
	if got := stepsOf(inv, locked, busy); len(got) != 0 {
		t.Fatalf("got %v, want nothing", got)
	}
}
