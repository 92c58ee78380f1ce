package contenttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// SourceFixture is a fresh, empty site with its source.
type SourceFixture struct {
	Source content.Source
	World  World
	// Gone takes the whole site away or brings it back. Nil: not tested.
	Gone func(gone bool)
	// NoIdentity says that the site cannot tell a move from a removal and a new object.
	NoIdentity bool
	// Names are names that the site can hold; nil means OddNames.
	Names []string
	// NoEmpty says that the site cannot hold a leaf without a byte.
	NoEmpty bool
}

// Source runs what every source has to pass. make is called once per test.
func Source(t *testing.T, make func(t *testing.T) SourceFixture) {
	for name, test := range map[string]func(*testing.T, SourceFixture){
		"an empty site lists nothing":                                sourceEmpty,
		"a listing has every object once and containers first":       sourceOrder,
		"an unchanged site has unchanged fingerprints":               sourceStable,
		"a change of bytes or metadata changes the fingerprint":      sourceFingerprint,
		"an identity survives a move and is not given twice":         sourceIdentity,
		"a move of a container keeps the identities below":           sourceTreeMove,
		"reading gives the bytes and the fingerprint of the listing": sourceRead,
		"every name comes through":                                   sourceNames,
		"an object that went away has vanished":                      sourceVanished,
		"a change while reading is noticed or not seen":              sourceTorn,
		"a site that is gone is missing and not empty":               sourceGone,
		"a listing that is cancelled ends with an error":             sourceCancel,
		"a listing may be left early":                                sourceLeave,
		"a watch hints and ends with its context":                    sourceWatch,
		"listing and reading go on at the same time":                 sourceParallel,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := make(t)
			if f.Names == nil {
				f.Names = OddNames
			}
			t.Cleanup(func() { must(t, f.Source.Close()) })
			test(t, f)
		})
	}
}

// settled lists until nothing is unsettled.
func (f SourceFixture) settled(t *testing.T) map[string]content.Item {
	t.Helper()
	var items map[string]content.Item
	eventually(t, "everything to settle", func() bool {
		items = map[string]content.Item{}
		ready := true
		for it, err := range f.Source.List(t.Context()) {
			must(t, err)
			if _, twice := items[it.Path]; twice {
				t.Fatalf("%q is listed twice", it.Path)
			}
			items[it.Path] = it
			ready = ready && !it.Unsettled
		}
		return ready
	})
	return items
}

func (f SourceFixture) put(t *testing.T, things map[string]Thing) {
	t.Helper()
	for depth := range 8 {
		for p, thing := range things {
			if strings.Count(p, "/") == depth {
				must(t, f.World.Put(p, thing))
			}
		}
	}
}

// small is a tree with two levels. One of its leaves is empty where the site can hold
// such a leaf.
func small(noEmpty bool) map[string]Thing {
	three := ""
	if noEmpty {
		three = "333"
	}
	return map[string]Thing{
		"a": Container(1), "a/b": Container(2), "a/b/one": Leaf("1", 3), "a/two": Leaf("22", 4),
		"c": Container(5), "three": Leaf(three, 6),
	}
}

func sourceEmpty(t *testing.T, f SourceFixture) {
	if items := f.settled(t); len(items) != 0 {
		t.Fatalf("listed %v", items)
	}
}

func sourceOrder(t *testing.T, f SourceFixture) {
	f.put(t, small(f.NoEmpty))
	f.settled(t)
	seen := map[string]bool{".": true}
	for it, err := range f.Source.List(t.Context()) {
		must(t, err)
		if !seen[path.Dir(it.Path)] {
			t.Errorf("%q comes before its container", it.Path)
		}
		seen[it.Path] = true
	}
	for p := range small(f.NoEmpty) {
		if !seen[p] {
			t.Errorf("%q is not listed", p)
		}
	}
	if len(seen) != len(small(f.NoEmpty))+1 {
		t.Errorf("listed %v", seen)
	}
}

func sourceStable(t *testing.T, f SourceFixture) {
	f.put(t, small(f.NoEmpty))
	one, two := f.settled(t), f.settled(t)
	for p := range one {
		if one[p].Fingerprint != two[p].Fingerprint || one[p].Identity != two[p].Identity || one[p].Type != two[p].Type {
			t.Errorf("%q was %+v and is %+v", p, one[p], two[p])
		}
	}
}

