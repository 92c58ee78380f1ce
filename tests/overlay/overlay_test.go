package overlay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"synchro.example/tests/fleet"
)

func TestEveryPatchFitsTheCodeAsItIs(t *testing.T) {
	root, err := fleet.Repository()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apply(root, t.TempDir(), All()); err != nil {
		t.Error(err)
	}
}

func TestPatchThatFitsNowhereIsAnError(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("// Package a is a.\npackage a\n\nvar x, y = 1, 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{"2", "1"} {
		_, err := apply(root, t.TempDir(), []Patch{{"a.go", old, "3"}})
		if err == nil || !strings.Contains(err.Error(), "does not fit any more") {
			t.Errorf("patching %q gave %v", old, err)
		}
	}
}

func TestImportStandsBehindThePackageClause(t *testing.T) {
	for _, head := range []string{"", "// Package a is a.\n", "//go:build unix\n\n"} {
		got := withImport(head + "package a\n\nvar x int\n")
		if want := head + "package a\n\nimport " + importing + "\n\n\nvar x int\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestPatchedProgramBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it builds the program")
	}
	t.Cleanup(fleet.RemoveBuilds)
	if _, err := Binary(); err != nil {
		t.Error(err)
	}
}
