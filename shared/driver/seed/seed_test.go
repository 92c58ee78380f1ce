package seed

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/preflight"
)

type object = map[string]any

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, dir, name string, v any) {
	t.Helper()
	b, ok := v.([]byte)
	if !ok {
		var err error
		b, err = json.MarshalIndent(v, "", "    ")
		check(t, err)
	}
	check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
}

func open(t testing.TB, path string) content.Source {
	t.Helper()
	s, err := OpenSource(Options{Path: path, Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

// seen is an object as the source gives it.
type seen struct {
	item   content.Item
	meta   map[string]any
	state  string
	bodies map[string]string
}

func read(t testing.TB, s content.Source) (all map[string]seen, order []string) {
	t.Helper()
	all = map[string]seen{}
	for item, err := range s.List(t.Context()) {
		check(t, err)
		order = append(order, item.Path)
		snap, err := s.Read(t.Context(), item)
		check(t, err)
		x := seen{item: item, meta: snap.Meta, bodies: map[string]string{}}
		for _, part := range snap.Parts {
			b, err := io.ReadAll(part.Body)
			check(t, err)
			if int64(len(b)) != part.Size {
				t.Errorf("%s: a part is said to have %d bytes and has %d", item.Path, part.Size, len(b))
			}
			if part.Plugin == content.PluginContent {
				x.state = string(b)
			} else {
				x.bodies[strings.Join(part.Names, " ")] = string(b)
			}
		}
		check(t, snap.Close())
		all[item.Path] = x
	}
	return all, order
}

func listError(t *testing.T, path string) error {
	t.Helper()
	for _, err := range open(t, path).List(t.Context()) {
		if err != nil {
			return err
		}
	}
	return nil
}

func uid(n int) string { return fmt.Sprintf("%032x", n) }

func junk(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// old makes an object as collective.exportimport has it on Plone 4.3, with Archetypes.
func old(typ, path string, n int, more object) object {
	const site = "http://localhost:8080/Plone"
	parent, parentType := site, "Plone Site"
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		parent, parentType = site+"/"+path[:i], "Folder"
	}
	o := object{
		"@id": site + "/" + path, "@type": typ, "UID": uid(n), "id": path[strings.LastIndexByte(path, '/')+1:],
		"parent": object{"@id": parent, "@type": parentType, "title": "x", "review_state": "published"}, "title": "Title of " + path,
		"description": "", "subject": []string{"alt", "neu"}, "creators": []string{"jane"}, "contributors": []string{}, "rights": "",
		"effectiveDate": "1969-12-30T23:00:00+00:00", "expirationDate": nil, "creation_date": "2009-01-02T03:04:05+01:00",
		"modification_date": "2011-02-03T04:05:06+01:00", "excludeFromNav": true, "allowDiscussion": false, "language": "en",
		"review_state": "published", "layout": "document_view", "is_folderish": typ == "Folder", "version": "current", "relatedItems": []any{},
		"workflow_history": object{"simple_publication_workflow": []any{object{"action": "publish", "actor": "jane", "comments": "", "review_state": "published", "time": "2009-01-03T00:00:00+00:00"}}},
	}
	maps.Copy(o, more)
	return o
}

func TestAnOldExportIsReadAsObjectsOfToday(t *testing.T) {
	dir := t.TempDir()
	big, long := junk(300<<10), strings.Repeat(`<p>lang &amp; "breit"</p>`, 10<<10)
	write(t, dir, "Folder.json", []any{
		old("Large Plone Folder", "news", 1, object{"layout": "atct_album_view", "effectiveDate": "2010-05-06T07:08:09+02:00"}),
		old("Folder", "news/a b", 2, object{"@id": "http://localhost:8080/Plone/news/a%20b", "review_state": "private"}),
	})
	write(t, dir, "rest.json", []any{
		old("Document", "news/page", 3, object{"text": object{"data": "<p>x</p>\r\n<a href=\"resolveuid/" + uid(1) + "\">n</a>", "content-type": "text/html"}}),
		old("Document", "news/long", 4, object{"text": object{"content-type": "text/html", "data": long}}),
		old("File", "news/a b/big.bin", 5, object{"review_state": nil, "file": object{
			"content-type": "application/x-big", "data": base64.StdEncoding.EncodeToString(big), "encoding": "base64", "filename": "big.bin",
		}}),
		old("Topic", "all", 6, object{"layout": "folder_listing_view", "query": []any{object{"i": "portal_type", "o": "x", "v": []string{"Document"}}}}),
		old("Event", "party", 7, object{"startDate": "2012-01-02T03:04:05+00:00", "eventUrl": "http://x/", "title": "Party"}),
		old("Link", "lost/link", 8, object{"parent": object{"@id": "http://localhost:8080/Plone/lost", "@type": "Folder"}}),
	})
	write(t, dir, "relations.json", []any{
		object{"from_uuid": uid(3), "to_uuid": uid(5), "relationship": "relatesTo"},
		object{"from_uuid": uid(3), "to_uuid": uid(1), "relationship": "relatesTo"},
		object{"from_uuid": uid(3), "to_uuid": uid(1), "relationship": "isReferencing"},
	})
	write(t, dir, "ordering.json", []any{object{"uuid": uid(4), "order": 0}, object{"uuid": uid(3), "order": 1}, object{"uuid": uid(2), "order": 2}})
	write(t, dir, "members.json", object{"members": []any{object{"username": "jane"}}})
	write(t, dir, "garbage.json", []byte(`"no objects"`))
	got, order := read(t, open(t, dir))
	if want := "all news news/a b news/a b/big.bin news/long news/page party"; strings.Join(order, " ") != want {
		t.Errorf("it lists %q, want %q", order, want)
	}
	const common = `"contributors":[],"creators":["jane"],"description":"","effective":null,"exclude_from_nav":true,"expires":null,"language":"en",`
	for path, want := range map[string]string{
		"news": `{"fields":{` + strings.Replace(common, `"effective":null`, `"effective":"2010-05-06T05:08:00Z"`, 1) + `"relatedItems":[],"rights":"","subjects":["alt","neu"],"title":"Title of news"},` +
			`"layout":"album_view","order":["` + uid(4) + `","` + uid(3) + `","` + uid(2) + `"],"review_state":"published","type":"Folder"}`,
		"news/page": `{"fields":{` + common + `"relatedItems":[],"rights":"","subjects":["alt","neu"],"text":{"content-type":"text/html","data":"<p>x</p>\n<a href=\"resolveuid/` + uid(1) + `\">n</a>"},` +
			`"title":"Title of news/page"},"layout":"document_view","relations":{"relatedItems":["` + uid(5) + `","` + uid(1) + `"]},"review_state":"published","type":"Document"}`,
		"news/a b/big.bin": `{"fields":{` + common + `"relatedItems":[],"rights":"","subjects":["alt","neu"],"title":"Title of news/a b/big.bin"},` +
			`"files":{"file":{"content-type":"application/x-big","filename":"big.bin","size":307200}},"layout":"document_view","type":"File"}`,
		"party": `{"fields":{` + strings.Replace(common, `"exclude`, `"event_url":"http://x/","exclude`, 1) + `"relatedItems":[],"rights":"","start":"2012-01-02T03:04:05+00:00","subjects":["alt","neu"],"title":"Party"},"layout":"document_view","review_state":"published","type":"Event"}`,
	} {
		if got[path].state != want {
			t.Errorf("%s is\n%s\nwant\n%s", path, got[path].state, want)
		}
	}
	if got["news/a b/big.bin"].bodies["file big.bin"] != string(big) {
		t.Error("the large file has other bytes")
	}
	var page struct {
		Fields struct {
			Text struct {
				Data string `json:"data"`
			} `json:"text"`
		} `json:"fields"`
	}
	check(t, json.Unmarshal([]byte(got["news/long"].state), &page))
	if page.Fields.Text.Data != long {
		t.Error("the long text is another one")
	}
	if x := got["all"]; x.item.Type != "Collection" || !strings.Contains(x.state, `"layout":"listing_view"`) || !strings.Contains(x.state, `"query":[{`) {
		t.Errorf("the topic became %s", x.state)
	}
	if m := got["news/page"].meta; m["created"] != "2009-01-02T03:04:05+01:00" || m["modified"] != "2011-02-03T04:05:06+01:00" || m["workflow_history"] == nil || m["portal_type"] != "Document" {
		t.Errorf("of the page is known %v", m)
	}
}

// exported makes an export of plone.exportimport.
func exported(t testing.TB, dir string) {
	item := func(n int, typ, path string, more object) string {
		o := object{
			"@id": "/" + path, "@type": typ, "UID": uid(n), "id": path[strings.LastIndexByte(path, '/')+1:], "title": path, "language": "##DEFAULT##",
			"created": "2020-01-01T00:00:00+00:00", "modified": "2021-01-01T00:00:00+00:00", "review_state": "private", "layout": "view", "changeNote": "",
			"exportimport.constrains": object{}, "lock": object{}, "allow_discussion": nil,
		}
		maps.Copy(o, more)
		write(t, dir, "content/"+uid(n)+"/data.json", o)
		return uid(n) + "/data.json"
	}
	write(t, dir, "content/plone_site_root/data.json", object{"@id": "/Plone", "@type": "Plone Site", "UID": "plone_site_root", "id": "Plone"})
	files := []string{
		"plone_site_root/data.json", item(1, "Folder", "f", nil),
		item(2, "Document", "f/d", object{"text": object{"data": "<p>&nbsp;</p>", "content-type": "text/html", "encoding": "utf-8"}}),
		item(3, "Image", "f/i.png", object{"review_state": nil, "image": object{"filename": "I.png", "content-type": "image/png", "size": 3, "blob_path": uid(3) + "/image/I.png"}}),
	}
	write(t, dir, "content/"+uid(3)+"/image/I.png", []byte("PNG"))
	write(t, dir, metadataFile, object{"__version__": "1.0.0", "_data_files_": files, "ordering": object{uid(1): 0, uid(3): 0, uid(2): 1}})
	write(t, dir, "relations.json", []any{object{"from_uuid": uid(2), "to_uuid": uid(3), "from_attribute": "relatedItems"}})
	write(t, dir, "principals.json", object{"members": []any{}})
}

func zipped(t testing.TB, dir string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	check(t, z.AddFS(os.DirFS(dir)))
	check(t, z.Close())
	name := filepath.Join(t.TempDir(), "export.zip")
	check(t, os.WriteFile(name, b.Bytes(), 0o644))
	return name
}

func TestAnExportOfTodayIsReadFromAFolderAndAZip(t *testing.T) {
	dir := t.TempDir()
	exported(t, dir)
	for _, path := range []string{dir, zipped(t, dir)} {
		got, order := read(t, open(t, path))
		if strings.Join(order, " ") != "f f/d f/i.png" {
			t.Errorf("it lists %q", order)
		}
		for path, want := range map[string]string{
			"f":       `{"fields":{"title":"f"},"layout":"view","order":["` + uid(3) + `","` + uid(2) + `"],"review_state":"private","type":"Folder"}`,
			"f/d":     `{"fields":{"text":{"content-type":"text/html","data":"<p>&nbsp;</p>"},"title":"f/d"},"layout":"view","relations":{"relatedItems":["` + uid(3) + `"]},"review_state":"private","type":"Document"}`,
			"f/i.png": `{"fields":{"title":"f/i.png"},"files":{"image":{"content-type":"image/png","filename":"I.png","size":3}},"layout":"view","type":"Image"}`,
		} {
			if got[path].state != want {
				t.Errorf("%s is\n%s\nwant\n%s", path, got[path].state, want)
			}
		}
		if got["f/i.png"].bodies["image I.png"] != "PNG" {
			t.Errorf("the image has %q", got["f/i.png"].bodies)
		}
	}
}

func TestAnExportThatIsMadeAnewIsReadAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Plone.json")
	s := open(t, file)
	for _, err := range s.List(t.Context()) {
		if f := fault.Of(err); f.Code != fault.SourceMissing || !f.WholeSite {
			t.Errorf("an export that is not there: %v", err)
		}
	}
	write(t, filepath.Dir(file), "Plone.json", []any{old("Document", "a", 1, nil)})
	first, _ := read(t, s)
	if again, _ := read(t, s); again["a"].item.Fingerprint != first["a"].item.Fingerprint {
		t.Error("the fingerprint changes by itself")
	}
	write(t, filepath.Dir(file), "Plone.json", []any{old("Document", "a", 1, object{"title": "other"}), old("Document", "b", 2, nil)})
	if _, err := s.Read(t.Context(), first["a"].item); fault.Of(err).Code != fault.Vanished {
		t.Errorf("what was listed and is written anew: %v", err)
	}
	second, _ := read(t, s)
	if len(second) != 2 || !strings.Contains(second["a"].state, `"other"`) {
		t.Errorf("it has %v", second)
	}
	_, err := s.Read(t.Context(), first["a"].item)
	if fault.Of(err).Code != fault.Vanished {
		t.Errorf("an object of the export before: %v", err)
	}
}

func TestNothingOutsideOfAnExportIsRead(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	check(t, os.WriteFile(secret, []byte("secret"), 0o600))
	for name, at := range map[string]string{"a step up": "../../secret", "an absolute path": secret, "a link": "link/secret"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			exported(t, dir)
			check(t, os.Symlink(filepath.Dir(secret), filepath.Join(dir, "content/link")))
			write(t, dir, "content/"+uid(3)+"/data.json", object{
				"@id": "/f/i.png", "@type": "Image", "UID": uid(3), "image": object{"filename": "x", "content-type": "image/png", "blob_path": at},
			})
			s := open(t, dir)
			for item, err := range s.List(t.Context()) {
				check(t, err)
				if item.Path != "f/i.png" {
					continue
				}
				_, err := s.Read(t.Context(), item)
				if fault.Of(err).Code != fault.ReadFailed {
					t.Errorf("it is read: %v", err)
				}
			}
		})
	}
	dir := t.TempDir()
	exported(t, dir)
	write(t, dir, metadataFile, object{"_data_files_": []string{"../../secret/data.json"}})
	if listError(t, dir) == nil {
		t.Error("a file outside is listed")
	}
}

