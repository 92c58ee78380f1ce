package plone

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
)

// snippets are what random texts are made of: what Plone and careless clients change.
var snippets = []string{
	"<p>", "</p>", "&nbsp;", "&amp;", "&lt;", "&", "&copy;", "&#39;", "&quot;", `"`, "'", "é", "u\u0308", "\n", "\r\n", "\t", " ",
	"<br/>", "<BR>", "<b>", "<script>if (a < b && c) x()</script>", "<!-- a & b -->", "<style>p > a {}</style>", "<a href='x'>y</a>",
	`<a href="resolveuid/00000000000000000000000000000000">z</a>`, `<img src="x" data-a="&amp;lt;" onclick="y"/>`, "<svg><path d='M0'/></svg>",
	"<x-y>", "]]>", "<![CDATA[x]]>", "<?pi x?>", "&amp;amp;", "&unknown;", "javascript:", "😀", "\u00a0", "%20", "\\", "$(x)", "<td>1</td>",
}

func randomText(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("<p>x</p>")
	for range 1 + r.IntN(12) {
		b.WriteString(snippets[r.IntN(len(snippets))])
	}
	return b.String()
}

// The source's stored text is what counts, whatever it was before Plone stored it.
func TestRandomTextsArriveAsTheyAreStored(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		a, b, m := two(t, fresh)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 2))
		for i := range 150 {
			body := jsonMap{"@type": "Document", "id": fmt.Sprintf("d%d", i), "title": "t", "text": markup(randomText(r))}
			if _, _, err := a.try("POST", a.base, body); err != nil { // what Plone refuses is not there
				t.Fatal(err)
			}
		}
		noErrors(t, m.sync())
		pa, pb := a.portrait(t), b.portrait(t)
		if len(pa) < 100 {
			t.Fatalf("only %d texts were taken", len(pa))
		}
		for p := range pa {
			if pa[p] != pb[p] {
				t.Errorf("%s:\n%s\n%s", p, pa[p], pb[p])
			}
		}
	})
}

func TestAFolderTreeBecomesFoldersImagesAndFiles(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		s := fresh(t)
		target := s.target(t)
		png := "\x89PNG\r\n\x1a\n"
		for _, x := range []struct {
			path  string
			thing contenttest.Thing
		}{{"a", contenttest.Container(1)}, {"a/read me.txt", contenttest.Leaf("hello", 2)}, {"a/x.png", contenttest.Leaf(png, 3)}, {"a/noext", contenttest.Leaf("\x00", 4)}} {
			typ, ps := contenttest.EncodeTree(x.path, x.thing)
			for range 2 {
				check(t, target.Apply(t.Context(), []content.Op{{
					Change: contenttest.Change(uidOf(x.path), x.path, typ, ps), To: x.path, Open: contenttest.OpenInline, Note: &content.Note{},
				}})[0])
			}
		}
		if target.effects != 4 {
			t.Errorf("%d effects, want 4", target.effects)
		}
		for path, want := range map[string][2]string{"a/read me.txt": {"file", "hello"}, "a/x.png": {"image", png}, "a/noext": {"file", "\x00"}} {
			_, b, err := s.try("GET", s.at(path)+"/@@download/"+want[0], nil)
			check(t, err)
			if string(b) != want[1] {
				t.Errorf("%s holds %q", path, b)
			}
		}
	})
}
