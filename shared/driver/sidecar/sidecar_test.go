//go:build unix

package sidecar

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/fault"
)

// thing is an object as a site gives it.
type thing struct {
	typ     string
	folder  bool
	payload jsonMap
	blobs   map[string]string
}

func page(title, text string) thing {
	return thing{typ: "Document", payload: jsonMap{"type": "Document", "fields": jsonMap{
		"title": title, "description": nil, "text": jsonMap{"data": text, "content-type": "text/html"}, "number": json.Number("1.50"),
	}, "review_state": "published", "relations": jsonMap{"relatedItems": []string{uidOf("x")}}}}
}

func asset(typ, field, filename, data string) thing {
	return thing{typ: typ, blobs: map[string]string{field: data}, payload: jsonMap{"type": typ, "fields": jsonMap{"title": filename}, "files": jsonMap{
		field: jsonMap{"content-type": "application/pdf", "filename": filename, "size": len(data)},
	}}}
}

func folderish(t thing) thing {
	t.folder = true
	return t
}

func (x thing) op(t *testing.T, name, from, to string) content.Op {
	t.Helper()
	b, err := compact(x.payload)
	check(t, err)
	ps := []content.Payload{contenttest.Payload(content.PluginContent, "application/json", nil, b)}
	for _, field := range slices.Sorted(maps.Keys(x.blobs)) {
		info := x.payload["files"].(jsonMap)[field].(jsonMap)
		ps = append(ps, contenttest.Payload(content.PluginFSS, info["content-type"].(string), []string{field, info["filename"].(string)}, []byte(x.blobs[field])))
	}
	c := contenttest.Change(uidOf(name), to, x.typ, ps)
	c.Object.Meta = map[string]any{"is_folderish": x.folder, "modified": "2024-05-06T07:08:09+00:00"}
	return content.Op{Change: c, From: from, To: to, Open: contenttest.OpenInline}
}

func apply(t *testing.T, x content.Target, ops ...content.Op) {
	t.Helper()
	for _, op := range ops {
		check(t, errors.Join(x.Apply(t.Context(), []content.Op{op})...))
	}
}

// fileTree gives all files, and folders with a slash at the end.
func fileTree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	check(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		name := strings.TrimPrefix(p, root+"/")
		if d.IsDir() {
			out[name+"/"] = ""
			return nil
		}
		b, err := os.ReadFile(p)
		out[name] = string(b)
		return err
	}))
	return out
}

func wantFiles(t *testing.T, root string, want ...string) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(fileTree(t, root))); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("the tree has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestObjectsAreReadableFiles(t *testing.T) {
	o := options(t)
	x := openTarget(t, o)
	news := page("News", "<p>both</p>")
	news.typ, news.payload["type"] = "News Item", "News Item"
	news.blobs, news.payload["files"] = map[string]string{"image": "PNG"}, jsonMap{"image": jsonMap{"content-type": "image/png", "filename": "Lead.PNG", "size": 3}}
	folder := thing{typ: "Folder", folder: true, payload: jsonMap{"type": "Folder", "fields": jsonMap{"title": "F"}, "order": []string{"b", "a"}}}
	link := thing{typ: "Link", payload: jsonMap{"type": "Link", "fields": jsonMap{"remoteUrl": "https://example.org/?a&b"}}}
	apply(t, x, folder.op(t, "f", "", "f"), page("A page", "<p>grün</p>\n").op(t, "a", "", "f/a"), news.op(t, "n", "", "f/n"),
		asset("File", "file", "Report 1.pdf", "bytes").op(t, "r", "", "f/report.pdf"), link.op(t, "l", "", "f/link"),
		folderish(page("Volto", "<p>v</p>")).op(t, "v", "", "v"), page("In", "<b>in</b>").op(t, "in", "", "v/in.html"))
	wantFiles(t, o.Path, "f/", "f/.plone.json", "f/a.html", "f/a.plone.json", "f/n.html", "f/n.image.png", "f/n.plone.json",
		"f/report.pdf", "f/report.pdf.plone.json", "f/link.plone.json", "v/", "v/.plone.json", "v/index.html", "v/in.html", "v/in.html.plone.json")
	tree := fileTree(t, o.Path)
	if tree["f/a.html"] != "<p>grün</p>\n" || tree["f/n.image.png"] != "PNG" || tree["f/report.pdf"] != "bytes" {
		t.Errorf("texts and bytes are not what they were: %q", tree)
	}
	const want = `{
  "fields": {
    "description": null,
    "number": 1.50,
    "text": {
      "content-type": "text/html"
    },
    "title": "A page"
  },
  "parts": {
    "text": ".html"
  },
  "relations": {
    "relatedItems": [
      "9dd4e461268c8034f5c8564e155c67a6"
    ]
  },
  "review_state": "published",
  "type": "Document",
  "uid": "0cc175b9c0f1b6a831c399e269772661"
}
`
	if tree["f/a.plone.json"] != want {
		t.Errorf("the card is\n%s", tree["f/a.plone.json"])
	}
	if !strings.Contains(tree["f/link.plone.json"], `"https://example.org/?a&b"`) {
		t.Errorf("the link is not readable: %s", tree["f/link.plone.json"])
	}
	info, err := os.Stat(filepath.Join(o.Path, "f/a.html"))
	check(t, err)
	if got := info.ModTime().UTC().Format(time.RFC3339); got != "2024-05-06T07:08:09Z" {
		t.Errorf("the file has the date %s", got)
	}
}

