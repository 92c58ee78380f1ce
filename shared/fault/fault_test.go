package fault

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// row is a line of the table in docs/errors.md.
var row = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| [^|]+ \\| [^|]+ \\| (.+) \\|$")

func TestOperatorsReadWhatIsTriedAgainByItself(t *testing.T) {
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile("Those codes are: ((?:[^.]|\n)+)\\.").FindSubmatch(page)
	if list == nil {
		t.Fatal("docs/errors.md has no such list")
	}
	documented := map[Code]bool{}
	for _, m := range regexp.MustCompile("`([a-z-]+)`").FindAllSubmatch(list[1], -1) {
		documented[Code(m[1])] = true
	}
	for code := range advice {
		if documented[code] != Passes(code) {
			t.Errorf("docs/errors.md lists %s: %v, Passes: %v", code, documented[code], Passes(code))
		}
	}
}

func TestOperatorsReadTheSameAdviceEverywhere(t *testing.T) {
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[Code]string{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		documented[Code(m[1])] = m[2]
	}
	for code, want := range advice {
		if got, ok := documented[code]; !ok {
			t.Errorf("docs/errors.md lacks the code %s", code)
		} else if got != want {
			t.Errorf("docs/errors.md advises for %s %q, Advice %q", code, got, want)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(documented)) {
		if _, ok := advice[code]; !ok {
			t.Errorf("docs/errors.md has the code %s, which is none", code)
		}
	}
}
