package tales

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/content"
)

const document = "../../docs/expressions.md"

// documented reads the object that the document shows.
func documented(t testing.TB) *content.Change {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```json\n")
	block, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the document shows no object")
	}
	var o struct {
		UID, Name, Path, Type, Source string
		CapturedAt                    time.Time `json:"captured_at"`
		Meta                          map[string]any
	}
	if err := json.Unmarshal([]byte(block), &o); err != nil {
		t.Fatal(err)
	}
	return &content.Change{
		Source: o.Source, Kind: content.Modified, CapturedAt: o.CapturedAt,
		Object: content.Object{UID: o.UID, Name: o.Name, Path: o.Path, Type: o.Type, Meta: o.Meta},
	}
}

func runExamples(t *testing.T, file string, least int) {
	t.Helper()
	all := examples(t, file)
	if len(all) < least {
		t.Errorf("%s has %d examples, want at least %d", file, len(all), least)
	}
	change := documented(t)
	for _, x := range all {
		e, err := Compile(x.expression)
		got := outcome(e, err, func() (any, error) { return e.Value(change) })
		if !agree(got, x.want) {
			t.Errorf("%s:%d: %s\n got  %s\n want %s", file, x.line, x.expression, got, x.want)
		}
	}
}

func TestTheDocumentIsTrue(t *testing.T) { runExamples(t, document, 100) }

func TestExpressionsFromPublicSites(t *testing.T) { runExamples(t, "testdata/real.tales", 60) }

func TestEveryWordIsInTheDocument(t *testing.T) {
	var shown strings.Builder
	for _, x := range examples(t, document) {
		shown.WriteString(x.expression + "\n")
	}
	missing := func(what, form string) {
		if !strings.Contains(shown.String(), form) {
			t.Errorf("no example shows %s %s", what, form)
		}
	}
	for _, n := range names {
		for w := range n.words {
			missing("the word", "."+w)
		}
	}
	for b := range builtins {
		missing("the function", b+"(")
	}
	for _, parts := range [][]string{
		slices.Collect(maps.Keys(dateParts)), slices.Collect(maps.Keys(dateTexts)),
		slices.Collect(maps.Keys(dateOrders)), strings.Fields(dateMethods),
	} {
		for _, part := range parts {
			missing("the part of a date", "."+part)
		}
	}
	for method := range own {
		_, name, _ := strings.Cut(method, ".")
		missing("the method", "."+name+"(")
	}
}

func BenchmarkEvaluate(b *testing.B) {
	change := documented(b)
	for name, text := range map[string]string{
		"state":         "python: object.review_state == 'published'",
		"title":         "python: object.Title() == 'To be Exported'",
		"path":          "object/review_state | nothing",
		"types":         "python: object.portal_type in ('News Item', 'Event') and object.getId().endswith('.html')",
		"date":          "python: object.effective() >= DateTime('2024/04/01')",
		"comprehension": "python: any(s.startswith('w') for s in object.Subject())",
	} {
		e, err := Compile(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Matches(change); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
