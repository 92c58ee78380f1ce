package contenttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// TargetFixture is a fresh, empty site with its target.
type TargetFixture struct {
	Target content.Target
	World  World
	// Encode gives type and payloads of a thing as this site takes them. Its plugin
	// for bytes is PluginFSS, inline. Nil means EncodeTree.
	Encode func(path string, t Thing) (string, []content.Payload)
	// Gone takes the whole site away or brings it back. Nil: not tested.
	Gone func(gone bool)
	// Effects counts what the driver did to the site so far. Nil: not tested.
	Effects func() int64
	// Names are names that the site can hold; nil means OddNames.
	Names []string
	// NoEmpty says that the site cannot hold a leaf without a byte.
	NoEmpty bool
	// UID makes a UID as the site has them from a name. Nil means the name itself.
	UID func(name string) string
}

// Target runs what every target has to pass. make is called once per test.
func Target(t *testing.T, make func(t *testing.T) TargetFixture) {
	for name, test := range map[string]func(*testing.T, TargetFixture){
		"objects are made as they were":                              targetCreate,
		"a container comes with nothing and is filled later":         targetBare,
		"every name arrives":                                         targetNames,
		"an object is changed in place":                              targetRewrite,
		"metadata alone needs no bytes":                              targetMeta,
		"a move needs no bytes and takes along what lies below":      targetMove,
		"a move and a change come together":                          targetMoveChange,
		"a move that was done is not done again":                     targetMoveAgain,
		"a move of what is not there makes it":                       targetMoveLost,
		"objects are removed, and what is gone stays gone":           targetRemove,
		"a container that holds something is not removed":            targetNotEmpty,
		"a leaf becomes a container and back":                        targetType,
		"applying again writes nothing":                              targetAgain,
		"a bad op does not stop the others":                          targetMixed,
		"bytes that cannot be opened leave all as it was":            targetOpenFails,
		"bytes that break off or are wrong leave all as it was":      targetReadFails,
		"a container is not replaced by a leaf over foreign content": targetTaken,
		"a site that is gone is a fault of the site":                 targetGone,
		"a cancelled call does nothing more":                         targetCancel,
		"many calls at once do not disturb one another":              targetParallel,
		"a listing shows what was applied":                           targetList,
		"a batch larger than the advice works":                       targetBatch,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := make(t)
			if f.Encode == nil {
				f.Encode = EncodeTree
			}
			if f.Names == nil {
				f.Names = OddNames
			}
			t.Cleanup(func() { must(t, f.Target.Close()) })
			test(t, f)
		})
	}
}

func (f TargetFixture) uid(name string) string {
	if f.UID == nil {
		return name
	}
	return f.UID(name)
}

// Op makes the op that brings a thing to a path. from is where it is now.
func (f TargetFixture) op(uid, from, to string, thing Thing) content.Op {
	typ, ps := f.Encode(to, thing)
	return content.Op{Change: Change(f.uid(uid), to, typ, ps), From: from, To: to, Open: OpenInline}
}

func (f TargetFixture) same(uid, from, to string, thing Thing) content.Op {
	op := f.op(uid, from, to, thing)
	op.SameBytes, op.Open = true, OpenNever
	return op
}

func (f TargetFixture) removal(uid, from string, thing Thing) content.Op {
	typ, _ := f.Encode(from, thing)
	return content.Op{Change: Removal(f.uid(uid), from, typ), From: from, Open: OpenNever}
}

// apply wants every op to succeed. Ops that build on one another go one by one.
func (f TargetFixture) apply(t *testing.T, ops ...content.Op) {
	t.Helper()
	for _, op := range ops {
		must(t, f.one(t, op))
	}
}

func (f TargetFixture) one(t *testing.T, op content.Op) error {
	t.Helper()
	return f.Target.Apply(t.Context(), []content.Op{op})[0]
}

func (f TargetFixture) wants(t *testing.T, want map[string]Thing) {
	t.Helper()
	got, err := f.World.Things()
	must(t, err)
	for p, thing := range want {
		if have, ok := got[p]; !ok || have != thing {
			t.Errorf("%q is %s (there: %v), want %s", p, brief(have), ok, brief(thing))
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			t.Errorf("%q should not be there", p)
		}
	}
}