func sourceFingerprint(t *testing.T, f SourceFixture) {
	f.put(t, small(f.NoEmpty))
	was := f.settled(t)
	changes := map[string]Thing{"a/two": Leaf("2X", 4), "three": Leaf(small(f.NoEmpty)["three"].Data, 60), "c": Container(50)}
	for p, thing := range changes {
		must(t, f.World.Put(p, thing))
	}
	is := f.settled(t)
	for p := range was {
		_, changed := changes[p]
		if changed == (was[p].Fingerprint == is[p].Fingerprint) {
			t.Errorf("%q changed: %v; its fingerprint was %q and is %q", p, changed, was[p].Fingerprint, is[p].Fingerprint)
		}
	}
}

func sourceIdentity(t *testing.T, f SourceFixture) {
	if f.NoIdentity {
		t.Skip("the site has no identities")
	}
	f.put(t, small(f.NoEmpty))
	was := f.settled(t)
	owner := map[string]string{}
	for p, it := range was {
		if other, taken := owner[it.Identity]; taken || it.Identity == "" {
			t.Fatalf("%q and %q share the identity %q", p, other, it.Identity)
		}
		owner[it.Identity] = p
	}
	must(t, f.World.Move("three", "a/b/drei"))
	must(t, f.World.Remove("a/two"))
	must(t, f.World.Put("a/two", Leaf("22", 4)))
	is := f.settled(t)
	if is["a/b/drei"].Identity != was["three"].Identity {
		t.Error("a move changed the identity")
	}
	if is["a/two"].Identity == was["a/two"].Identity {
		t.Error("a new object has the identity of the one that was removed")
	}
}

func sourceTreeMove(t *testing.T, f SourceFixture) {
	if f.NoIdentity {
		t.Skip("the site has no identities")
	}
	f.put(t, small(f.NoEmpty))
	was := f.settled(t)
	must(t, f.World.Move("a", "c/z"))
	is := f.settled(t)
	for _, p := range []string{"", "/b", "/b/one", "/two"} {
		if is["c/z"+p].Identity != was["a"+p].Identity {
			t.Errorf("%q has another identity after the move", "c/z"+p)
		}
	}
}

// drain reads a snapshot to its end.
func drain(s *content.Snapshot) (map[string]string, error) {
	parts := map[string]string{}
	for _, p := range s.Parts {
		b, err := io.ReadAll(p.Body)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		if p.Size >= 0 && p.Size != int64(len(b)) {
			return nil, errors.Join(fmt.Errorf("part %s has %d bytes and announces %d", p.Plugin, len(b), p.Size), s.Close())
		}
		parts[p.Plugin] = string(b)
	}
	return parts, s.Close()
}

func sourceRead(t *testing.T, f SourceFixture) {
	things := small(f.NoEmpty)
	things["big"] = Leaf(strings.Repeat("0123456789", 100_000), 7)
	f.put(t, things)
	for p, it := range f.settled(t) {
		s, err := f.Source.Read(t.Context(), it)
		must(t, err)
		if s.Fingerprint != it.Fingerprint {
			t.Errorf("%q was listed as %q and read as %q", p, it.Fingerprint, s.Fingerprint)
		}
		parts, err := drain(s)
		must(t, err)
		if !things[p].Container && parts[content.PluginFSS] != things[p].Data {
			t.Errorf("%q has %d bytes, want %d", p, len(parts[content.PluginFSS]), len(things[p].Data))
		}
		if parts[content.PluginContent] == "" {
			t.Errorf("%q has no content payload", p)
		}
	}
}

func sourceNames(t *testing.T, f SourceFixture) {
	for i, n := range f.Names {
		must(t, f.World.Put(n, Container(2*i)))
		must(t, f.World.Put(n+"/"+n, Leaf(n, 2*i+1)))
	}
	items := f.settled(t)
	for _, n := range f.Names {
		it, ok := items[n+"/"+n]
		if !ok {
			t.Errorf("%q is not listed", n)
			continue
		}
		s, err := f.Source.Read(t.Context(), it)
		must(t, err)
		if parts, err := drain(s); err != nil || parts[content.PluginFSS] != n {
			t.Errorf("%q holds %q, %v", n, parts[content.PluginFSS], err)
		}
	}
}

