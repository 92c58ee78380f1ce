package plone

import (
	"testing"

	"synchro.example/shared/fault"
)

func TestTranslationsAreLinkedAndUnlinkedAsOnTheSource(t *testing.T) {
	a, from := fakeSite(t)
	b, to := fakeSite(t)
	from.languages, to.languages = []string{"en", "de"}, []string{"en", "de"}
	source, target := a.source(t), b.target(t)
	m := newMirror(t, source, target)
	group := func(f *fakePlone, path string) string { return f.root.child(path).group }
	en := a.put(t, "", "Document", "page", jsonMap{"language": "en"})
	a.put(t, "", "Document", "seite", jsonMap{"language": "de"})
	b.put(t, "", "Document", "lokal", jsonMap{"language": "de"})
	must[jsonMap](t)(a.call("POST", a.at("seite")+"/@translations", jsonMap{"id": en}))
	noErrors(t, m.sync())
	if g := group(to, "page"); g == "" || g != group(to, "seite") || g == group(to, "lokal") {
		t.Fatal("the translations are not linked on the target")
	}
	was := target.effects
	noErrors(t, newMirror(t, a.source(t), target).sync())
	if n := target.effects - was; n > 0 {
		t.Errorf("a second run writes %d times", n)
	}
	must[jsonMap](t)(a.call("DELETE", a.at("seite")+"/@translations", jsonMap{"language": "en"}))
	source.listed = source.listed.Add(-relist) // unlinking changes no date
	noErrors(t, m.sync())
	if group(to, "page") == group(to, "seite") {
		t.Error("they are still linked")
	}
}

func TestTranslationsOnASiteWithoutLanguagesAreRefusedOrOmitted(t *testing.T) {
	a, from := fakeSite(t)
	b := newFakeSite(t)
	from.languages = []string{"en", "de"}
	en := a.put(t, "", "Document", "page", jsonMap{"language": "en"})
	a.put(t, "", "Document", "seite", jsonMap{"language": "de"})
	must[jsonMap](t)(a.call("POST", a.at("seite")+"/@translations", jsonMap{"id": en}))
	o := b.options(t).withDefaults()
	m := newMirror(t, a.source(t), b.target(t))
	errs := m.sync()
	if len(errs) != 2 || fault.Of(errs[0]).Code != fault.Refused {
		t.Errorf("the errors are %v", errs)
	}
	o.Omit = []string{translationsField}
	c, err := newClient(o, fault.TargetDown)
	check(t, err)
	noErrors(t, newMirror(t, a.source(t), newTarget(o, c)).sync())
}
