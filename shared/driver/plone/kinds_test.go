//go:build unix

package plone

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/driver/folder"
	"synchro.example/shared/driver/sidecar"
)

// shelf is a folder with objects as files.
type shelf struct {
	t    *testing.T
	root string
}

func newShelf(t *testing.T) *shelf {
	root := filepath.Join(t.TempDir(), "shelf")
	check(t, os.Mkdir(root, 0o755))
	return &shelf{t, root}
}

func (s *shelf) options() folder.Options {
	return folder.Options{Path: s.root, Settle: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
}

func (s *shelf) source() content.Source {
	return must[content.Source](s.t)(sidecar.OpenSource(s.options()))
}

func (s *shelf) target() content.Target {
	x := must[content.Target](s.t)(sidecar.OpenTarget(s.options()))
	s.t.Cleanup(func() { _ = x.Close() })
	return x
}

// files gives the bytes of all files, and of those that are no cards if plain is set.
func (s *shelf) files(plain bool) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	check(s.t, filepath.WalkDir(s.root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || plain && strings.HasSuffix(p, ".plone.json") {
			return err
		}
		b, err := os.ReadFile(p)
		out[strings.TrimPrefix(p, s.root+"/")] = string(b)
		return err
	}))
	return out
}

func (s *shelf) write(name string, data []byte) {
	s.t.Helper()
	check(s.t, os.MkdirAll(filepath.Dir(filepath.Join(s.root, name)), 0o755))
	check(s.t, os.WriteFile(filepath.Join(s.root, name), data, 0o644))
}

func picture(t *testing.T) []byte {
	var b bytes.Buffer
	check(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 3, 2))))
	return b.Bytes()
}

func TestASiteGoesIntoAFolderAndBack(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		a, b, s := fresh(t), fresh(t), newShelf(t)
		f := a.put(t, "", "Folder", "f", jsonMap{"description": "with <markup> & more"})
		d := a.put(t, "f", "Document", "d", jsonMap{
			"text": markup("<p>a &nbsp; b &amp; c é <a href=\"resolveuid/" + f + "\">f</a></p>\n"), "subjects": []string{"b", "a"}, "relatedItems": []string{f},
		})
		a.put(t, "f", "Document", "empty", nil)
		a.put(t, "f", "Document", "e.html", jsonMap{"text": markup("<p>its name is a file's</p>")})
		a.put(t, "f", "File", "report.pdf", jsonMap{"file": upload("Report 1.pdf", "application/pdf", []byte("%PDF"))})
		a.put(t, "f", "Image", "i.png", jsonMap{"image": upload("i.png", "image/png", picture(t))})
		a.put(t, "f", "Link", "l", jsonMap{"remoteUrl": "../../resolveuid/" + d})
		a.put(t, "f", "Folder", "sub", nil)
		check(t, a.edit("f", jsonMap{"relatedItems": []string{d}, "ordering": jsonMap{"obj_id": "l", "delta": "top"}}))
		must[jsonMap](t)(a.call("POST", a.at("f/d")+"/@workflow/publish", nil))

		down, up := newMirror(t, a.source(t), s.target()), newMirror(t, s.source(), b.target(t))
		noErrors(t, down.sync())
		want := []string{
			"f/.plone.json", "f/d.html", "f/d.plone.json", "f/e.html", "f/e.html.plone.json", "f/empty.plone.json",
			"f/i.png", "f/i.png.plone.json", "f/l.plone.json", "f/report.pdf", "f/report.pdf.plone.json", "f/sub/.plone.json",
		}
		if got := slices.Sorted(maps.Keys(s.files(false))); !slices.Equal(got, want) {
			t.Fatalf("the folder has %q", got)
		}
		if text := s.files(false)["f/d.html"]; text != "<p>a &nbsp; b &amp; c é <a href=\"resolveuid/"+f+"\">f</a></p>\n" {
			t.Errorf("the page's text is %q", text)
		}
		noErrors(t, up.sync())
		wantEqual(t, a.world, b.world)
		for uid, c := range down.last {
			if up.last[uid] == nil || up.last[uid].Digest != c.Digest {
				t.Errorf("%s is another in the folder: %+v", c.Object.Path, up.last[uid])
			}
		}

		// A move takes no bytes, what is edited here or there arrives, and nothing stays behind.
		check(t, a.Move("f", "g"))
		noErrors(t, down.sync())
		stats := down.to.(interface{ Stats() folder.Stats }).Stats
		before := stats()
		check(t, a.Move("g/report.pdf", "report.pdf"))
		noErrors(t, down.sync())
		if now := stats(); now.Moved-before.Moved < 2 || now.Bytes-before.Bytes > 2000 {
			t.Errorf("a move of a file wrote %d bytes and made %d moves", now.Bytes-before.Bytes, now.Moved-before.Moved)
		}
		check(t, a.Remove("g/empty"))
		noErrors(t, down.sync())
		noErrors(t, up.sync())
		wantEqual(t, a.world, b.world)
		s.write("g/d.html", []byte("<p>from an editor of files</p>"))
		noErrors(t, up.sync())
		_, raw, err := b.try("GET", b.at("g/d")+"/manage_DAVget", nil)
		check(t, err)
		if !strings.HasSuffix(string(raw), "<p>from an editor of files</p>") {
			t.Errorf("what was written into the file arrived as %q", raw)
		}
	})
}

