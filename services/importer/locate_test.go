package importer

import (
	"maps"
	"slices"
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/ledger"
	"synchro.example/shared/locate"
	"synchro.example/shared/stream"
)

// rules gives the importer the rules of its site.
func rules(t *testing.T, list ...locate.Rule) func(*Options) {
	t.Helper()
	r, errs := locate.Compile(list)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return func(o *Options) { o.Rules = r }
}

var news = locate.Rule{Path: "/news/**", At: "/actualites"}

// move makes the change that moves an object, and what lies below it is found there
// from now on.
func (w *world) move(from, to string, t contenttest.Thing) *content.Change {
	uids := map[string]string{}
	for p, uid := range w.uids {
		if p == from || len(p) > len(from) && p[:len(from)+1] == from+"/" {
			uids[to+p[len(from):]] = uid
			delete(w.uids, p)
		}
	}
	maps.Copy(w.uids, uids)
	typ, ps := contenttest.EncodeTree(to, t)
	return w.stamp(contenttest.Change(w.uids[to], to, typ, ps), to)
}

func TestARuleGivesATreeAnotherPlace(t *testing.T) {
	w := newWorld(t)
	there := rules(t, news)
	a, b, c := w.put("news", folder()), w.put("news/2026", folder()), w.put("news/2026/x", page("x"))
	w.publish(c, w.put("about", page("a")), b, a)
	w.settle(there)
	w.want("about", "actualites", "actualites/2026", "actualites/2026/x")
	if slices.ContainsFunc(w.onSite(), func(e *ledger.Entry) bool { return e.Made }) {
		t.Error("a container was made although the source has one that belongs there")
	}
	before := w.site.Effects()
	w.settle(there)
	if got := w.site.Effects(); got != before {
		t.Errorf("a second run has %d effects", got-before)
	}
	w.publish(w.remove("news/2026/x", content.TypeFile), w.remove("news/2026", content.TypeFolder), w.remove("news", content.TypeFolder))
	w.settle(there)
	w.want("about")
}

func (w *world) onSite() (entries []*ledger.Entry) {
	w.t.Helper()
	w.must(ledger.Load(w.t.Context(), w.js, "paris", func(e *ledger.Entry) {
		if e.Live() {
			entries = append(entries, e)
		}
	}, func(_ string, err error) { w.t.Error(err) }))
	return entries
}

func TestContainersThatAPathNeedsAreMadeAndGoWhenNothingIsInThem(t *testing.T) {
	w := newWorld(t)
	there := rules(t, locate.Rule{Type: content.TypeFile, At: "/all/files/{name}"})
	w.publish(w.put("a", folder()), w.put("a/x", page("x")), w.put("a/y", page("y")))
	w.settle(there)
	w.want("a", "all", "all/files", "all/files/x", "all/files/y")
	w.publish(w.remove("a/x", content.TypeFile))
	w.settle(there)
	w.want("a", "all", "all/files", "all/files/y")
	w.publish(w.remove("a/y", content.TypeFile))
	w.settle(there)
	w.want("a")
	w.publish(w.put("a/y", page("again")))
	w.settle(there)
	w.want("a", "all", "all/files", "all/files/y")
}

func TestAnObjectMovesWhenAnotherRuleMatches(t *testing.T) {
	w := newWorld(t)
	there := rules(t, news)
	w.publish(w.put("news", folder()), w.put("archive", folder()), w.put("news/x", page("x")), w.put("news/box", folder()), w.put("news/box/y", page("y")))
	w.settle(there)
	w.publish(w.move("news/x", "archive/x", page("x")), w.move("news/box", "archive/box", folder()))
	w.settle(there)
	w.want("actualites", "archive", "archive/box", "archive/box/y", "archive/x")
}

func TestWhatARuleIsAboutIsPlacedAgainWhenItsContainerMoves(t *testing.T) {
	w := newWorld(t)
	there := rules(t, locate.Rule{Path: "/news/**/*.pdf", At: "/pdf/{path.tail}"}, locate.Rule{Path: "/secret/**", At: locate.Skip})
	w.publish(w.put("news", folder()), w.put("box", folder()), w.put("box/a.pdf", page("a")), w.put("box/b", page("b")), w.put("secret", folder()))
	w.settle(there)
	w.want("box", "box/a.pdf", "box/b", "news")
	w.publish(w.move("box", "news/box", folder()))
	w.settle(there)
	w.want("news", "news/box", "news/box/b", "pdf", "pdf/box", "pdf/box/a.pdf")
	w.publish(w.move("news/box", "secret/box", folder()))
	w.settle(there)
	w.want("news")
	w.publish(w.move("secret/box", "box", folder()))
	w.settle(there)
	w.want("box", "box/a.pdf", "box/b", "news")
}

func TestOtherRulesMoveWhatIsThere(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("news", folder()), w.put("news/x", page("x")), w.put("a", folder()), w.put("a/b", page("b")))
	w.settle()
	w.settle(rules(t, news))
	w.want("a", "a/b", "actualites", "actualites/x")
	w.settle(rules(t, locate.Rule{Path: "/a/**", At: locate.Skip}, locate.Rule{Expression: "python: object.getId() == 'x'", At: "/top/{name}"}))
	w.want("news", "top", "top/x")
	w.settle()
	w.want("a", "a/b", "news", "news/x")
	w.wantFailures()
}

