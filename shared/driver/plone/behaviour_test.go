package plone

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/fault"
)

func markup(data string) jsonMap {
	return jsonMap{"data": strings.ReplaceAll(data, "&", "&amp;"), "content-type": "text/html", "encoding": "utf8"}
}

func upload(name, media string, data []byte) jsonMap {
	return jsonMap{"data": base64.StdEncoding.EncodeToString(data), "encoding": "base64", "filename": name, "content-type": media}
}

// two gives two sites and a mirror between them.
func two(t *testing.T, fresh func(*testing.T) *site) (a, b *site, m *mirror) {
	a, b = fresh(t), fresh(t)
	return a, b, newMirror(t, a.source(t), b.target(t))
}

func noErrors(t *testing.T, errs []error) {
	t.Helper()
	for _, err := range errs {
		t.Error(err)
	}
}

// put makes an object and gives its UID.
func (w world) put(t *testing.T, parent, typ, id string, more jsonMap) string {
	t.Helper()
	body := jsonMap{"@type": typ, "id": id, "title": "Title of " + id}
	maps.Copy(body, more)
	return must[jsonMap](t)(w.add(parent, body))["UID"].(string)
}

func TestASiteArrivesWholeAndASecondRunWritesNothing(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		a, b, m := two(t, fresh)
		f := a.put(t, "", "Folder", "f", nil)
		d := a.put(t, "f", "Document", "d", jsonMap{
			"text": markup(`<p>a &nbsp; b &amp; c &lt;x&gt; é <a href="resolveuid/` + f + `">f</a></p>`), "subjects": []string{"b", "a"},
			"description": "two words", "effective": "2020-01-02T03:04:00+00:00", "relatedItems": []string{f},
		})
		a.put(t, "f", "File", "page.html", jsonMap{"file": upload("page.html", "text/html", []byte("<html><body><p>hi</body></html>"))})
		big := make([]byte, 3<<20)
		_, _ = rand.NewChaCha8([32]byte{}).Read(big)
		a.put(t, "f", "File", "big.bin", jsonMap{"file": upload("big.bin", "application/octet-stream", big)})
		l := a.put(t, "f", "Link", "l", jsonMap{"remoteUrl": "../../resolveuid/" + d})
		check(t, a.edit("f", jsonMap{"relatedItems": []string{d, l}, "layout": "summary_view"}))
		must[jsonMap](t)(a.call("POST", a.at("f/d")+"/@workflow/publish", nil))
		// Published, and without a date of that.
		a.put(t, "f", "Document", "undated", nil)
		must[jsonMap](t)(a.call("POST", a.at("f/undated")+"/@workflow/publish", nil))
		check(t, a.edit("f/undated", jsonMap{"effective": nil}))
		check(t, a.edit("f", jsonMap{"ordering": jsonMap{"obj_id": "l", "delta": "top"}}))

		noErrors(t, m.sync())
		wantEqual(t, a.world, b.world)
		was, reads := m.target.effects, m.reads
		noErrors(t, m.sync())
		if n := m.target.effects - was; n != 0 || m.reads != reads {
			t.Errorf("a second run wrote %d times and read %d objects", n, m.reads-reads)
		}
		fresh2 := newMirror(t, a.source(t), b.target(t))
		noErrors(t, fresh2.sync())
		if n := fresh2.target.effects; n != 0 {
			t.Errorf("a run without memory wrote %d times", n)
		}
	})
}

// editor does random things to a site, as people do.
type editor struct {
	world
	random *rand.Rand
	n      int
}