func brief(t Thing) string {
	return fmt.Sprintf("{container %v, %.20q, mark %d}", t.Container, t.Data, t.Mark)
}

// fill makes the small tree, each object with its path as its uid.
func (f TargetFixture) fill(t *testing.T) map[string]Thing {
	t.Helper()
	things := small(f.NoEmpty)
	for depth := range 3 {
		var ops []content.Op
		for p, thing := range things {
			if strings.Count(p, "/") == depth {
				ops = append(ops, f.op(p, "", p, thing))
			}
		}
		must(t, errors.Join(f.Target.Apply(t.Context(), ops)...))
	}
	return things
}

func targetCreate(t *testing.T, f TargetFixture) { f.wants(t, f.fill(t)) }

// targetBare: a container whose content is not to be here comes for what is below it.
func targetBare(t *testing.T, f TargetFixture) {
	typ, _ := f.Encode("a", Container(1))
	f.apply(t, content.Op{Change: Change(f.uid("a"), "a", typ, nil), To: "a", Open: OpenNever}, f.op("b", "", "a/b", Leaf("x", 2)))
	got, err := f.World.Things()
	must(t, err)
	if !got["a"].Container || got["a/b"] != Leaf("x", 2) {
		t.Errorf("it has %v", got)
	}
	f.apply(t, f.op("a", "a", "a", Container(3)))
	f.wants(t, map[string]Thing{"a": Container(3), "a/b": Leaf("x", 2)})
}

func targetNames(t *testing.T, f TargetFixture) {
	want := map[string]Thing{}
	for i, n := range f.Names {
		want[n], want[n+"/"+n] = Container(2*i), Leaf(n, 2*i+1)
		f.apply(t, f.op(n, "", n, want[n]), f.op(n+"/", "", n+"/"+n, want[n+"/"+n]))
	}
	f.wants(t, want)
}

func targetRewrite(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	want["a/two"], want["c"] = Leaf("another", 40), Container(50)
	f.apply(t, f.op("a/two", "a/two", "a/two", want["a/two"]), f.op("c", "c", "c", want["c"]))
	f.wants(t, want)
}

func targetMeta(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	want["a/two"], want["a"] = Leaf("22", 41), Container(11)
	f.apply(t, f.same("a/two", "a/two", "a/two", want["a/two"]), f.same("a", "a", "a", want["a"]))
	f.wants(t, want)
}

// moved gives the things with all below one path at another.
func moved(things map[string]Thing, from, to string) map[string]Thing {
	out := map[string]Thing{}
	for p, thing := range things {
		if p == from || strings.HasPrefix(p, from+"/") {
			p = to + p[len(from):]
		}
		out[p] = thing
	}
	return out
}

func targetMove(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	f.apply(t, f.same("three", "three", "a/b/drei", want["three"]))
	want = moved(want, "three", "a/b/drei")
	f.apply(t, f.same("a", "a", "c/z", want["a"]))
	f.wants(t, moved(want, "a", "c/z"))
}

func targetMoveChange(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	delete(want, "three")
	want["c/drei"] = Leaf("3", 30)
	f.apply(t, f.op("three", "three", "c/drei", want["c/drei"]))
	want["a/b"] = Container(20)
	f.apply(t, f.op("a/b", "a/b", "c/b", want["a/b"]))
	f.wants(t, moved(want, "a/b", "c/b"))
}

func targetMoveAgain(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	file, folder := f.same("a/two", "a/two", "c/zwei", want["a/two"]), f.same("a/b", "a/b", "c/b", want["a/b"])
	f.apply(t, file, folder)
	want = moved(moved(want, "a/two", "c/zwei"), "a/b", "c/b")
	f.wants(t, want)
	// Another leaf is at the old place by now: it is not the one that moved.
	want["a/two"] = Leaf("xx", 77)
	f.apply(t, f.op("new", "", "a/two", want["a/two"]), file, folder)
	f.wants(t, want)
}

