package plone

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/fault"
	"synchro.example/shared/preflight"
)

var (
	asSource   = preflight.Roles{Source: true, Thorough: true}
	asReceiver = preflight.Roles{Receiver: true, Thorough: true}
)

// failures gives what failed, one line for each.
func failures(r preflight.Report) (lines []string) {
	for _, f := range r.Failed() {
		lines = append(lines, f.Check+": "+f.Found)
		if f.Do == "" {
			lines = append(lines, f.Check+" does not say what to do")
		}
	}
	return lines
}

func verdictOf(r preflight.Report, check string) string {
	i := slices.IndexFunc(r, func(f preflight.Finding) bool { return f.Check == check })
	if i < 0 {
		return "not looked at"
	}
	return string(r[i].Verdict) + ": " + r[i].Found
}

func TestACheckOfTwoFitSitesFindsNothingWrongAndLeavesNothing(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		from, to := fresh(t), fresh(t)
		for _, typ := range []string{"Folder", "Document"} {
			must[jsonMap](t)(from.add("", jsonMap{"@type": typ, "id": strings.ToLower(typ), "title": typ}))
		}
		check(t, from.edit("document", jsonMap{"text": jsonMap{"data": "<p>x</p>", "content-type": "text/html", "encoding": "utf8"}}))
		must[jsonMap](t)(from.call("POST", from.at("document")+"/@workflow/publish", jsonMap{}))
		source, facts := Check(t.Context(), from.options(t), asSource)
		receiver, is := Check(t.Context(), to.options(t), asReceiver, facts)
		if wrong := append(failures(source), failures(receiver)...); len(wrong) > 0 {
			t.Errorf("it finds wrong:\n%s", strings.Join(wrong, "\n"))
		}
		for _, want := range []string{"site", "clock", "account", "version", "languages", "content", "texts"} {
			if v := verdictOf(source, want); !strings.HasPrefix(v, "good") {
				t.Errorf("the source's %s is %s", want, v)
			}
		}
		for _, want := range []string{"site", "account", "types", "rights", "workflow"} {
			if v := verdictOf(receiver, want); !strings.HasPrefix(v, "good") {
				t.Errorf("the receiver's %s is %s", want, v)
			}
		}
		if v := verdictOf(source, "content"); !strings.Contains(v, "2 objects") {
			t.Errorf("the content is %s", v)
		}
		if !isUID(is.Identity) || facts.Identity == "" {
			t.Errorf("the identities are %q and %q", facts.Identity, is.Identity)
		}
		if paths := must[map[string]string](t)(to.paths()); len(paths) > 0 {
			t.Errorf("the receiver has %v", paths)
		}
	})
}