// read gives the payloads of all objects, by path.
func read(t *testing.T, s content.Source) map[string]*content.Change {
	t.Helper()
	out := map[string]*content.Change{}
	for item, err := range s.List(t.Context()) {
		check(t, err)
		if item.Problem != nil {
			t.Fatalf("%s: %v", item.Path, item.Problem)
		}
		snap, err := s.Read(t.Context(), item)
		check(t, err)
		var ps []content.Payload
		for _, part := range snap.Parts {
			b, err := io.ReadAll(part.Body)
			check(t, err)
			ps = append(ps, contenttest.Payload(part.Plugin, part.MediaType, part.Names, b))
		}
		check(t, snap.Close())
		out[item.Path] = contenttest.Change(item.UID, item.Path, item.Type, ps)
		out[item.Path].Object.Meta = snap.Meta
	}
	return out
}

func TestWhatWasWrittenReadsAsItCame(t *testing.T) {
	o := options(t)
	x, s := openTarget(t, o), openSource(t, o)
	prints := map[string]string{}
	ops := []content.Op{
		folderish(page("V", "<p>&nbsp;\n</p>")).op(t, "v", "", "v"), page("A", "no end of line").op(t, "a", "", "v/a"),
		asset("Image", "image", "x.png", "\x00\xff").op(t, "i", "", "v/i.png"), asset("File", "file", "y", "yy").op(t, "y", "", "y"),
		{Change: contenttest.Change(uidOf("bare"), "bare", "Folder", nil), To: "bare"},
	}
	for i := range ops {
		ops[i].Applied = func(print string) { prints[ops[i].To] = print }
	}
	apply(t, x, ops...)
	time.Sleep(150 * time.Millisecond) // the files come to rest
	got := read(t, s)
	for _, op := range ops {
		c := got[op.To]
		if c == nil || c.Digest != op.Change.Digest || c.Object.UID != op.Change.Object.UID || c.Object.Type != op.Change.Object.Type {
			t.Errorf("%s came as %+v and is read as %+v", op.To, op.Change.Payloads, c)
		}
	}
	if len(got) != len(ops) {
		t.Errorf("%d objects are read, %d were written", len(got), len(ops))
	}
	for item := range s.List(t.Context()) {
		if prints[item.Path] != item.Fingerprint {
			t.Errorf("%s has the fingerprint %q, and %q was told", item.Path, item.Fingerprint, prints[item.Path])
		}
	}
	if m := got["v"].Object.Meta; m["portal_type"] != "Document" || m["is_folderish"] != true || m["title"] != "V" || m["review_state"] != "published" {
		t.Errorf("expressions may read %v", m)
	}
}

