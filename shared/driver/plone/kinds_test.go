//go:build unix

package plone

import (
	"bytes"
	"encoding/base64"
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
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/driver/folder"
	"synchro.example/shared/driver/seed"
	"synchro.example/shared/driver/sidecar"
	"synchro.example/shared/reconcile"
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

// oldObject is an object as collective.exportimport writes it on Plone 4.3.
func oldObject(typ, path, name string, more jsonMap) jsonMap {
	const old = "http://localhost:8080/Plone"
	parent, parentType := old, "Plone Site"
	if up := parentPath(path); up != "" {
		parent, parentType = old+"/"+up, "Folder"
	}
	o := jsonMap{
		"@id": old + "/" + path, "@type": typ, "UID": uidOf(name), "id": path[strings.LastIndexByte(path, '/')+1:],
		"parent": jsonMap{"@id": parent, "@type": parentType, "title": "x"}, "title": "Title of " + name, "description": "told & tried",
		"subject": []string{"alt", "neu"}, "creators": []string{"jane"}, "contributors": []string{}, "rights": "", "language": "en",
		"effectiveDate": "2009-01-03T01:00:00+01:00", "expirationDate": nil, "creation_date": "2009-01-02T03:04:05+01:00",
		"modification_date": "2011-02-03T04:05:06+01:00", "excludeFromNav": true, "allowDiscussion": false, "is_folderish": typ == "Folder",
		"constrainTypesMode": -1, "customView": false, "presentation": false, "review_state": "published", "version": "current",
		"workflow_history": jsonMap{"simple_publication_workflow": []any{
			jsonMap{"action": nil, "actor": "jane", "comments": "", "review_state": "private", "time": "2009-01-02T03:04:05+01:00"},
			jsonMap{"action": "publish", "actor": "jane", "comments": "at last", "review_state": "published", "time": "2009-01-03T01:00:00+01:00"},
		}},
	}
	maps.Copy(o, more)
	return o
}

// oldExport writes the export of a site of old, with the given types only.
func oldExport(t *testing.T, dir string, types []string) {
	t.Helper()
	image := base64.StdEncoding.EncodeToString(picture(t))
	objects := []jsonMap{
		oldObject("Folder", "news", "news", jsonMap{"layout": "folder_summary_view"}),
		oldObject("Document", "news/page", "page", jsonMap{"text": jsonMap{
			"content-type": "text/html", "data": "<h1>Alt &amp; neu</h1>\r\n<p>caf\u00e9 &nbsp; <a href=\"resolveuid/" + uidOf("news") + "\">n</a></p>",
		}}),
		oldObject("File", "news/report.pdf", "report", jsonMap{"review_state": nil, "workflow_history": jsonMap{}, "file": jsonMap{
			"filename": "Bericht 1.pdf", "content-type": "application/pdf", "encoding": "base64", "data": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("%PDF"), 500_000)),
		}}),
		oldObject("Image", "news/photo", "photo", jsonMap{"review_state": nil, "workflow_history": jsonMap{}, "image": jsonMap{
			"filename": "photo.png", "content-type": "image/png", "encoding": "base64", "data": image,
		}}),
		oldObject("Link", "news/link", "link", jsonMap{"remoteUrl": "http://www.example.org/?a=1&b"}),
		oldObject("Document", "news/draft", "draft", jsonMap{"review_state": "private", "effectiveDate": "1969-12-30T23:00:00+00:00", "workflow_history": jsonMap{}}),
		oldObject("Event", "news/party", "party", jsonMap{"startDate": "2012-05-06T18:00:00+00:00", "endDate": "2012-05-06T20:00:00+00:00", "contactName": "Jane"}),
		oldObject("News Item", "news/item", "item", jsonMap{"imageCaption": "a photo", "text": jsonMap{"content-type": "text/html", "data": "<p>news</p>"}, "image": jsonMap{
			"filename": "lead.png", "content-type": "image/png", "encoding": "base64", "data": image,
		}}),
		oldObject("Topic", "all", "all", jsonMap{"layout": "atct_topic_view", "query": []any{
			jsonMap{"i": "portal_type", "o": "plone.app.querystring.operation.selection.any", "v": []string{"Document"}},
		}}),
	}
	objects = slices.DeleteFunc(objects, func(o jsonMap) bool { return !slices.Contains(types, o["@type"].(string)) })
	var ordering []jsonMap
	for i, name := range []string{"photo", "page", "report", "draft", "item", "link", "party"} {
		ordering = append(ordering, jsonMap{"uuid": uidOf(name), "order": i})
	}
	for name, v := range map[string]any{
		"Plone.json": objects,
		"relations.json": []jsonMap{
			{"from_uuid": uidOf("page"), "to_uuid": uidOf("report"), "relationship": "relatesTo"},
			{"from_uuid": uidOf("page"), "to_uuid": uidOf("news"), "relationship": "relatesTo"},
		},
		"ordering.json": ordering,
	} {
		b, err := json.MarshalIndent(v, "", "    ")
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
}