func TestACheckNamesWhatIsWrongAndWhatToDo(t *testing.T) {
	type world struct {
		from, to *fakePlone
		opts     Options
	}
	cases := map[string]struct {
		spoil func(w *world)
		want  string
	}{
		"an address without a site":      {func(w *world) { w.opts.URL += "/document" }, `site: `},
		"a wrong password":               {func(w *world) { w.opts.User = "nobody" }, "account: the site does not take the account"},
		"no REST API":                    {func(w *world) { w.to.before = answerAll(401, "Missing 'plone.restapi: Use REST API' permission") }, "site: the site's REST API is not installed"},
		"no JSON":                        {func(w *world) { w.to.before = answerAll(200, "") }, "site: GET /: the answer is no JSON"},
		"an account that may not create": {func(w *world) { w.to.role = "Editor" }, "rights: the account may not create an object"},
		"a language less":                {func(w *world) { w.from.languages = []string{"en", "fr"} }, "languages: en; the source has fr too"},
		"a type less":                    {func(w *world) { w.to.lacks = "Document" }, "types: there is no Document here; 1 would come"},
		"a field less":                   {func(w *world) { w.to.lacks = "Document.text" }, "fields: Document has not, or not in the same way: text"},
		"no way into a state":            {func(w *world) { w.from.root.child("document").state = "secret" }, `workflow: no known transition leads a Document from "private" to "secret"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a, from := fakeSite(t)
			b, to := fakeSite(t)
			must[jsonMap](t)(a.add("", jsonMap{"@type": "Document", "id": "document", "title": "x"}))
			must[jsonMap](t)(b.add("", jsonMap{"@type": "Document", "id": "document", "title": "x"}))
			w := &world{from, to, b.options(t)}
			c.spoil(w)
			_, facts := Check(t.Context(), a.options(t), asSource)
			report, _ := Check(t.Context(), w.opts, asReceiver, facts)
			if got := failures(report); len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
				t.Errorf("it says %q, want one line that begins with %q", got, c.want)
			}
			to.before, to.lacks = nil, ""
			for path := range must[map[string]string](t)(b.paths()) {
				if strings.Contains(path, canaryName) {
					t.Errorf("it leaves /%s behind", path)
				}
			}
		})
	}
}

func answerAll(status int, message string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		if message != "" {
			fmt.Fprintf(w, `{"type":"Unauthorized","message":%q}`, message)
		}
		return true
	}
}

func TestACheckThatIsInterruptedRemovesWhatItMade(t *testing.T) {
	s, f := fakeSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			cancel()
		}
		return false
	}
	Check(ctx, s.options(t), asReceiver)
	if len(f.root.children) > 0 || f.writes < 2 {
		t.Errorf("after %d writes the site has %d objects", f.writes, len(f.root.children))
	}
}

func TestAQuickCheckWritesNothing(t *testing.T) {
	s, f := fakeSite(t)
	Check(t.Context(), s.options(t), preflight.Roles{Source: true, Receiver: true})
	if f.writes > 0 {
		t.Errorf("it writes %d times", f.writes)
	}
}

func TestASiteThatLooksForObjectsFurtherUpIsAdvisedAgainst(t *testing.T) {
	s, f := fakeSite(t)
	for _, explicit := range []bool{false, true} {
		f.explicit = explicit
		report, _ := Check(t.Context(), s.options(t), asReceiver)
		if v := verdictOf(report, "acquisition"); strings.HasPrefix(v, "good") != explicit {
			t.Errorf("explicit %v: %s", explicit, v)
		}
	}
}

func TestAnotherSiteAtTheAddressIsNeitherReadNorWritten(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		s := fresh(t)
		must[jsonMap](t)(s.add("", jsonMap{"@type": "Folder", "id": "here", "title": "x"}))
		id := must[string](t)(Identity(t.Context(), s.options(t)))
		refuse := false
		known := func(_ context.Context, is string) error {
			if is != id {
				t.Errorf("the site is %q, and was %q", is, id)
			}
			if refuse {
				return fault.OfSite(fault.Retry, fault.OtherSite, os.ErrInvalid)
			}
			return nil
		}
		source, target := s.source(t), s.target(t)
		source.Identify(known)
		target.Identify(known)
		if items := newMirror(t, source, target).items(); len(items) != 1 {
			t.Errorf("it lists %d objects", len(items))
		}
		refuse = true
		source.listed = time.Time{}
		for _, err := range source.List(t.Context()) {
			if f := fault.Of(err); err == nil || f.Code != fault.OtherSite || !f.WholeSite {
				t.Errorf("it lists, with %v", err)
			}
		}
		if _, err := source.Gone(t.Context(), newUID(), "gone"); fault.Of(err).Code != fault.OtherSite {
			t.Errorf("something is gone, with %v", err)
		}
		_, payloads := encode("", contenttest.Thing{Container: true})
		c := contenttest.Change(newUID(), "new", "Folder", payloads)
		if err := newMirror(t, source, target).apply(c); err == nil || fault.Of(err).Code != fault.OtherSite {
			t.Errorf("it writes, with %v", err)
		}
	})
}

func TestAPasswordThatIsRenewedWhileAChangeIsOnItsWayIsNoMissingRight(t *testing.T) {
	s, f := fakeSite(t)
	o := s.options(t)
	check(t, os.WriteFile(o.PasswordFile, []byte("old"), 0o600))
	to := must[content.Target](t)(OpenTarget(o)).(*target)
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost { // the new one is in the file just then
			check(t, os.WriteFile(o.PasswordFile, []byte(testPassword), 0o600))
		}
		return false
	}
	_, payloads := encode("", contenttest.Thing{Container: true})
	c := contenttest.Change(newUID(), "new", "Folder", payloads)
	m := newMirror(t, s.source(t), to)
	if got := fault.Of(m.apply(c)); got.Class != fault.Retry || !got.WholeSite {
		t.Errorf("the change is decided upon as %s %s: %v", got.Class, got.Code, got)
	}
	check(t, m.apply(c))
}