func TestMovesTakeNoBytes(t *testing.T) {
	o := options(t)
	x := openTarget(t, o)
	volto, file := folderish(page("V", "<p>v</p>")), asset("File", "file", "big.bin", "many bytes")
	news := page("N", "<p>n</p>")
	news.blobs, news.payload["files"] = map[string]string{"image": "PNG"}, jsonMap{"image": jsonMap{"content-type": "image/png", "filename": "l.png", "size": 3}}
	apply(t, x, volto.op(t, "v", "", "v"), file.op(t, "f", "", "v/f.bin"), news.op(t, "n", "", "n"))
	before := x.Stats().Bytes
	never := func(x thing, name, from, to string) content.Op {
		op := x.op(t, name, from, to)
		op.SameBytes, op.Open = true, contenttest.OpenNever
		return op
	}
	apply(t, x, never(volto, "v", "v", "w"), never(file, "f", "w/f.bin", "g.bin"), never(news, "n", "n", "w/page.html"))
	wantFiles(t, o.Path, "g.bin", "g.bin.plone.json", "w/", "w/.plone.json", "w/index.html", "w/page.html", "w/page.html.plone.json", "w/page.html.image.png")
	// The endings in one card are others now.
	if n, want := x.Stats().Bytes-before, int64(len(fileTree(t, o.Path)["w/page.html.plone.json"])); n != want {
		t.Errorf("%d bytes were written, want %d", n, want)
	}
}

func TestPartsComeAndGo(t *testing.T) {
	o := options(t)
	x := openTarget(t, o)
	a := page("A", "<p>a</p>")
	apply(t, x, a.op(t, "a", "", "a"))
	a.payload["fields"].(jsonMap)["text"] = jsonMap{"data": "*a*", "content-type": "text/markdown"}
	apply(t, x, a.op(t, "a", "a", "a"))
	wantFiles(t, o.Path, "a.md", "a.plone.json")
	a.payload["fields"].(jsonMap)["text"] = nil
	apply(t, x, a.op(t, "a", "a", "a"))
	wantFiles(t, o.Path, "a.plone.json")
	apply(t, x, folderish(page("A", "<p>f</p>")).op(t, "a", "a", "a"))
	wantFiles(t, o.Path, "a/", "a/.plone.json", "a/index.html")
	apply(t, x, page("A", "<p>a</p>").op(t, "a", "a", "a"))
	wantFiles(t, o.Path, "a.html", "a.plone.json")
	apply(t, x, content.Op{Change: contenttest.Removal(uidOf("a"), "a", "Document"), From: "a"})
	wantFiles(t, o.Path)
}

func TestObjectsThatWantOneFileAreNamed(t *testing.T) {
	for name, ops := range map[string]func(t *testing.T) [2]content.Op{
		"a page and a file called as its text": func(t *testing.T) [2]content.Op {
			return [2]content.Op{page("A", "<p>a</p>").op(t, "a", "", "a"), asset("File", "file", "x", "x").op(t, "b", "", "a.html")}
		},
		"a file called as a page's text, and the page": func(t *testing.T) [2]content.Op {
			return [2]content.Op{asset("File", "file", "x", "x").op(t, "b", "", "a.html"), page("A", "<p>a</p>").op(t, "a", "", "a")}
		},
		"a page and a file called as its card": func(t *testing.T) [2]content.Op {
			return [2]content.Op{page("A", "<p>a</p>").op(t, "a", "", "a"), asset("File", "file", "x", "x").op(t, "b", "", "a.plone.json")}
		},
		"a file called as a page's card, and the page": func(t *testing.T) [2]content.Op {
			return [2]content.Op{asset("File", "file", "x", "x").op(t, "b", "", "a.plone.json"), page("A", "<p>a</p>").op(t, "a", "", "a")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, together := range []bool{false, true} {
				o := options(t)
				x := openTarget(t, o)
				two := ops(t)
				var errs []error
				if together {
					errs = x.Apply(t.Context(), two[:])
				} else {
					errs = append(x.Apply(t.Context(), two[:1]), x.Apply(t.Context(), two[1:])...)
				}
				check(t, errs[0])
				if fault.Of(errs[1]).Code != fault.PathTaken || !strings.Contains(errs[1].Error(), two[0].Change.Object.UID) {
					t.Errorf("the second: %v", errs[1])
				}
				time.Sleep(150 * time.Millisecond)
				if c := read(t, openSource(t, o))[two[0].To]; c == nil || c.Digest != two[0].Change.Digest {
					t.Errorf("the first was not left as it was: %v", fileTree(t, o.Path))
				}
			}
		})
	}
}

