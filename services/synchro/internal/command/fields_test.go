package command

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"synchro.example/shared/deadletter"
	"synchro.example/shared/overview"
	"synchro.example/shared/reconcile"
)

func TestEachFieldForProgramsIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for section, value := range map[string]any{
		"How it is: status":              overview.Site{},
		"What failed: errors and replay": deadletter.Entry{},
		"Proof: verify and reconcile":    reconcile.Difference{},
		"Before a change: plan":          planned{},
		"Before the first run: check":    checkLine{},
	} {
		_, text, ok := strings.Cut(string(page), "\n## "+section+"\n")
		if !ok {
			t.Fatalf("docs/operations.md has no section %q", section)
		}
		text, _, _ = strings.Cut(text, "\n## ")
		for field := range reflect.TypeOf(value).Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" {
				continue
			}
			if !strings.Contains(text, "\n| `"+name+"` |") {
				t.Errorf("docs/operations.md, %q, lacks the field %s", section, name)
			}
		}
	}
}