func (e *editor) pick(t *testing.T, want func(p, typ string) bool) string {
	paths, err := e.paths()
	check(t, err)
	var all []string
	for p, typ := range paths {
		if want(p, typ) {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	if len(all) == 0 {
		return ""
	}
	return all[e.random.IntN(len(all))]
}

func anything(string, string) bool { return true }
func isFolder(_, typ string) bool  { return typ == "Folder" }
func isPage(_, typ string) bool    { return typ == "Document" }
func (e *editor) name() string     { e.n++; return fmt.Sprintf("n%d", e.n) }
func (e *editor) act(t *testing.T) string {
	t.Helper()
	into := e.pick(t, isFolder)
	p := e.pick(t, anything)
	what := e.random.IntN(10)
	switch {
	case what < 2 || p == "":
		e.put(t, into, "Folder", e.name(), nil)
		return "new folder in " + into
	case what < 4:
		e.put(t, into, "Document", e.name(), jsonMap{"text": markup(fmt.Sprintf("<p>%d &amp; &nbsp;</p>", e.n))})
		return "new page in " + into
	case what == 4:
		check(t, e.edit(p, jsonMap{"title": e.name(), "subjects": []string{e.name()}}))
		return "edit " + p
	case what == 5:
		if strings.HasPrefix(into+"/", p+"/") || parentPath(p) == into {
			return ""
		}
		must[jsonMap](t)(e.call("POST", e.at(into)+"/@move", jsonMap{"source": e.at(p)}))
		return "move " + p + " to " + into
	case what == 6:
		check(t, e.edit(p, jsonMap{"id": e.name()}))
		return "rename " + p
	case what == 7 && strings.Contains(p, "/"):
		check(t, e.Remove(p))
		return "remove " + p
	case what == 8:
		if d := e.pick(t, isPage); d != "" {
			_, _, err := e.try("POST", e.at(d)+"/@workflow/"+[]string{"publish", "retract", "submit"}[e.random.IntN(3)], nil)
			check(t, err)
			return "workflow of " + d
		}
	case into != "":
		other := e.pick(t, func(q, _ string) bool { return parentPath(q) == into })
		if other != "" {
			check(t, e.edit(into, jsonMap{"ordering": jsonMap{"obj_id": path.Base(other), "delta": "top"}}))
			return "order " + into
		}
	}
	return ""
}

func TestWhateverEditorsDoTheTargetFollows(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		a, b, m := two(t, fresh)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		e := &editor{world: a.world, random: rand.New(rand.NewPCG(seed, 1))}
		for round := range 8 {
			var did []string
			for range 15 {
				did = append(did, e.act(t))
			}
			noErrors(t, m.sync())
			wantEqual(t, a.world, b.world)
			if t.Failed() {
				t.Fatalf("after round %d: %q", round, did)
			}
		}
	})
}

func TestTheShortestWayToAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "n")
		var have []string
		for i := range n {
			have = append(have, fmt.Sprint(i))
		}
		have = rapid.Permutation(have).Draw(t, "have")
		var want []string
		for _, s := range rapid.Permutation(have).Draw(t, "want") {
			if rapid.Bool().Draw(t, "ours") {
				want = append(want, s)
			}
		}
		list := slices.Clone(have)
		for _, m := range moves(have, want) {
			from := slices.Index(list, m.what)
			list = slices.Insert(slices.Delete(list, from, from+1), from+m.delta, m.what)
		}
		at := positions(list)
		if !slices.IsSortedFunc(want, func(a, b string) int { return at[a] - at[b] }) {
			t.Fatalf("%v became %v, want the order %v", have, list, want)
		}
	})
}

func TestAnAccountThatIsRefusedListsNothingAndRemovesNothing(t *testing.T) {
	s, _ := fakeSite(t)
	s.put(t, "", "Folder", "f", nil)
	src := s.source(t)
	check(t, os.WriteFile(src.opts.PasswordFile, []byte("other"), 0o600))
	check(t, src.readSecret())
	for _, err := range src.List(t.Context()) {
		if f := fault.Of(err); err == nil || f.Code != fault.Permission || !f.WholeSite {
			t.Fatalf("listed with %v", err)
		}
	}
	if gone, err := src.Gone(t.Context(), uidOf("x"), "f"); gone || err == nil {
		t.Errorf("gone: %v, %v", gone, err)
	}
	// The password is right again: it is read anew.
	check(t, os.WriteFile(src.opts.PasswordFile, []byte(testPassword), 0o600))
	n := 0
	for _, err := range src.List(t.Context()) {
		check(t, err)
		n++
	}
	if n != 1 {
		t.Errorf("%d objects are listed, want 1", n)
	}
}

func TestALoginThatIsLostBetweenTwoListingsRemovesNothing(t *testing.T) {
	s, f := fakeSite(t)
	s.put(t, "", "Folder", "f", nil)
	s.put(t, "", "Document", "d", nil)
	src := s.source(t)
	m := newMirror(t, src, nil)
	if n := len(m.items()); n != 2 {
		t.Fatalf("%d objects", n)
	}
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("Authorization")
		return false
	}
	for it, err := range src.List(t.Context()) {
		if err == nil {
			t.Errorf("%s is listed to nobody", it.Path)
		}
	}
}