// byHand makes on a site of today what the export of old has, as an editor would.
func byHand(t *testing.T, s *site, types []string) {
	t.Helper()
	common := func(name string, more jsonMap) jsonMap {
		m := jsonMap{
			"UID": uidOf(name), "title": "Title of " + name, "description": "told & tried", "subjects": []string{"alt", "neu"}, "creators": []string{"jane"},
			"exclude_from_nav": true, "effective": "2009-01-03T00:00:00+00:00", "language": "en",
		}
		maps.Copy(m, more)
		return m
	}
	text := func(s string) jsonMap { return markup(s) }
	put := func(parent, typ, id, name string, more jsonMap) {
		if slices.Contains(types, typ) || typ == "Collection" && slices.Contains(types, "Topic") {
			s.put(t, parent, typ, id, common(name, more))
			if name != "draft" && typ != "File" && typ != "Image" {
				must[jsonMap](t)(s.call("POST", s.at(parent)+"/"+id+"/@workflow/publish", nil))
			}
		}
	}
	put("", "Folder", "news", "news", jsonMap{"layout": "summary_view"})
	put("news", "Image", "photo", "photo", jsonMap{"image": upload("photo.png", "image/png", picture(t))})
	put("news", "Document", "page", "page", jsonMap{"text": text("<h1>Alt &amp; neu</h1>\n<p>caf\u00e9 &nbsp; <a href=\"resolveuid/" + uidOf("news") + "\">n</a></p>")})
	put("news", "File", "report.pdf", "report", jsonMap{"file": upload("Bericht 1.pdf", "application/pdf", bytes.Repeat([]byte("%PDF"), 500_000))})
	check(t, s.edit("news/page", jsonMap{"relatedItems": []string{uidOf("report"), uidOf("news")}}))
	put("news", "Document", "draft", "draft", jsonMap{"effective": nil})
	put("news", "News Item", "item", "item", jsonMap{"image_caption": "a photo", "text": text("<p>news</p>"), "image": upload("lead.png", "image/png", picture(t))})
	put("news", "Link", "link", "link", jsonMap{"remoteUrl": "http://www.example.org/?a=1&b"})
	put("news", "Event", "party", "party", jsonMap{"start": "2012-05-06T18:00:00+00:00", "end": "2012-05-06T20:00:00+00:00", "contact_name": "Jane"})
	put("", "Collection", "all", "all", jsonMap{"layout": "listing_view", "query": []any{
		jsonMap{"i": "portal_type", "o": "plone.app.querystring.operation.selection.any", "v": []string{"Document"}},
	}})
}

// typesOf are those of the old types that a site of today has a place for.
func typesOf(s *site) []string {
	types := []string{"Folder", "Document", "File", "Image", "Link"}
	if status, _, err := s.try("GET", s.base+"/@types/Event", nil); err == nil && status == 200 {
		types = append(types, "Event", "News Item", "Topic")
	}
	return types
}