func targetMoveLost(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	must(t, f.World.Remove("three"))
	must(t, f.World.Remove("c"))
	delete(want, "three")
	delete(want, "c")
	want["drei"], want["d"] = small(f.NoEmpty)["three"], Container(5)
	file := f.same("three", "three", "drei", want["drei"])
	file.Open = OpenInline
	f.apply(t, file, f.same("c", "c", "d", want["d"]))
	got, err := f.World.Things()
	must(t, err)
	if got["drei"] != want["drei"] || got["d"] != want["d"] {
		t.Errorf("got %v and %v", got["drei"], got["d"])
	}
}

func targetRemove(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	f.apply(t, f.removal("a/b/one", "a/b/one", want["a/b/one"]), f.removal("a/b", "a/b", want["a/b"]), f.removal("three", "three", want["three"]))
	for _, p := range []string{"a/b/one", "a/b", "three"} {
		delete(want, p)
	}
	f.wants(t, want)
	f.apply(t, f.removal("a/b/one", "a/b/one", Leaf("", 0)), f.removal("a/b", "a/b", Container(0)), f.removal("never", "", Leaf("", 0)))
	f.wants(t, want)
}

func targetNotEmpty(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	err := f.one(t, f.removal("a", "a", want["a"]))
	if wantFault(t, err, fault.NotEmpty).WholeSite {
		t.Error("one container is not the site")
	}
	f.wants(t, want)
}

func targetType(t *testing.T, f TargetFixture) {
	f.apply(t, f.op("x", "", "x", Leaf("1", 1)), f.op("x", "x", "x", Container(2)))
	f.wants(t, map[string]Thing{"x": Container(2)})
	f.apply(t, f.op("x", "x", "x", Leaf("3", 3)))
	f.wants(t, map[string]Thing{"x": Leaf("3", 3)})
}

func targetAgain(t *testing.T, f TargetFixture) {
	if f.Effects == nil {
		t.Skip("the fixture does not count effects")
	}
	want := f.fill(t)
	was := f.Effects()
	f.fill(t)
	f.apply(t, f.op("three", "three", "three", want["three"]), f.same("a", "a", "a", want["a"]), f.removal("gone", "gone", Leaf("", 0)))
	f.wants(t, want)
	if n := f.Effects() - was; n != 0 {
		t.Errorf("%d effects, want none", n)
	}
}

func failing(err error) func(context.Context, *content.Payload) (io.ReadCloser, error) {
	return func(context.Context, *content.Payload) (io.ReadCloser, error) { return nil, err }
}

func targetMixed(t *testing.T, f TargetFixture) {
	bad := f.op("bad", "", "bad", Leaf("x", 1))
	bad.Open = failing(fault.New(fault.Retry, fault.BlobMissing, errors.New("no such bytes")))
	lost := f.op("lost", "", "nowhere/lost", Leaf("x", 1))
	errs := f.Target.Apply(t.Context(), []content.Op{
		f.op("1", "", "one", Leaf("1", 1)), bad, f.op("2", "", "two", Container(2)), lost, f.op("3", "", "three", Leaf("3", 3)),
	})
	if len(errs) != 5 || errs[0] != nil || errs[2] != nil || errs[4] != nil {
		t.Fatalf("results %v", errs)
	}
	wantFault(t, errs[1], fault.BlobMissing)
	wantFault(t, errs[3], fault.ParentMissing)
	f.wants(t, map[string]Thing{"one": Leaf("1", 1), "two": Container(2), "three": Leaf("3", 3)})
}

func targetOpenFails(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	for _, to := range []string{"a/two", "c/moved"} {
		op := f.op("a/two", "a/two", to, Leaf("other", 9))
		op.Open = failing(fault.New(fault.Park, fault.BlobMissing, errors.New("no such bytes")))
		if wantFault(t, f.one(t, op), fault.BlobMissing).Class != fault.Park {
			t.Error("the class of the cause is lost")
		}
	}
	f.wants(t, want)
}

// brokenReader gives some bytes and then an error.
type brokenReader struct {
	io.Reader
	err error
}

func (r brokenReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		err = r.err
	}
	return n, err
}