func TestARowWithoutAnObjectEndsNoListingAndIsNoRemoval(t *testing.T) {
	s, f := fakeSite(t)
	first := s.put(t, "", "Folder", "a", nil)
	s.put(t, "", "Folder", "b", nil)
	s.put(t, "b", "Document", "c", nil)
	f.dead = true // the row of a
	src := s.source(t)
	var got []string
	for range 2 { // all rows, and what is new
		got = nil
		for _, it := range newMirror(t, src, nil).items() {
			got = append(got, it.Path)
		}
	}
	if want := []string{"b", "b/c"}; !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	if gone, err := src.Gone(t.Context(), first, "a"); gone {
		t.Errorf("it counts as gone: %v", err)
	}
}

// answer makes the fake say one thing to some requests.
func answer(method string, status int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || strings.Contains(r.URL.Path, "@login-renew") {
			return false
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}

func TestEachAnswerHasItsClass(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		code   fault.Code
		class  fault.Class
		site   bool
	}{
		"a proxy without its server":  {502, "<html>bad gateway</html>", fault.TargetDown, fault.Retry, true},
		"a conflict":                  {500, `{"type":"ConflictError","message":"database conflict error","traceback":["secret"]}`, fault.Conflict, fault.Retry, false},
		"a KeyError":                  {503, `{"type":"KeyError","message":"'delta'"}`, fault.Unknown, fault.Retry, false},
		"a missing right":             {401, `{"type":"Unauthorized","message":"no"}`, fault.Permission, fault.Park, false},
		"a right to set UIDs":         {403, `{"error":{"type":"Forbidden","message":"Setting UID of an object requires Manage Portal permission"}}`, fault.Permission, fault.Park, false},
		"a lock":                      {403, `{"type":"Forbidden","message":"Resource is locked."}`, fault.Locked, fault.Retry, false},
		"a lock by its status":        {423, `{"type":"ResourceLockedError","message":"x"}`, fault.Locked, fault.Retry, false},
		"a value that is refused":     {400, `{"error":{"type":"BadRequest","message":"Required input is missing."}}`, fault.Refused, fault.Park, false},
		"a full disk":                 {500, `{"type":"OSError","message":"[Errno 28] No space left on device"}`, fault.DiskFull, fault.Retry, true},
		"a container that went away":  {404, `{"type":"NotFound","message":"x"}`, fault.ParentMissing, fault.Retry, false},
		"a login that was redirected": {302, ``, fault.Unknown, fault.Retry, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, f := fakeSite(t)
			f.before = answer("POST", c.status, c.body)
			typ, ps := encode("x", contenttest.Container(1))
			op := content.Op{Change: contenttest.Change(uidOf("x"), "x", typ, ps), To: "x", Open: contenttest.OpenInline}
			err := s.target(t).Apply(t.Context(), []content.Op{op})[0]
			if flt := fault.Of(err); err == nil || flt.Code != c.code || flt.Class != c.class || flt.WholeSite != c.site {
				t.Errorf("%v: code %s, class %s, of the site: %v", err, flt.Code, flt.Class, flt.WholeSite)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("a traceback is told: %v", err)
			}
		})
	}
}

func TestNothingAtOrAboveTheSiteIsRemoved(t *testing.T) {
	s, f := fakeSite(t)
	s.put(t, "", "Folder", "f", nil)
	uid := f.root.uid
	for _, from := range []string{"f", "", "../plone"} {
		op := content.Op{Change: contenttest.Removal(uid, "f", "Folder"), From: from, Open: contenttest.OpenNever}
		if err := s.target(t).Apply(t.Context(), []content.Op{op})[0]; err == nil {
			t.Errorf("from %q: the site itself was removed", from)
		}
	}
	if len(f.root.children) != 1 {
		t.Error("the site is empty")
	}
}