func sourceVanished(t *testing.T, f SourceFixture) {
	f.put(t, small(f.NoEmpty))
	items := f.settled(t)
	must(t, f.World.Remove("a"))
	for _, p := range []string{"a", "a/b", "a/b/one", "a/two"} {
		_, err := f.Source.Read(t.Context(), items[p])
		if wantFault(t, err, fault.Vanished).WholeSite {
			t.Errorf("%q: one object that went away is not a fault of the site", p)
		}
	}
}

func sourceTorn(t *testing.T, f SourceFixture) {
	old := strings.Repeat("old ", 300_000)
	must(t, f.World.Put("x", Leaf(old, 1)))
	s, err := f.Source.Read(t.Context(), f.settled(t)["x"])
	must(t, err)
	must(t, f.World.Put("x", Leaf(strings.Repeat("new ", 300_000), 2)))
	parts, err := drain(s)
	if err == nil && parts[content.PluginFSS] != old {
		t.Fatal("a mixture was given out as one state")
	}
	if err != nil {
		wantFault(t, err, fault.Unsettled)
	}
}

func sourceGone(t *testing.T, f SourceFixture) {
	if f.Gone == nil {
		t.Skip("the fixture cannot take the site away")
	}
	f.put(t, small(f.NoEmpty))
	items := f.settled(t)
	f.Gone(true)
	var err error
	for _, err = range f.Source.List(t.Context()) {
	}
	if !wantFault(t, err, fault.SourceMissing).WholeSite {
		t.Error("a missing site is not one object's fault")
	}
	_, err = f.Source.Read(t.Context(), items["three"])
	wantFault(t, err, fault.SourceMissing)
	f.Gone(false)
	if back := f.settled(t); len(back) != len(items) {
		t.Errorf("came back with %d objects of %d", len(back), len(items))
	}
}

func sourceCancel(t *testing.T, f SourceFixture) {
	f.put(t, small(f.NoEmpty))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range f.Source.List(ctx) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Fatalf("ended with %v", last)
	}
}

func sourceLeave(t *testing.T, f SourceFixture) {
	f.put(t, small(f.NoEmpty))
	for range f.Source.List(t.Context()) {
		break
	}
	if n := len(f.settled(t)); n != len(small(f.NoEmpty)) {
		t.Fatalf("%d objects afterwards", n)
	}
}

func sourceWatch(t *testing.T, f SourceFixture) {
	must(t, f.World.Put("a", Container(1)))
	must(t, f.World.Put("a/x", Leaf("1", 1)))
	ctx, cancel := context.WithCancel(t.Context())
	hints, ended := make(chan struct{}, 1000), make(chan error, 1)
	go func() {
		ended <- f.Source.Watch(ctx, func() {
			select {
			case hints <- struct{}{}:
			default:
			}
		})
	}()
	for i, change := range []func() error{
		func() error { return f.World.Put("a/x", Leaf("2", 2)) },
		func() error { return f.World.Put("a/new", Container(3)) },
		func() error { return f.World.Put("a/new/y", Leaf("3", 4)) },
		func() error { return f.World.Move("a", "b") },
		func() error { return f.World.Put("b/new/y", Leaf("4", 5)) },
		func() error { return f.World.Remove("b/x") },
	} {
		quiet(hints)
		must(t, change())
		select {
		case <-hints:
		case <-time.After(patience):
			t.Fatalf("no hint after change %d", i)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatalf("ended with %v", err)
	}
}

// quiet waits until no hint came for a while.
func quiet(hints <-chan struct{}) {
	for {
		select {
		case <-hints:
		case <-time.After(500 * time.Millisecond):
			return
		}
	}
}

func sourceParallel(t *testing.T, f SourceFixture) {
	f.put(t, small(f.NoEmpty))
	items := f.settled(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range f.Source.List(t.Context()) {
			}
		})
		for _, it := range items {
			wg.Go(func() {
				s, err := f.Source.Read(t.Context(), it)
				if err == nil {
					_, err = drain(s)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
}
