//go:build unix

package sidecar

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/driver/folder"
)

// world is a tree as somebody sees it who knows how its files are called, and no more.
type world struct{ root string }

func (w world) at(p string) string { return filepath.Join(w.root, p) }

func uidOf(name string) string {
	sum := md5.Sum([]byte(name))
	return hex.EncodeToString(sum[:])
}

type jsonMap = map[string]any

func stateOf(t contenttest.Thing) jsonMap {
	m := jsonMap{"type": "Folder", "fields": jsonMap{"title": "a title", "description": "mark " + strconv.Itoa(t.Mark)}}
	if !t.Container {
		m["type"], m["files"] = "File", jsonMap{"file": jsonMap{"content-type": "application/x", "filename": "data.bin", "size": len(t.Data)}}
	}
	return m
}

func (w world) card(p string) (string, jsonMap) {
	at := p + ".plone.json"
	if info, err := os.Stat(w.at(p)); err == nil && info.IsDir() {
		at = p + "/.plone.json"
	}
	m := jsonMap{}
	b, err := os.ReadFile(w.at(at))
	if err != nil || json.Unmarshal(b, &m) != nil {
		return at, nil
	}
	return at, m
}

func (w world) Put(p string, t contenttest.Thing) error {
	m := stateOf(t)
	if t.Container {
		if err := os.Mkdir(w.at(p), 0o755); err != nil && !os.IsExist(err) {
			return err
		}
		m["container"] = true
	} else {
		m["parts"] = jsonMap{"file": ""}
		if err := os.WriteFile(w.at(p), []byte(t.Data), 0o644); err != nil {
			return err
		}
	}
	at, old := w.card(p)
	if m["uid"] = old["uid"]; old == nil {
		m["uid"] = uidOf(fmt.Sprint(p, time.Now().UnixNano()))
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(w.at(at), b, 0o644)
}

func (w world) Move(from, to string) error {
	if _, err := os.Stat(w.at(from + ".plone.json")); err == nil {
		if err := os.Rename(w.at(from+".plone.json"), w.at(to+".plone.json")); err != nil {
			return err
		}
	}
	return os.Rename(w.at(from), w.at(to))
}

func (w world) Remove(p string) error {
	if err := os.RemoveAll(w.at(p + ".plone.json")); err != nil {
		return err
	}
	return os.RemoveAll(w.at(p))
}

func (w world) Things() (map[string]contenttest.Thing, error) {
	things := map[string]contenttest.Thing{}
	err := filepath.WalkDir(w.root, func(full string, d fs.DirEntry, err error) error {
		if err != nil || full == w.root || strings.HasSuffix(full, ".plone.json") {
			return err
		}
		p, err := filepath.Rel(w.root, full)
		if err != nil {
			return err
		}
		_, m := w.card(p)
		t := contenttest.Thing{Container: d.IsDir(), Mark: -1}
		if fields, ok := m["fields"].(jsonMap); ok {
			t.Mark, _ = strconv.Atoi(strings.TrimPrefix(fields["description"].(string), "mark "))
		}
		if !d.IsDir() {
			b, err := os.ReadFile(full)
			if err != nil {
				return err
			}
			t.Data = string(b)
		}
		things[p] = t
		return nil
	})
	return things, err
}

func encode(_ string, t contenttest.Thing) (string, []content.Payload) {
	m := stateOf(t)
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and numbers
	}
	ps := []content.Payload{contenttest.Payload(content.PluginContent, "application/json", nil, b)}
	if !t.Container {
		ps = append(ps, contenttest.Payload(content.PluginFSS, "application/x", []string{"file", "data.bin"}, []byte(t.Data)))
	}
	return m["type"].(string), ps
}

// names are those whose cards have a name that is not too long.
func names() []string {
	var fit []string
	for _, n := range contenttest.OddNames {
		if len(n)+len(suffix) <= 255 {
			fit = append(fit, n)
		}
	}
	return append(fit, strings.Repeat("n", 255-len(suffix)))
}

func gone(t *testing.T, root string) func(bool) {
	return func(away bool) {
		from, to := root, root+".away"
		if !away {
			from, to = to, from
		}
		check(t, os.Rename(from, to))
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func options(t testing.TB) folder.Options {
	root := filepath.Join(t.TempDir(), "tree")
	check(t, os.Mkdir(root, 0o755))
	return folder.Options{Path: root, Log: slog.New(slog.DiscardHandler)}
}

func openTarget(t testing.TB, o folder.Options) *target {
	t.Helper()
	x, err := OpenTarget(o)
	check(t, err)
	t.Cleanup(func() { _ = x.Close() })
	return x.(*target)
}

func openSource(t testing.TB, o folder.Options) content.Source {
	t.Helper()
	s, err := OpenSource(o)
	check(t, err)
	return s
}

func TestSourceSuite(t *testing.T) {
	contenttest.Source(t, func(t *testing.T) contenttest.SourceFixture {
		o := options(t)
		return contenttest.SourceFixture{Source: openSource(t, o), World: world{o.Path}, Gone: gone(t, o.Path), Names: names()}
	})
}

func TestTargetSuite(t *testing.T) {
	contenttest.Target(t, func(t *testing.T) contenttest.TargetFixture {
		o := options(t)
		x, err := OpenTarget(o)
		check(t, err)
		return contenttest.TargetFixture{
			Target: x, World: world{o.Path}, Gone: gone(t, o.Path), Names: names(), Encode: encode, UID: uidOf,
			Effects: func() int64 {
				s := x.(*target).Stats()
				return s.Created + s.Rewritten + s.MetaOnly + s.Moved + s.Removed
			},
		}
	})
}

// TestTreeSuites: what has no card is carried as by the driver for folder trees.
func TestTreeSuites(t *testing.T) {
	contenttest.Target(t, func(t *testing.T) contenttest.TargetFixture {
		o := options(t)
		x, err := OpenTarget(o)
		check(t, err)
		return contenttest.TargetFixture{Target: x, World: plain{o.Path}, Gone: gone(t, o.Path)}
	})
	contenttest.Source(t, func(t *testing.T) contenttest.SourceFixture {
		o := options(t)
		return contenttest.SourceFixture{Source: openSource(t, o), World: plain{o.Path}, Gone: gone(t, o.Path)}
	})
}

// plain is a tree without cards.
type plain struct{ root string }

func (w plain) at(p string) string         { return filepath.Join(w.root, p) }
func (w plain) Move(from, to string) error { return os.Rename(w.at(from), w.at(to)) }
func (w plain) Remove(p string) error      { return os.RemoveAll(w.at(p)) }

func (w plain) Put(p string, t contenttest.Thing) error {
	var err error
	if !t.Container {
		err = os.WriteFile(w.at(p), []byte(t.Data), 0o644)
	} else if err = os.Mkdir(w.at(p), 0o755); os.IsExist(err) {
		err = nil
	}
	if err != nil {
		return err
	}
	when := contenttest.TimeOf(t.Mark)
	return os.Chtimes(w.at(p), when, when)
}

func (w plain) Things() (map[string]contenttest.Thing, error) {
	things := map[string]contenttest.Thing{}
	err := filepath.WalkDir(w.root, func(full string, d fs.DirEntry, err error) error {
		if err != nil || full == w.root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		t := contenttest.Thing{Container: d.IsDir(), Mark: contenttest.MarkOf(info.ModTime())}
		if !d.IsDir() {
			b, err := os.ReadFile(full)
			if err != nil {
				return err
			}
			t.Data = string(b)
		}
		p, err := filepath.Rel(w.root, full)
		things[p] = t
		return err
	})
	return things, err
}