func TestWhatIsNoExportIsSaid(t *testing.T) {
	for name, text := range map[string]string{
		"cut off in an object": `[{"@id": "http://x/Plone/a", "@type": "Document", "ti`,
		"cut off in the array": `[{"@id": "http://x/Plone/a", "@type": "Document", "UID": "1"},`,
		"no JSON":              `<html>`,
		"no objects":           `[]`,
		"nothing":              ``,
	} {
		file := filepath.Join(t.TempDir(), "x.json")
		check(t, os.WriteFile(file, []byte(text), 0o644))
		if f := fault.Of(listError(t, file)); f.Code != fault.ReadFailed || !f.WholeSite {
			t.Errorf("%s: %v", name, f)
		}
	}
	dir := t.TempDir()
	write(t, dir, "x.json", []any{old("Document", "a", 1, nil)})
	if err := listError(t, zipped(t, dir)); err == nil || !strings.Contains(err.Error(), "unpack") {
		t.Errorf("a zip of old files: %v", err)
	}
	write(t, dir, "y.json", []any{object{"@id": "http://other/Plone/b", "@type": "Document", "UID": uid(9), "parent": object{"@id": "http://other/Plone", "@type": "Plone Site"}}})
	if err := listError(t, dir); err == nil || !strings.Contains(err.Error(), "more than one site") {
		t.Errorf("two sites: %v", err)
	}
}

