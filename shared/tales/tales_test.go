package tales

import (
	"errors"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
)

func mustCompile(t testing.TB, text string) *Expression {
	t.Helper()
	e, err := Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestErrorsNameLineAndColumn(t *testing.T) {
	for text, want := range map[string][2]int{
		"python: object.colour.x + ":                    {1, 26},
		"python: object.title == member":                {1, 25},
		"python:\n  object.title ==\n    member":        {3, 5},
		"python: 'Ünï' + member":                        {1, 17},
		"object/title | here/x/@@view":                  {1, 23},
		"string: a ${object/title} ${foo}":              {1, 29},
		"not: exists: request/x":                        {1, 14},
		"python: object.weight":                         {1, 16},
		"python: [s.foo for s in object.Subject()]":     {1, 12},
		"python: u'a' 'b' == object.weight":             {1, 28},
		"python: any(s.foo is not None for s in ['a'])": {1, 15},
		"python: \"\"\"a\nb\"\"\" + object.weight":      {2, 15},
		"object/title/2/upper/colour":                   {1, 22},
		"  object/weight":                               {1, 10},
		"python: object.title + 1":                      {1, 22},
		"python: sorted([3, 1], key=lambda x: x.foo)":   {1, 40},
	} {
		e, err := Compile(text)
		if err == nil {
			_, err = e.Value(someChange())
		}
		got, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("%q: %v", text, err)
		} else if got.Line != want[0] || got.Column != want[1] {
			t.Errorf("%q: line %d, column %d, want %d, %d: %v", text, got.Line, got.Column, want[0], want[1], got)
		}
	}
}

func TestAWrongExpressionStopsAndAFailingOneParks(t *testing.T) {
	_, err := Compile("python: object.title ==")
	if f := fault.Of(err); f.Class != fault.Stop || f.Code != fault.Misconfigured {
		t.Errorf("a wrong expression has class %s, code %s", f.Class, f.Code)
	}
	_, err = mustCompile(t, "python: object.weight > 3").Matches(someChange())
	if f := fault.Of(err); f.Class != fault.Park || f.Code != fault.BadExpression {
		t.Errorf("a failing expression has class %s, code %s", f.Class, f.Code)
	}
	if !strings.Contains(err.Error(), "news/2026/item.html") {
		t.Errorf("the object is not named: %v", err)
	}
}

func TestAnObjectWithoutMetadataHasTheDocumentedValues(t *testing.T) {
	bare := &content.Change{CapturedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Object: content.Object{Name: "a", Path: "a", Type: "folder"}}
	for text, want := range map[string]bool{
		"python: object.Title() + object.Language() + object.Creator() + object.review_state":    false,
		"python: object.Subject() or object.Creators() or object.contributors":                   false,
		"python: object.portal_type == 'folder' and object.Type() == 'folder'":                   true,
		"python: object.is_folderish and object.get_size() == 0 and object.title_or_id() == 'a'": true,
		"python: object.modified() == event.time":                                                true,
		"python: object.effective() < DateTime('1970-01-01') and object.expires().year() > 2400": true,
		"python: object.effective_date is None and object.EffectiveDate() == 'None'":             true,
		"object/created | nothing": false,
	} {
		if got, err := mustCompile(t, text).Matches(bare); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := mustCompile(t, "python: object.created()").Matches(bare); err == nil {
		t.Error("an object that carries no date of creation has one")
	}
}

// What an expression sees after the road through the broker is what the driver gave.
func TestMetadataSurvivesTheEnvelope(t *testing.T) {
	sent := someChange()
	sent.ID, sent.Version = "0190a000-0000-7000-8000-000000000000", 1
	sent.Object.Meta = map[string]any{
		"modified": time.Date(2024, 1, 1, 23, 30, 0, 5, time.FixedZone("", 7200)), "size": int64(3000000000), "small": 7, "f": 1.5,
		"subjects": []string{"a", "b"}, "text": map[string]any{"data": "x", "list": []any{1, "two", nil}}, "yes": true, "raw": []byte{0xff, 'a'},
	}
	sent.Digest = content.DigestOf(nil)
	body, err := envelope.Encode(sent)
	if err != nil {
		t.Fatal(err)
	}
	received, err := envelope.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"python: object.modified().ISO8601() == '2024-01-01T21:30:00+00:00'", "python: object.get_size() == 3000000000",
		"python: object.small == 7 and object.f == 1.5 and object.yes is True", "python: object.Subject() == ('a', 'b')",
		"python: object.text.list[1] == 'two' and object.text.list[2] is None", "python: len(object.raw) == 2",
	} {
		for name, c := range map[string]*content.Change{"sent": sent, "received": received} {
			if ok, err := mustCompile(t, text).Matches(c); !ok || err != nil {
				t.Errorf("%s, %s: %v, %v", text, name, ok, err)
			}
		}
	}
}

func TestTheZoneOfTheMachineDoesNotMatter(t *testing.T) {
	local := time.Local
	defer func() { time.Local = local }()
	c := someChange()
	c.Object.Meta["modified"] = time.Unix(1704067200, 0)
	e := mustCompile(t, "python: [object.modified().hour(), DateTime('2024-01-01 05:00').ISO8601(), object.creation_date.hour()]")
	seen := map[string]bool{}
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("east", 9*3600)} {
		time.Local = zone
		c.Object.Meta["modified"] = time.Unix(1704067200, 0)
		seen[outcome(e, nil, func() (any, error) { return e.Value(c) })] = true
	}
	if len(seen) != 1 || !seen[`[0,"2024-01-01T05:00:00+00:00",7]`] {
		t.Errorf("got %v", seen)
	}
}

func TestOneExpressionServesManyGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	for _, x := range examples(t, document) {
		e, err := Compile(x.expression)
		if err != nil {
			continue
		}
		for range 4 {
			wg.Go(func() {
				change := documented(t)
				for range 20 {
					if got := outcome(e, nil, func() (any, error) { return e.Value(change) }); !agree(got, x.want) {
						t.Errorf("%s: got %s, want %s", x.expression, got, x.want)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestTheSourceDoesNoInputOrOutput(t *testing.T) {
	imports := regexp.MustCompile(`(?m)^\t"(os|io|net|math/rand)\b|time\.(Now|Since|After)`)
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if found := imports.Find(text); found != nil {
			t.Errorf("%s has %s", f.Name(), found)
		}
	}
}

func TestAResultIsBoundedToo(t *testing.T) {
	v, err := mustCompile(t, "python: map(lambda x: 'a' * 100000, range(1000))").Value(someChange())
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, text := range v.([]any) {
		size += len(text.(string))
	}
	if size == 0 || size > bytesPerStep*MaxSteps {
		t.Errorf("it has %d bytes", size)
	}
}

func TestANameWithOtherCapitalsIsRecognized(t *testing.T) {
	for name, want := range map[string]string{
		"getid":        "the object has no getid, but getId(); its fields",
		"Review_State": "the object has no Review_State, but review_state; its fields",
		"BIG":          "the object has no BIG, but big; its fields",
		"weight":       "the object has no weight; its fields",
	} {
		_, err := mustCompile(t, "python: object."+name).Value(someChange())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Reading a long expression once and again for each of its parts would make memory grow
// with the square of its length.
func TestTheCostOfCompilingGrowsWithTheLength(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 4000), strings.Repeat("-", 8000) + "1", "1" + strings.Repeat("+1", 4000)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = Compile("python: " + text)
		runtime.ReadMemStats(&after)
		if made := after.TotalAlloc - before.TotalAlloc; made > 32<<20 {
			t.Errorf("%.10s…: it took %d MiB", text, made>>20)
		}
	}
}
