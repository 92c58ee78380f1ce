package tales

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// example is one line of a document: an expression, an arrow, and its result as
// JSON, or refused: or fails: with a part of the reason.
type example struct {
	line             int
	expression, want string
}

func examples(t testing.TB, file string) []example {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	for i, line := range strings.Split(string(text), "\n") {
		if expression, want, ok := strings.Cut(line, " → "); ok {
			all = append(all, example{i + 1, strings.TrimSpace(expression), strings.TrimSpace(want)})
		}
	}
	return all
}

// outcome writes a result as the documents do.
func outcome(e *Expression, err error, value func() (any, error)) string {
	if err != nil {
		return "refused: " + err.Error()
	}
	v, err := value()
	if err != nil {
		return "fails: " + err.Error()
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "no JSON: " + err.Error()
	}
	return strings.TrimSpace(b.String())
}

func agree(got, want string) bool {
	for _, kind := range []string{"refused: ", "fails: "} {
		if reason, ok := strings.CutPrefix(want, kind); ok {
			return strings.HasPrefix(got, kind) && strings.Contains(got, reason)
		}
	}
	return got == want
}
