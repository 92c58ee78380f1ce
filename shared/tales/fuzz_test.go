package tales

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// longest is how long one evaluation may take; -race and busy machines get more.
const longest = 2 * time.Second

func someChange() *content.Change {
	return &content.Change{
		Source: "hq", Kind: content.Modified, CapturedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Object: content.Object{
			UID: "u1", Name: "item.html", Path: "news/2026/item.html", Type: "Document",
			Meta: map[string]any{
				"title": "To be Exported", "review_state": "published", "subjects": []any{"a", "b"}, "n": int64(7),
				"created": "2024-05-06T07:08:09+02:00", "text": map[string]any{"data": "<p>Ünï\xff</p>"}, "x": 1.5, "none": nil,
				"big": strings.Repeat("lorem ipsum ", 50_000), "many": manyTexts(5000),
			},
		},
	}
}

func manyTexts(n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = strings.Repeat("x", i%50)
	}
	return all
}

// evaluate fails the test when an expression breaks a promise.
func evaluate(t interface {
	Helper()
	Fatalf(string, ...any)
}, text string,
) (any, error) {
	t.Helper()
	start := time.Now()
	e, err := Compile(text)
	if err != nil {
		if f := fault.Of(err); f.Class != fault.Stop || f.Code != fault.Misconfigured {
			t.Fatalf("%q: a refusal has class %s, code %s", text, f.Class, f.Code)
		}
		return nil, err
	}
	v, err := e.Value(someChange())
	if f := fault.Of(err); err != nil && (f.Class != fault.Park || f.Code != fault.BadExpression) {
		t.Fatalf("%q: a failure has class %s, code %s", text, f.Class, f.Code)
	}
	if took := time.Since(start); took > longest {
		t.Fatalf("%q took %v", text, took)
	}
	return v, err
}

func FuzzExpression(f *testing.F) {
	for _, c := range append(examples(f, "../../docs/expressions.md"), examples(f, "testdata/real.tales")...) {
		f.Add(c.expression)
	}
	f.Fuzz(func(t *testing.T, text string) { evaluate(t, text) })
}

// A grammar finds what random bytes do not: expressions that compile.
func TestAnyExpressionIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		evaluate(t, "python: "+pythonExpr(t, 5))
	})
}

func pythonExpr(t *rapid.T, depth int) string {
	sub := func() string { return pythonExpr(t, depth-1) }
	leaf := []string{
		"object.big", "object.many", "object.title", "object.text", "object.n", "object", "'ab'", "17", "1000000000", "-1", "2.5",
		"None", "True", "()", "[]", "{}", "object.Subject()", "object.created()", "x", "y", "range(1000000000)", "'%s%s%r'", "'{0}{0}'",
	}
	if depth == 0 {
		return fixNames(rapid.SampledFrom(leaf).Draw(t, "leaf"))
	}
	switch rapid.IntRange(0, 12).Draw(t, "kind") {
	case 0, 1, 2:
		op := rapid.SampledFrom([]string{"+", "*", "%", "-", "//", "in", "==", "<", "and", "or", "|", "<<", "is not", "not in"}).Draw(t, "op")
		return "(" + sub() + " " + op + " " + sub() + ")"
	case 3, 4:
		f := rapid.SampledFrom([]string{
			"str", "repr", "list", "sorted", "set", "len", "int", "sum", "max", "tuple", "reversed", "enumerate", "dict", "any", "float", "DateTime",
		}).Draw(t, "function")
		return f + "(" + sub() + ")"
	case 5:
		m := rapid.SampledFrom([]string{
			"replace(%, %)", "join(%)", "split(%)", "format(%, %)", "upper()", "count(%)", "find(%)", "items()", "union(%)", "index(%)", "strftime(%)",
		}).Draw(t, "method")
		for strings.Contains(m, "%") {
			m = strings.Replace(m, "%", strings.ReplaceAll(sub(), "%", "\x00"), 1)
		}
		return sub() + "." + strings.ReplaceAll(m, "\x00", "%")
	case 6:
		return "[" + sub() + " for x in " + sub() + " for y in " + sub() + " if " + sub() + "]"
	case 7:
		return "{" + sub() + ": " + sub() + " for x in " + sub() + "}"
	case 8:
		return "(lambda x, y=1: " + sub() + ")(" + sub() + ")"
	case 9:
		return "[" + sub() + ", " + sub() + "]"
	case 10:
		return sub() + "[" + sub() + ":" + sub() + "]"
	case 11:
		return "(" + sub() + " if " + sub() + " else " + sub() + ")"
	}
	return "(" + sub() + ", " + sub() + ")"
}

