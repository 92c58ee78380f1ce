//go:build unix

package folder

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
)

// world is a tree as the suite changes and sees it.
type world struct{ root string }

func (w world) at(path string) string { return filepath.Join(w.root, path) }

func (w world) Put(path string, t contenttest.Thing) error {
	var err error
	if t.Container {
		if err = os.Mkdir(w.at(path), 0o755); os.IsExist(err) {
			err = nil
		}
	} else {
		err = os.WriteFile(w.at(path), []byte(t.Data), 0o644)
	}
	if err != nil {
		return err
	}
	when := contenttest.TimeOf(t.Mark)
	return os.Chtimes(w.at(path), when, when)
}

func (w world) Move(from, to string) error { return os.Rename(w.at(from), w.at(to)) }
func (w world) Remove(path string) error   { return os.RemoveAll(w.at(path)) }

func (w world) Things() (map[string]contenttest.Thing, error) {
	things := map[string]contenttest.Thing{}
	err := filepath.WalkDir(w.root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == w.root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		t := contenttest.Thing{Container: d.IsDir(), Mark: contenttest.MarkOf(info.ModTime())}
		if !d.IsDir() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			t.Data = string(b)
		}
		rel, err := filepath.Rel(w.root, p)
		things[rel] = t
		return err
	})
	return things, err
}

// gone moves a tree away and back.
func gone(t *testing.T, root string) func(bool) {
	return func(away bool) {
		from, to := root, root+".away"
		if !away {
			from, to = to, from
		}
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newTree(t testing.TB) string {
	root := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

func newTarget(t testing.TB, opts Options) *Target {
	t.Helper()
	if opts.Log == nil {
		opts.Log = quietLog()
	}
	target, err := OpenTarget(opts)
	if err != nil {
		t.Fatal(err)
	}
	return target.(*Target)
}

func newSource(t testing.TB, opts Options) content.Source {
	t.Helper()
	if opts.Log == nil {
		opts.Log = quietLog()
	}
	s, err := OpenSource(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSourceSuite(t *testing.T) {
	contenttest.Source(t, func(t *testing.T) contenttest.SourceFixture {
		root := newTree(t)
		return contenttest.SourceFixture{
			Source: newSource(t, Options{Path: root}), World: world{root}, Gone: gone(t, root),
		}
	})
}

func TestTargetSuite(t *testing.T) {
	contenttest.Target(t, func(t *testing.T) contenttest.TargetFixture {
		root := newTree(t)
		target := newTarget(t, Options{Path: root})
		return contenttest.TargetFixture{
			Target: target, World: world{root}, Gone: gone(t, root), Effects: func() int64 {
				s := target.Stats()
				return s.Created + s.Rewritten + s.MetaOnly + s.Moved + s.Removed
			},
		}
	})
}