func TestAFolderGoesIntoASiteAndBack(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		one, other, site := newShelf(t), newShelf(t), fresh(t)
		one.write("docs/page.html", []byte("<h1>A &amp; B</h1>\n<p>caf\u00e9 &nbsp; &lt;x&gt;</p>\n"))
		one.write("docs/whole.htm", []byte("<!DOCTYPE html>\n<html><head><title>Whole\n &amp; sound</title><style>p { color: red }</style></head>\n<body><p>x</p></body></html>\n"))
		one.write("docs/deep/er/x.png", picture(t))
		one.write("docs/data.bin", []byte{0, 1, 2, 255})
		one.write("docs/latin.html", []byte("<p>\xe9</p>"))
		one.write("empty.html", nil)
		from := must[content.Source](t)(folder.OpenSource(one.options()))
		up, down := newMirror(t, from, site.target(t)), newMirror(t, site.source(t), other.target())
		noErrors(t, up.sync())
		types := must[map[string]string](t)(site.paths())
		if want := map[string]string{
			"docs": "Folder", "docs/page.html": "Document", "docs/whole.htm": "Document", "docs/deep": "Folder", "docs/deep/er": "Folder",
			"docs/deep/er/x.png": "Image", "docs/data.bin": "File", "docs/latin.html": "File", "empty.html": "Document",
		}; !maps.Equal(types, want) {
			t.Errorf("the site has %v", types)
		}
		if doc := must[jsonMap](t)(site.get("docs/whole.htm")); doc["title"] != "Whole & sound" {
			t.Errorf("the page's title is %v", doc["title"])
		}
		effects := up.target.effects
		up.prints = map[string]string{}
		for uid := range up.states {
			up.states[uid] = content.Digest{}
		}
		noErrors(t, up.sync())
		if n := up.target.effects - effects; n != 0 {
			t.Errorf("a second run wrote %d times", n)
		}
		noErrors(t, down.sync())
		want := one.files(false)
		delete(want, "empty.html") // a page without a text has a card only
		if got := other.files(true); !maps.Equal(got, want) {
			t.Errorf("the folder has become\n%q\nand was\n%q", got, want)
		}
		card := jsonMap{}
		check(t, json.Unmarshal([]byte(other.files(false)["docs/whole.htm.plone.json"]), &card))
		if card["type"] != "Document" || card["uid"] == "" {
			t.Errorf("its card is %v", card)
		}
	})
}