func TestALargeFileTakesNoMemory(t *testing.T) {
	dir := t.TempDir()
	data := junk(16 << 20)
	write(t, dir, "File.json", []any{old("File", "big", 1, object{"file": object{
		"filename": "big", "content-type": "x/y", "encoding": "base64", "data": base64.StdEncoding.EncodeToString(data),
	}})})
	s := open(t, dir)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := int64(0)
	for item, err := range s.List(t.Context()) {
		check(t, err)
		snap, err := s.Read(t.Context(), item)
		check(t, err)
		n, err = io.Copy(io.Discard, snap.Parts[1].Body)
		check(t, err)
		check(t, snap.Close())
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 || n != int64(len(data)) {
		t.Errorf("%d bytes of memory were taken for a file of %d, of which %d came", used, len(data), n)
	}
}

// FuzzScan: what is cut out of a file is what the JSON of the file says.
func FuzzScan(f *testing.F) {
	f.Add([]byte(`[{"a": "\"}", "data": "` + strings.Repeat("QUJD", 20<<10) + `"}, {"b": [1, {"data": "x"}]}]`))
	f.Add([]byte(`{"data": {"data": ""}}`))
	f.Add([]byte(` [ ] `))
	f.Fuzz(func(t *testing.T, b []byte) {
		var objects []json.RawMessage
		err := scan(bytes.NewReader(b), 0, func(o found) error {
			if o.off < 0 || o.n < 2 || o.off+o.n > int64(len(b)) {
				t.Fatalf("an object is said to lie at %d and to have %d bytes, of %d", o.off, o.n, len(b))
			}
			objects = append(objects, b[o.off:o.off+o.n])
			return nil
		})
		var want []json.RawMessage
		if json.Unmarshal(b, &want) != nil || len(want) == 0 || want[0][0] != '{' {
			return
		}
		for _, w := range want {
			if w[0] != '{' {
				return
			}
		}
		if err != nil || len(objects) != len(want) {
			t.Fatalf("%d objects are found, %v, want %d", len(objects), err, len(want))
		}
		for i := range want {
			if !bytes.Equal(want[i], objects[i]) {
				t.Fatalf("object %d is %q, want %q", i, objects[i], want[i])
			}
		}
	})
}

func TestACheckTellsWhatAnExportHas(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.json", []any{old("Document", "a", 1, nil), old("Topic", "b", 2, nil), old("Link", "lost/link", 3, nil)})
	r := Check(t.Context(), Options{Path: dir}, preflight.Roles{Source: true, Thorough: true})
	if len(r) != 2 || r[0].Found != "2 objects: 1 Collection, 1 Document" || !strings.Contains(r[1].Found, "lost/link: its container is not in the export") {
		t.Errorf("it tells %v", r)
	}
	write(t, dir, "a.json", []byte("[{"))
	for path, want := range map[string]string{dir: "unexpected EOF", dir + "/none": "no such file"} {
		r := Check(t.Context(), Options{Path: path}, preflight.Roles{Source: true, Thorough: true})
		if failed := r.Failed(); len(failed) != 1 || !strings.Contains(failed[0].Found, want) {
			t.Errorf("of what is no export it tells %v", r)
		}
	}
}