// fixNames leaves x and y, which only some places know; elsewhere they are refused,
// which is an outcome too, but a dull one.
func fixNames(leaf string) string {
	if leaf == "x" || leaf == "y" {
		return "(lambda x, y: " + leaf + ")(object.title, 3)"
	}
	return leaf
}

// Each of these takes a gigabyte, or for ever, where it is not stopped.
var bombs = map[string]string{
	"repeated text":              `object.title * 1000000000`,
	"repeated list":              `object.Subject() * 1000000000`,
	"repeated by a big number":   `'x' * 10000000000000000000000`,
	"range made a list":          `list(range(1000000000 + object.n))`,
	"range sorted":               `sorted(range(1000000000 + object.n))`,
	"range summed":               `sum(range(1000000000 + object.n))`,
	"range gone over":            `[x for x in range(1000000000 + object.n)]`,
	"loops in loops":             `[1 for a in range(10000) for b in range(10000) for c in range(object.n)]`,
	"doubled text":               strings.Repeat(`(lambda x: x + x)(`, 40) + `object.title` + strings.Repeat(`)`, 40),
	"doubled list, printed":      `str(` + strings.Repeat(`(lambda x: [x, x])(`, 15) + strings.Repeat(`(lambda x: [x, x, x, x])(`, 40) + `object.title` + strings.Repeat(`)`, 56),
	"wide lists, compared":       `(lambda a: [[a] * 1000] * 1000)([object.n] * 1000) == (lambda a: [[a] * 1000] * 1000)([object.n] * 1000)`,
	"wide tuples as a key":       `{(lambda a: ((a,) * 1000,) * 1000)((object.n,) * 1000): 1}`,
	"nested list in a format":    `'%s' % [[[object.Subject() * 1000] * 1000] * 1000]`,
	"format with many places":    `('{0}' * 100000).format(object.big)`,
	"percent with many places":   `('%(a)s' * 100000) % {'a': object.big}`,
	"replaced by much":           `object.big.replace('l', object.big)`,
	"joined by much":             `object.big.join(object.many)`,
	"squared numbers":            strings.Repeat(`(lambda x: x * x)(`, 40) + `object.n` + strings.Repeat(`)`, 40),
	"long number from text":      `int('9' * 1000000)`,
	"function that calls itself": `(lambda f: f(f))(lambda f: f(f) + f(f))`,
	"sorting with work":          `sorted(object.many, key=lambda x: [y for y in object.many])`,
	"searching again":            `[object.big.find('zzz') for x in range(100000)]`,
	"colliding keys":             `len({x << 40: 1 for x in range(90000)})`,
	"many colliding dicts":       `[len({x << 40: 1 for x in range(999)}) for y in range(100)]`,
	"joined sets":                `[set([x << 40 for x in range(400)]) | set([x << 40 for x in range(400, 800)]) for y in range(100)]`,
	"colliding set":              `set([x << 40 for x in range(40000)])`,
	"strftime":                   `object.created().strftime('%A' * 1000000)`,
	"split into little":          `[object.big.split('o') for x in range(1000)]`,
}

func TestBombsAreStoppedInTimeAndMemory(t *testing.T) {
	for name, text := range bombs {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := evaluate(t, "python: "+text)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("nothing stopped it")
			}
			if made := after.TotalAlloc - before.TotalAlloc; made > 64<<20 {
				t.Errorf("it took %d MiB", made>>20)
			}
			t.Logf("%v, %d KiB: %v", took.Round(time.Microsecond), (after.TotalAlloc-before.TotalAlloc)>>10, err)
		})
	}
}