func openSeed(t *testing.T, path string) content.Source {
	s := must[content.Source](t)(seed.OpenSource(seed.Options{Path: path, Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAnOldExportArrives(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		a, b, dir := fresh(t), fresh(t), t.TempDir()
		oldExport(t, dir, typesOf(a))
		byHand(t, a, typesOf(a))
		m := newMirror(t, openSeed(t, dir), b.target(t))
		noErrors(t, m.sync())
		wantEqual(t, a.world, b.world)
		effects := m.target.effects
		m.prints, m.states = map[string]string{}, map[string]content.Digest{}
		noErrors(t, m.sync())
		if n := m.target.effects - effects; n != 0 {
			t.Errorf("a second run wrote %d times", n)
		}
	})
}

// dates gives when objects were made and changed, and what the history of one says.
func (s *site) dates(t *testing.T, path string) (created, modified, history string) {
	t.Helper()
	doc := must[jsonMap](t)(s.get(path))
	_, b, err := s.try("GET", s.at(path)+"/@history", nil)
	check(t, err)
	return doc["created"].(string), doc["modified"].(string), string(b)
}

// batched applies all changes of a source that have one depth in one call, as an importer may.
func (m *mirror) batched() {
	m.t.Helper()
	var levels [10][]content.Op
	for _, it := range m.items() {
		c := m.read(it)
		depth := strings.Count(it.Path, "/")
		levels[depth] = append(levels[depth], content.Op{Change: c, To: it.Path, Open: contenttest.OpenInline, Note: &content.Note{}})
		m.last[it.UID] = c
	}
	for _, ops := range levels {
		for i, err := range m.to.Apply(m.t.Context(), ops) {
			if err != nil {
				m.t.Errorf("%s: %v", ops[i].To, err)
			}
			m.paths[ops[i].Change.Object.UID], m.notes[ops[i].Change.Object.UID] = ops[i].To, ops[i].Note
		}
	}
}

func TestAFirstCopyKeepsDatesAndHistories(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		a, b, dir := fresh(t), fresh(t), t.TempDir()
		oldExport(t, dir, typesOf(a))
		byHand(t, a, typesOf(a))
		o := b.options(t)
		o.Seed = true
		m := newMirror(t, openSeed(t, dir), must[content.Target](t)(OpenTarget(o)))
		m.batched()
		noErrors(t, m.sync()) // relations to what came later
		wantEqual(t, a.world, b.world)
		for _, path := range []string{"news/link", "news/report.pdf", "news/photo"} {
			created, modified, history := b.dates(t, path)
			if !strings.HasPrefix(created, "2009-01-02T02:04:05") || !strings.HasPrefix(modified, "2011-02-03T03:05:06") {
				t.Errorf("/%s was created at %s and modified at %s", path, created, modified)
			}
			if strings.HasPrefix(history, "[") && path == "news/link" && !strings.Contains(history, "at last") {
				t.Errorf("its history is %s", history)
			}
		}
	})
}

func TestAFirstCopyOverwritesNothingAndGoesOnWithoutTheImport(t *testing.T) {
	s, f := fakeSite(t)
	dir := t.TempDir()
	oldExport(t, dir, typesOf(s))
	taken := s.put(t, "", "Folder", "news", nil)
	s.put(t, "news", "Document", "page", jsonMap{"title": "of this site"})
	o := s.options(t)
	o.Seed = true
	m := newMirror(t, openSeed(t, dir), must[content.Target](t)(OpenTarget(o)))
	errs := m.sync()
	if len(errs) == 0 || !strings.Contains(errs[0].Error(), taken) {
		t.Errorf("a folder of the site was in the way, and it is said: %v", errs)
	}
	if doc := must[jsonMap](t)(s.get("news/page")); doc["title"] != "of this site" {
		t.Errorf("the site's own page is now %v", doc["title"])
	}
	check(t, s.Remove("news"))
	f.noImport = true
	before := f.imported
	noErrors(t, newMirror(t, openSeed(t, dir), m.target).sync())
	if f.imported != before || !m.target.noSeed {
		t.Errorf("an account that may not import has imported %d objects", f.imported-before)
	}
	if types := must[map[string]string](t)(s.paths()); types["news/page"] != "Document" {
		t.Errorf("it has %v", types)
	}
}

func TestWhatComesFromAFolderIsProvenOnTheSite(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		one, to := newShelf(t), fresh(t)
		one.write("docs/page.html", []byte("<h1>A &amp; B</h1>"))
		one.write("docs/data.bin", []byte("bytes"))
		m := newMirror(t, must[content.Source](t)(folder.OpenSource(one.options())), to.target(t))
		noErrors(t, m.sync())
		differs := func() (paths []string) {
			var expected []reconcile.Expected
			for uid, c := range m.last {
				expected = append(expected, reconcile.Expected{UID: uid, Path: c.Object.Path, Type: c.Object.Type, Digest: c.Digest, Note: m.notes[uid].State})
			}
			wrong, _, err := reconcile.Compare(t.Context(), to.source(t), expected)
			check(t, err)
			for _, d := range wrong {
				paths = append(paths, d.Path)
			}
			slices.Sort(paths)
			return paths
		}
		time.Sleep(2 * time.Second)
		if got := differs(); len(got) > 0 {
			t.Errorf("what has arrived is said to be another: %q", got)
		}
		check(t, to.edit("docs", jsonMap{"title": "another"}))
		check(t, to.edit("docs/page.html", jsonMap{"text": markup("<h1>A &amp; C</h1>")}))
		check(t, to.edit("docs/data.bin", jsonMap{"file": upload("data.bin", "application/octet-stream", []byte("BYTES"))}))
		// What was changed within this second is not judged.
		got := differs()
		for end := time.Now().Add(10 * time.Second); len(got) < 3 && time.Now().Before(end); got = differs() {
			time.Sleep(200 * time.Millisecond)
		}
		if !slices.Equal(got, []string{"docs", "docs/data.bin", "docs/page.html"}) {
			t.Errorf("of three objects that somebody has changed these are seen: %q", got)
		}
	})
}