func TestAContainerThatComesTakesThePlaceOfAMadeOne(t *testing.T) {
	w := newWorld(t)
	there := rules(t, locate.Rule{Path: "/x", At: "/box/x"})
	w.publish(w.put("x", page("x")))
	w.settle(there)
	w.want("box", "box/x")
	w.publish(w.put("box", contenttest.Container(7)), w.put("box/own", page("o")))
	w.settle(there)
	w.want("box", "box/own", "box/x")
	if things, _ := w.site.Things(); things["box"].Mark != 7 {
		t.Errorf("the container is %+v", things["box"])
	}
	if slices.ContainsFunc(w.onSite(), func(e *ledger.Entry) bool { return e.Made }) {
		t.Error("the ledger still has the made one")
	}
	w.publish(w.remove("box/own", content.TypeFile), w.remove("box", content.TypeFolder))
	w.settle(there)
	w.want("box", "box/x")
	if things, _ := w.site.Things(); things["box"].Mark != 0 {
		t.Errorf("the container keeps what belonged to the object: %+v", things["box"])
	}
	w.publish(w.remove("x", content.TypeFile))
	w.settle(there)
	w.want()
	w.wantFailures()
}

func TestTheSecondOfTwoObjectsAtOnePathIsSetAsideUntilTheFirstGoes(t *testing.T) {
	w := newWorld(t)
	there := rules(t, locate.Rule{Type: content.TypeFile, At: "/flat/{name}"})
	w.publish(w.put("a", folder()), w.put("b", folder()), w.put("a/x", page("first")))
	w.settle(there)
	w.publish(w.put("b/x", page("second")))
	w.settle(there)
	w.want("a", "b", "flat", "flat/x")
	all := w.entries()
	if want := `"b/x" of hq belongs at "flat/x", where "a/x" of hq stands`; len(all) != 1 || all[0].Reason != want || all[0].Code != "path-taken" {
		t.Fatalf("the failures are %+v", all)
	}
	w.publish(w.remove("a/x", content.TypeFile))
	w.settle(there)
	w.wantFailures()
	if things, _ := w.site.Things(); things["flat/x"].Data != "second" {
		t.Errorf("the site has %+v", things["flat/x"])
	}
}

func TestAFailedMadeContainerIsMadeAgainByAReplay(t *testing.T) {
	w := newWorld(t)
	there := rules(t, locate.Rule{Type: content.TypeFile, At: "/flat/{name}"})
	poison := w.poison(denied, "flat")
	w.publish(w.put("x", page("x")))
	w.settle(there)
	w.wantFailures("flat permission", "x waiting")
	poison.mend()
	w.ask(deadletter.Request{By: "me"})
	w.settle(there)
	w.want("flat", "flat/x")
	w.wantFailures()
}

func TestAFileDoesNotTakeThePlaceOfAContainerThatOthersNeed(t *testing.T) {
	w := newWorld(t)
	there := rules(t, locate.Rule{Path: "/x", At: "/box/{name}"}, locate.Rule{Path: "/b/**", At: "/{path.tail}"})
	w.publish(w.put("x", page("needs a container")), w.put("b", folder()), w.put("b/box", page("a file")))
	w.settle(there)
	w.want("box", "box/x")
	all := w.entries()
	if want := `"b/box" of hq belongs at "box", where a container stands that other objects need`; len(all) != 1 || all[0].Reason != want || all[0].Code != "path-taken" {
		t.Fatalf("got %+v", all)
	}
	w.publish(w.remove("x", content.TypeFile))
	w.settle(there)
	w.want("box")
	w.wantData("box", "a file")
	w.wantFailures()
}

func TestAnotherSourceDoesNotTakeWhatStandsThere(t *testing.T) {
	w := newWorld(t)
	w.must(stream.Ensure(t.Context(), w.js, stream.Import("lab")))
	both := func(o *Options) { o.Channels = []string{"public", "lab"} }
	w.publish(w.put("x", page("hq")))
	w.settle(both)
	c := w.put("x", page("lab"))
	c.Source, c.Object.UID = "lab", "uid-of-lab"
	w.publishTo("lab", c)
	w.settle(both)
	if things, _ := w.site.Things(); things["x"].Data != "hq" {
		t.Errorf("the site has %+v", things["x"])
	}
	w.wantFailures("x path-taken")
}

func TestAnObjectThatARuleCallsOtherwiseIsAsItShouldBe(t *testing.T) {
	w := newWorld(t)
	there := rules(t, locate.Rule{Type: content.TypeFile, At: "/{name}.{type}"})
	w.publish(w.put("page", page("x")))
	w.settle(there)
	w.want("page.file")
	w.wantVerified()
	w.must(w.site.Put("page.file", page("edited there")))
	w.wantVerified("site page.file different")
}
