package plone

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/content"
)

func TestObjectsAreListedByAgeButContainersFirst(t *testing.T) {
	s := &source{rows: map[string]row{}}
	for i, r := range []struct{ path, created string }{
		{"b/old", "2020"}, {"b", "2024"}, {"a", "2021"}, {"a/z", "2022"}, {"a/c", "2023"}, {"b/new/x", "2019"}, {"b/new", "2025"}, {"lost/x", "2018"},
	} {
		s.rows[fmt.Sprint(i)] = row{path: r.path, Created: r.created}
	}
	var got []string
	for _, r := range s.sorted() {
		got = append(got, r.path)
	}
	want := []string{"lost/x", "b", "b/new", "b/new/x", "b/old", "a", "a/z", "a/c"}
	if !slices.Equal(got, want) {
		t.Errorf("they are listed as %v, want %v", got, want)
	}
}

func TestARelationToWhatWasRemovedOnTheTargetMeanwhileIsLeftOutAndMadeLater(t *testing.T) {
	a, b, m := two(t, func(t *testing.T) *site { return newFakeSite(t) })
	d := a.put(t, "", "Document", "d", nil)
	a.put(t, "", "Document", "e", jsonMap{"relatedItems": []string{d}})
	noErrors(t, m.sync())
	check(t, b.Remove("d"))
	f := a.put(t, "", "Document", "f", jsonMap{"relatedItems": []string{d}})
	items := m.items()
	check(t, m.apply(m.read(items[slices.IndexFunc(items, func(it content.Item) bool { return it.UID == f })])))
	if missing := m.notes[f].Missing; !slices.Equal(missing, []string{d}) {
		t.Errorf("f lacks %v, want %s", missing, d)
	}
}

func TestAFullSiteCostsFewQuestionsBesideTheWrites(t *testing.T) {
	_, fake := fakeSite(t)
	a := newFakeSite(t)
	b := &site{world: world{fake.server.URL + fake.prefix}}
	const n = 40
	var last string
	for i := range n {
		body := jsonMap{"description": "x"}
		if last != "" {
			body["relatedItems"] = []string{last}
		}
		last = a.put(t, "", "Document", fmt.Sprintf("d%d", i), body)
		time.Sleep(time.Millisecond)
	}
	m := newMirror(t, a.source(t), b.target(t))
	noErrors(t, m.sync())
	asked := map[string]int{}
	for _, line := range fake.asked {
		method, path, _ := strings.Cut(line, " ")
		switch {
		case strings.HasSuffix(path, "@search"):
			asked["search"]++
		case method == "POST" && strings.HasSuffix(path, fake.prefix):
			asked["create"]++
		default:
			asked["other"]++
		}
	}
	// The mirror applies one by one, so that each is looked for by itself.
	if asked["create"] != n || asked["search"] > n+5 || asked["other"] > 15 {
		t.Errorf("for %d objects the target is asked %v", n, asked)
	}
}

func TestTheTextOfAPageIsReadOnceMoreOnlyWhenItMayHaveChanged(t *testing.T) {
	a := newFakeSite(t)
	b, fake := fakeSite(t)
	text := func(s string) jsonMap { return jsonMap{"data": s, "content-type": "text/html", "encoding": "utf8"} }
	a.put(t, "", "Document", "d", jsonMap{"text": text("<p>a &amp;amp; &amp;nbsp; b</p>")})
	m := newMirror(t, a.source(t), b.target(t))
	noErrors(t, m.sync())
	for _, c := range []struct {
		edit jsonMap
		want int
	}{{jsonMap{"description": "new"}, 1}, {jsonMap{"text": text("<p>c &amp;amp; d</p>")}, 2}, {jsonMap{"text": text("<p>c</p>")}, 1}} {
		check(t, a.edit("d", c.edit))
		fake.asked = nil
		noErrors(t, m.sync())
		n := 0
		for _, line := range fake.asked {
			if strings.HasSuffix(line, "manage_DAVget") {
				n++
			}
		}
		if n != c.want {
			t.Errorf("to write %v the text is read %d times, want %d", c.edit, n, c.want)
		}
	}
	check(t, a.edit("d", jsonMap{"text": text("<p>c &amp;amp; d</p>")}))
	noErrors(t, m.sync())
	// Somebody writes another text at the same moment: it is seen, although the change has none.
	fake.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			fake.root.child("d").fields["text"] = text("<p>theirs</p>")
		}
		return false
	}
	check(t, a.edit("d", jsonMap{"description": "newer"}))
	if errs := m.sync(); len(errs) != 1 || !strings.Contains(errs[0].Error(), "something else in text") {
		t.Errorf("another text than that of the change gives %v", errs)
	}
}
