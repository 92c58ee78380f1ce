package demosite

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSiteIsTheSameEveryTime(t *testing.T) {
	one, two := made(t), made(t)
	edit(t, one)
	if d := read(t, two).Differences(read(t, one)); len(d) == 0 {
		t.Error("editing has changed nothing")
	}
	edit(t, two)
	for _, d := range read(t, two).Differences(read(t, one)) {
		// Edits and the folders around them are as old as they are.
		if !strings.Contains(d, "has the time") {
			t.Error(d)
		}
	}
}

func TestSiteHasWhatADemoNeeds(t *testing.T) {
	dir := made(t)
	const inlineLimit = 256 << 10
	poster, err := os.Stat(filepath.Join(dir, "exhibitions/storm/poster.png"))
	if err != nil {
		t.Fatal(err)
	}
	if poster.Size() <= inlineLimit {
		t.Errorf("the poster has %d bytes, want more than %d", poster.Size(), inlineLimit)
	}
	if poster.ModTime().After(begin.AddDate(1, 0, 0)) {
		t.Errorf("the poster is of %v", poster.ModTime())
	}
}

func TestEachEditChangesTheSite(t *testing.T) {
	dir := made(t)
	for _, e := range Edits(dir) {
		before := read(t, dir)
		if err := e.Do(); err != nil {
			t.Fatal(err)
		}
		if d := before.Differences(read(t, dir)); len(d) == 0 {
			t.Errorf("%s: nothing is changed", e.What)
		}
	}
}

func TestCopyIsEqual(t *testing.T) {
	dir, to := made(t), t.TempDir()
	duplicate(t, dir, to)
	if d := read(t, dir).Differences(read(t, to)); len(d) > 0 {
		t.Error(d)
	}
}

func TestEachDifferenceIsFound(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		want   string
	}{
		{"a file is missing", func(dir string) error { return os.Remove(dir + "/style.css") }, `"style.css" is missing`},
		{"a folder is missing", func(dir string) error { return os.RemoveAll(dir + "/drafts") }, `"drafts" is missing`},
		{"a file is too many", func(dir string) error { return os.WriteFile(dir+"/x", nil, 0o644) }, `"x" is there, but not on the source`},
		{"other bytes of the same length and age", sameLength, `"robots.txt" has other bytes`},
		{"another mode", func(dir string) error { return os.Chmod(dir+"/index.html", 0o600) }, `"index.html" has the mode -rw-------`},
		{"another time of a folder", func(dir string) error { return os.Chtimes(dir+"/news", begin, begin.Add(time.Nanosecond)) }, `"news" has the time`},
		{"a file for a folder", fileForFolder, `"drafts" has the mode -rw`},
	} {
		t.Run(c.name, func(t *testing.T) {
			one, two := made(t), t.TempDir()
			duplicate(t, one, two)
			if err := c.damage(two); err != nil {
				t.Fatal(err)
			}
			found := strings.Join(read(t, one).Differences(read(t, two)), "\n")
			if !strings.Contains(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

func duplicate(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

func sameLength(dir string) error {
	name := dir + "/robots.txt"
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, []byte(strings.Repeat("x", int(info.Size()))), 0o644); err != nil {
		return err
	}
	return os.Chtimes(name, info.ModTime(), info.ModTime())
}

func fileForFolder(dir string) error {
	if err := os.RemoveAll(dir + "/drafts"); err != nil {
		return err
	}
	return os.WriteFile(dir+"/drafts", nil, 0o644)
}

func edit(t *testing.T, dir string) {
	t.Helper()
	for _, e := range Edits(dir) {
		if err := e.Do(); err != nil {
			t.Fatalf("%s: %v", e.What, err)
		}
	}
}

func made(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := Make(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, dir string) *Tree {
	t.Helper()
	tree, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