func TestNoWriteFollowsAnOldAddress(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		s := fresh(t)
		s.put(t, "", "Folder", "old", nil)
		check(t, s.edit("old", jsonMap{"id": "new"}))
		target := s.target(t)
		for _, method := range []string{"GET", "DELETE", "PATCH", "POST"} {
			if _, err := target.do(t.Context(), request{method: method, path: "old", body: jsonMap{"title": "x", "@type": "Folder"}}); !isAbsent(err) {
				t.Errorf("%s: %v", method, err)
			}
		}
		doc := must[jsonMap](t)(s.get("new"))
		if paths := must[map[string]string](t)(s.paths()); doc["title"] != "Title of old" || len(paths) != 1 {
			t.Errorf("the object has the title %v, the site %v", doc["title"], paths)
		}
	})
}

func TestAnObjectFurtherUpIsNotTakenForTheContainer(t *testing.T) {
	s, _ := fakeSite(t)
	s.put(t, "", "Folder", "a", nil)
	s.put(t, "", "Folder", "b", nil)
	typ, ps := encode("a/b/x", contenttest.Container(1))
	op := content.Op{Change: contenttest.Change(uidOf("x"), "a/b/x", typ, ps), To: "a/b/x", Open: contenttest.OpenInline}
	err := s.target(t).Apply(t.Context(), []content.Op{op})[0]
	if fault.Of(err).Code != fault.ParentMissing {
		t.Errorf("created with %v", err)
	}
	if paths := must[map[string]string](t)(s.paths()); len(paths) != 2 {
		t.Errorf("there is %v", paths)
	}
}

func TestARelationToWhatIsNotThereYetIsMadeLater(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		a, b, m := two(t, fresh)
		late := a.put(t, "", "Document", "late", nil)
		a.put(t, "", "Document", "early", jsonMap{"relatedItems": []string{late}})
		items := m.items()
		i := slices.IndexFunc(items, func(it content.Item) bool { return it.Path == "early" })
		check(t, m.apply(m.read(items[i])))
		if note := m.notes[items[i].UID]; !slices.Equal(note.Missing, []string{late}) {
			t.Fatalf("missing %v, want %s", note.Missing, late)
		}
		noErrors(t, m.sync())
		wantEqual(t, a.world, b.world)
	})
}

func TestWhatSomebodyChangedOnTheTarget(t *testing.T) {
	for do, want := range map[Drift]string{Report: "local", Overwrite: "new", Keep: "local"} {
		t.Run(string(do), func(t *testing.T) {
			a, _ := fakeSite(t)
			b, _ := fakeSite(t)
			m := newMirror(t, a.source(t), b.target(t))
			m.target.opts.DriftRules = []DriftRule{{Path: "/", Do: do}}
			a.put(t, "", "Document", "d", nil)
			noErrors(t, m.sync())
			check(t, b.edit("d", jsonMap{"title": "local"}))
			check(t, a.edit("d", jsonMap{"title": "new", "description": "new"}))
			errs := m.sync()
			if reported := len(errs) == 1 && fault.Of(errs[0]).Code == fault.LocalEdit && strings.Contains(errs[0].Error(), "title"); reported != (do == Report) {
				t.Errorf("errors %v", errs)
			}
			doc := must[jsonMap](t)(b.get("d"))
			if doc["title"] != want || (doc["description"] == "new") == (do == Report) {
				t.Errorf("the target has %v and %v", doc["title"], doc["description"])
			}
		})
	}
}

func TestARepairOverwritesWhatIsOnlyReported(t *testing.T) {
	for do, want := range map[Drift]string{Report: "Title of d", Overwrite: "Title of d", Keep: "local"} {
		a, _ := fakeSite(t)
		b, _ := fakeSite(t)
		m := newMirror(t, a.source(t), b.target(t))
		m.target.opts.Drift = do
		uid := a.put(t, "", "Document", "d", nil)
		noErrors(t, m.sync())
		check(t, b.edit("d", jsonMap{"title": "local"}))
		op := content.Op{Change: m.last[uid], From: "d", To: "d", Open: contenttest.OpenInline, Note: m.notes[uid], Repair: true}
		check(t, m.target.Apply(t.Context(), []content.Op{op})[0])
		if doc := must[jsonMap](t)(b.get("d")); doc["title"] != want {
			t.Errorf("%s: a repair leaves %v", do, doc["title"])
		}
	}
}