func targetReadFails(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	damaged := fault.New(fault.Park, fault.BlobDamaged, errors.New("the digest is another"))
	for name, body := range map[string]io.Reader{
		"wrong digest":     brokenReader{strings.NewReader("other"), damaged},
		"early end":        brokenReader{strings.NewReader("oth"), io.ErrUnexpectedEOF},
		"too few bytes":    strings.NewReader("oth"),
		"too many bytes":   strings.NewReader("other and more"),
		"nothing at first": brokenReader{strings.NewReader(""), damaged},
	} {
		op := f.op("a/two", "a/two", "a/two", Leaf("other", 9))
		op.Open = func(context.Context, *content.Payload) (io.ReadCloser, error) { return io.NopCloser(body), nil }
		if err := f.one(t, op); err == nil {
			t.Errorf("%s: no error", name)
		}
		f.wants(t, want)
	}
}

func targetTaken(t *testing.T, f TargetFixture) {
	must(t, f.World.Put("x", Container(1)))
	must(t, f.World.Put("x/foreign", Leaf("dear", 2)))
	must(t, f.World.Put("y", Leaf("dear too", 3)))
	want := map[string]Thing{"x/foreign": Leaf("dear", 2), "y": Leaf("dear too", 3)}
	wantFault(t, f.one(t, f.op("1", "", "x", Leaf("1", 1))), fault.PathTaken)
	wantFault(t, f.one(t, f.op("2", "", "y", Container(1))), fault.PathTaken)
	got, err := f.World.Things()
	must(t, err)
	delete(got, "x")
	if !maps.Equal(got, want) {
		t.Errorf("%v stands there", got)
	}
}

func targetGone(t *testing.T, f TargetFixture) {
	if f.Gone == nil {
		t.Skip("the fixture cannot take the site away")
	}
	want := f.fill(t)
	f.Gone(true)
	for _, op := range []content.Op{f.op("n", "", "n", Leaf("n", 1)), f.removal("three", "three", want["three"])} {
		flt := fault.Of(f.one(t, op))
		if !flt.WholeSite || flt.Class != fault.Retry {
			t.Errorf("a site that is gone gives %v of class %s", flt, flt.Class)
		}
	}
	f.Gone(false)
	f.wants(t, want)
	want["n"] = Leaf("n", 1)
	f.apply(t, f.op("n", "", "n", want["n"]))
	f.wants(t, want)
}

func targetCancel(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range f.Target.Apply(ctx, []content.Op{f.op("1", "", "n1", Leaf("1", 1)), f.op("2", "", "n2", Container(2))}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("result %v", err)
		}
	}
	f.wants(t, want)
}

func targetParallel(t *testing.T, f TargetFixture) {
	want := map[string]Thing{"d": Container(1)}
	f.apply(t, f.op("d", "", "d", want["d"]))
	var wg sync.WaitGroup
	for i := range 16 {
		p := fmt.Sprintf("d/f%d", i)
		want[p] = Leaf(p, 10+i)
		wg.Go(func() {
			for _, data := range []string{"first", p} {
				if err := f.Target.Apply(t.Context(), []content.Op{f.op(p, "", p, Leaf(data, 10+i))})[0]; err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	f.wants(t, want)
}

func targetList(t *testing.T, f TargetFixture) {
	want := f.fill(t)
	n := 0
	for it, err := range f.Target.List(t.Context()) {
		must(t, err)
		n++
		if typ, _ := f.Encode(it.Path, want[it.Path]); typ != it.Type || it.Unsettled {
			t.Errorf("%q is listed as %+v", it.Path, it)
		}
	}
	if n != len(want) {
		t.Errorf("%d objects are listed, want %d", n, len(want))
	}
}

func targetBatch(t *testing.T, f TargetFixture) {
	if f.Target.Batch() < 1 {
		t.Fatalf("advises %d ops", f.Target.Batch())
	}
	want := map[string]Thing{}
	var ops []content.Op
	for i := range f.Target.Batch() + 3 {
		p := fmt.Sprintf("f%d", i)
		want[p] = Leaf(p, i)
		ops = append(ops, f.op(p, "", p, want[p]))
	}
	must(t, errors.Join(f.Target.Apply(t.Context(), ops)...))
	f.wants(t, want)
}