func TestNothingOfAnObjectComesWhenSomethingIsMissing(t *testing.T) {
	o := options(t)
	x := openTarget(t, o)
	news := page("N", "<p>n</p>")
	news.blobs, news.payload["files"] = map[string]string{"image": "PNG"}, jsonMap{"image": jsonMap{"content-type": "image/png", "filename": "l.png", "size": 3}}
	volto := folderish(page("V", "<p>v</p>"))
	volto.blobs, volto.payload["files"] = news.blobs, news.payload["files"]
	apply(t, x, news.op(t, "n", "", "n"), volto.op(t, "v", "", "v"))
	before := fileTree(t, o.Path)
	for _, op := range []content.Op{news.op(t, "n", "n", "m"), volto.op(t, "v", "v", "w")} {
		op.Open = contenttest.OpenNever
		op.Change.Payloads[1] = contenttest.Payload(content.PluginFSS, "image/png", []string{"image", "l.png"}, []byte("another"))
		if err := errors.Join(x.Apply(t.Context(), []content.Op{op})...); err == nil {
			t.Error("it is said to have arrived without its bytes")
		}
	}
	if !maps.Equal(before, fileTree(t, o.Path)) {
		t.Errorf("the tree was changed: %v", slices.Sorted(maps.Keys(fileTree(t, o.Path))))
	}
}

func write(t *testing.T, root, name, data string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
	check(t, os.WriteFile(filepath.Join(root, name), []byte(data), 0o644))
}

// listed gives the items by path, once all files are at rest.
func listed(t *testing.T, s content.Source) map[string]content.Item {
	t.Helper()
	time.Sleep(150 * time.Millisecond)
	items := map[string]content.Item{}
	for item, err := range s.List(t.Context()) {
		check(t, err)
		items[item.Path] = item
	}
	return items
}

func TestBrokenCardsHideNothing(t *testing.T) {
	o := options(t)
	s := openSource(t, o)
	const card = `{"type": "Document", "uid": "0cc175b9c0f1b6a831c399e269772661", "parts": {"text": ".html"}, "fields": {"text": {"content-type": "text/html"}}}`
	write(t, o.Path, "a.plone.json", card)
	write(t, o.Path, "a.html", "<p>a</p>")
	if it := listed(t, s)["a"]; it.Unsettled || it.Type != "Document" {
		t.Fatalf("it is listed as %+v", it)
	}
	write(t, o.Path, "a.plone.json", "<<<<<<< "+card)
	it := listed(t, s)["a"]
	if !it.Unsettled || it.Problem == nil || it.UID != "0cc175b9c0f1b6a831c399e269772661" {
		t.Errorf("with a broken card it is listed as %+v", it)
	}
	var last error
	for _, last = range openSource(t, o).List(t.Context()) {
	}
	if f := fault.Of(last); last == nil || !f.WholeSite || !strings.Contains(last.Error(), "a.plone.json") {
		t.Errorf("who never read the card is told %v", last)
	}
	write(t, o.Path, "a.plone.json", card)
	check(t, os.Remove(filepath.Join(o.Path, "a.html")))
	if it := listed(t, s)["a"]; !it.Unsettled || it.Problem == nil {
		t.Errorf("without its text it is listed as %+v", it)
	}
	write(t, o.Path, "a.html", "<p>a</p>")
	write(t, o.Path, "b.plone.json", card)
	write(t, o.Path, "b.html", "<p>b</p>")
	if it := listed(t, s)["b"]; it.Problem == nil || it.UID != "" {
		t.Errorf("a copy with the same UID is listed as %+v", it)
	}
}

func TestCardsCanBeWrittenByHand(t *testing.T) {
	o := options(t)
	s := openSource(t, o)
	write(t, o.Path, "news/hello.html", "<p>hello</p>")
	write(t, o.Path, "news/hello.html.plone.json", `{"type": "Document", "fields": {"title": "Hello", "text": {"content-type": "text/html"}}, "parts": {"text": ""}}`)
	write(t, o.Path, "news/plain.txt", "as it is")
	listed(t, s)
	got := read(t, s)
	c := got["news/hello.html"]
	if c == nil || string(c.Payloads[0].Inline) != `{"fields":{"text":{"content-type":"text/html","data":"<p>hello</p>"},"title":"Hello"},"type":"Document"}` {
		t.Errorf("it is read as %+v", c)
	}
	if got["news/plain.txt"].Object.Type != content.TypeFile || got["news"].Object.Type != content.TypeFolder {
		t.Errorf("what has no card is read as %+v and %+v", got["news/plain.txt"], got["news"])
	}
}