func TestAFieldThatIsOmittedStaysTheTargets(t *testing.T) {
	a, _ := fakeSite(t)
	b, _ := fakeSite(t)
	m := newMirror(t, a.source(t), b.target(t))
	m.target.opts.Omit = []string{"description", "review_state"}
	a.put(t, "", "Document", "d", jsonMap{"description": "source"})
	must[jsonMap](t)(a.call("POST", a.at("d")+"/@workflow/publish", nil))
	noErrors(t, m.sync())
	doc := must[jsonMap](t)(b.get("d"))
	if d, _ := doc["description"].(string); d != "" || doc["review_state"] != "private" {
		t.Errorf("the target has %v, %v", doc["description"], doc["review_state"])
	}
}

func TestAnUploadThatTheSiteDropsIsSentFromItsBeginning(t *testing.T) {
	a, _ := fakeSite(t)
	b, f := fakeSite(t)
	m := newMirror(t, a.source(t), b.target(t))
	big := make([]byte, 2*inlineLimit)
	a.put(t, "", "File", "big", jsonMap{"file": upload("big", "application/octet-stream", big)})
	dropped := 0
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "@tus-upload") || dropped > 0 {
			return false
		}
		dropped++
		clear(f.uploads)
		w.WriteHeader(http.StatusNotFound)
		return true
	}
	noErrors(t, m.sync())
	f.before = nil
	if dropped != 1 {
		t.Errorf("%d uploads were dropped", dropped)
	}
	wantEqual(t, a.world, b.world)
}

func TestTextThatCannotBeReadRawIsSentAsRendered(t *testing.T) {
	a, f := fakeSite(t)
	f.noRaw = true
	b, g := fakeSite(t)
	m := newMirror(t, a.source(t), b.target(t))
	uid := a.put(t, "", "Document", "d", nil)
	a.put(t, "", "Document", "e", jsonMap{"text": markup(`<p>a&nbsp;b <a href="resolveuid/` + uid + `#x">d</a></p>`)})
	noErrors(t, m.sync())
	got := g.root.child("e").fields["text"].(map[string]any)["data"]
	if want := "<p>a\u00a0b <a href=\"resolveuid/" + uid + "#x\">d</a></p>"; got != want {
		t.Errorf("the target has %q, want %q", got, want)
	}
}

func TestAChangeThatTheCatalogDoesNotShowIsFoundByTheSweep(t *testing.T) {
	s, f := fakeSite(t)
	s.put(t, "", "Folder", "f", nil)
	src := s.source(t)
	m := newMirror(t, src, nil)
	was := m.read(m.items()[0]).Digest
	f.root.children[0].layout = "other_view"
	src.opts.Sweep = time.Second
	time.Sleep(1100 * time.Millisecond)
	it := m.items()[0]
	if it.Fingerprint == m.prints[it.UID] {
		t.Fatal("the sweep does not ask for it")
	}
	if is := m.read(it).Digest; is == was {
		t.Error("the layout is not part of the state")
	}
	src.opts.Sweep = time.Hour
	if it := m.items()[0]; it.Fingerprint != m.prints[it.UID] {
		t.Error("it is read again without need")
	}
}

func TestAnIdleCycleAsksLittle(t *testing.T) {
	s, f := fakeSite(t)
	for i := range 30 {
		s.put(t, "", "Document", fmt.Sprintf("d%d", i), nil)
	}
	src := s.source(t)
	m := newMirror(t, src, nil)
	m.items()
	f.asked = nil
	for range src.List(t.Context()) {
	}
	if len(f.asked) > 3 {
		t.Errorf("an idle cycle asks %q", f.asked)
	}
}

func TestScopeLeavesOutWhatIsNotMeant(t *testing.T) {
	s, _ := fakeSite(t)
	s.put(t, "", "Folder", "news", nil)
	s.put(t, "news", "Folder", "2026", nil)
	s.put(t, "news/2026", "Document", "d", nil)
	s.put(t, "news/2026", "Link", "l", jsonMap{"remoteUrl": "http://x"})
	s.put(t, "news", "Folder", "2025", nil)
	s.put(t, "", "Folder", "other", nil)
	src := s.source(t)
	src.opts.Scope = Scope{Paths: []string{"/news/2026"}, Types: []string{"Folder", "Document"}}
	var got []string
	for _, it := range newMirror(t, src, nil).items() {
		got = append(got, it.Path)
	}
	if want := []string{"news", "news/2026", "news/2026/d"}; !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
}

