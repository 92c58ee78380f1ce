package zexp

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"synchro.example/services/bridge/classictest"
)

// golden has exports that ZODB 3.10 made under Python 2.7 and ZODB 5.8 under Python 3. To
// make them anew, run zexp.py, of classictest/peer, with write under both.
const golden = "testdata/golden"

func goldenNames(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.zexp"))
	if err != nil || len(names) < 5 {
		t.Fatalf("%d exports, %v", len(names), err)
	}
	return names
}

func goldenFile(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(golden, name))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// checkAll holds the exports of a folder against the list that is built in.
func checkAll(t *testing.T, dir string) {
	t.Helper()
	want := map[string]Report{
		"mapping": {Records: 41, Root: Name{"persistent.mapping", "PersistentMapping"}},
		"btree":   {Records: 13, Root: Name{"BTrees.OOBTree", "OOBTree"}},
		"blob":    {Records: 3, Blobs: 2, Root: Name{"persistent.mapping", "PersistentMapping"}},
		"large":   {Records: 1, Root: Name{"persistent.mapping", "PersistentMapping"}},
		"sets":    {Records: 1, Root: Name{"persistent.mapping", "PersistentMapping"}},
		"content": {Records: 5, Root: Name{"OFS.Folder", "Folder"}},
	}
	for _, name := range goldenNames(t, dir) {
		shape, _, _ := strings.Cut(filepath.Base(name), ".")
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Check(bytes.NewReader(file), Default())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w := want[shape]
		if got.Records != w.Records || got.Blobs != w.Blobs || got.Root != w.Root || got.Dangling != 0 || got.Size != int64(len(file)) {
			t.Errorf("%s: got %+v, want %+v", name, got, w)
		}
	}
}

func TestExportsOfZODBAreTaken(t *testing.T) { checkAll(t, golden) }

func TestExportsOfTheZopeOf2008AreTaken(t *testing.T) {
	peer := classictest.New(t)
	dir := t.TempDir()
	peer.ZEXP(t, "write", dir)
	checkAll(t, dir)
}

// TestZODBRefusesNothingThatIsTaken holds the verdict against ZODB itself, over exports that were
// changed a little: what it cannot read must not have been accepted.
func TestZODBRefusesNothingThatIsTaken(t *testing.T) {
	peer := classictest.New(t)
	dir := t.TempDir()
	var names []string
	for about, file := range variants(t) {
		if _, err := Check(bytes.NewReader(file), Default()); err != nil {
			continue
		}
		name := filepath.Join(dir, strings.ReplaceAll(about, " ", "-"))
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	var problems []string
	if err := json.Unmarshal(peer.ZEXP(t, append([]string{"read"}, names...)...), &problems); err != nil {
		t.Fatal(err)
	}
	for i, problem := range problems {
		if problem != "" {
			t.Errorf("%s: %s", names[i], problem)
		}
	}
}