func TestNamesThatPloneChangesAreRefusedBeforeAnythingIsDone(t *testing.T) {
	s, f := fakeSite(t)
	target := s.target(t)
	typ, ps := encode("x", contenttest.Container(1))
	apply := func(from, to string) error {
		return target.Apply(t.Context(), []content.Op{{Change: contenttest.Change(uidOf("x"), to, typ, ps), From: from, To: to, Open: contenttest.OpenInline}})[0]
	}
	for _, name := range []string{"layout", "default_page", "@search", "_x", "a&b", "ünï", "new\nline", "..", "++x"} {
		if err := apply("", name); fault.Of(err).Code != fault.NameRefused {
			t.Errorf("%q: %v", name, err)
		}
	}
	check(t, apply("", "x"))
	f.writes = 0
	for _, name := range []string{"Upper", "_x", "with space"} {
		if err := apply("x", name); fault.Of(err).Code != fault.NameRefused {
			t.Errorf("%q: %v", name, err)
		}
	}
	if f.writes != 0 {
		t.Errorf("%d writes", f.writes)
	}
}

func TestAddressesLieBelowTheSite(t *testing.T) {
	base, err := parseBase("https://www.example.org/Plone/", false)
	check(t, err)
	for path, want := range map[string]string{
		"":           "https://www.example.org/Plone",
		"a/b":        "https://www.example.org/Plone/a/b",
		"a b/ü?#/@x": "https://www.example.org/Plone/a%20b/%C3%BC%3F%23/%40x",
		"/a//b/":     "https://www.example.org/Plone/a/b",
		`'"\`:        "https://www.example.org/Plone/%27%22%5C",
		"%2e%2e/x":   "https://www.example.org/Plone/%252e%252e/x",
	} {
		got := address(base, path, "", nil)
		if got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
		if back, ok := below(base, got); !ok || back != strings.Trim(strings.ReplaceAll(path, "//", "/"), "/") {
			t.Errorf("%s leads back to %q, %v", got, back, ok)
		}
	}
	for _, other := range []string{"https://www.example.org/Plone2/a", "https://www.example.org/", "http://www.example.org/Plone/a", "https://evil.example.org/Plone/a", "::"} {
		if p, ok := below(base, other); ok {
			t.Errorf("%s lies below the site, at %q", other, p)
		}
	}
}

func TestForeignBytesDoNoHarm(t *testing.T) {
	for _, s := range []string{"", "\n\n", "Portal-Type: x", "Portal-Type: Document\n\nbody", ":\n", "\x00\xff\n\n", "Portal-Type: a\n b\n\n"} {
		parseRaw([]byte(s))
		parseNote(s)
	}
	if raw := parseRaw([]byte("Portal-Type: Document\n\n\n<p>\n")); raw == nil || raw.body != "\n<p>\n" {
		t.Errorf("read as %+v", raw)
	}
	if err := parseError(request{}, &http.Response{StatusCode: 500}, []byte(`{"message":{"a":1}}`)); err.message != `{"a":1}` {
		t.Errorf("the message is %q", err.message)
	}
}

func TestAFileThatBreaksOffOrStallsIsAFaultOfTheSite(t *testing.T) {
	for name, end := range map[string]func(){"breaks off": func() {}, "stalls": func() { time.Sleep(time.Second) }} {
		t.Run(name, func(t *testing.T) {
			s, f := fakeSite(t)
			s.put(t, "", "File", "x", jsonMap{"file": upload("x", "application/octet-stream", make([]byte, 1000))})
			src := s.source(t)
			src.opts.Timeout, src.client.opts.Timeout = 200*time.Millisecond, 200*time.Millisecond
			snap, err := src.Read(t.Context(), newMirror(t, src, nil).items()[0])
			check(t, err)
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "@@download") {
					return false
				}
				w.Header().Set("Content-Length", "1000")
				_, _ = w.Write(make([]byte, 10))
				_ = http.NewResponseController(w).Flush()
				end()
				return true
			}
			start := time.Now()
			_, err = io.ReadAll(snap.Parts[1].Body)
			if flt := fault.Of(err); err == nil || !flt.WholeSite || flt.Class != fault.Retry {
				t.Errorf("read with %v", err)
			}
			if took := time.Since(start); took > 900*time.Millisecond {
				t.Errorf("it took %v to notice", took)
			}
			_ = snap.Close()
		})
	}
}
