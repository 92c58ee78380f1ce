package zs

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"synchro.example/services/bridge/classictest"
)

// golden has files that the original made under Python 2.7, and index.json with what is
// in each shape of file. To make them anew:
//
//	python2.7 services/bridge/classictest/peer/zs.py CACHE write services/bridge/zs/testdata/golden
const golden = "testdata/golden"

// shown is a change as the original's own reader tells it, a byte in each character.
type shown struct {
	Path  []string    `json:"path"`
	UID   string      `json:"uid"`
	Parts []shownPart `json:"parts"`
}

type shownPart struct {
	Kind   Kind         `json:"kind"`
	Export string       `json:"export,omitempty"`
	ID     string       `json:"id,omitempty"`
	Fields []shownField `json:"fields,omitempty"`
	Leaked int          `json:"leaked,omitempty"`
}

type shownField struct {
	Path     string `json:"path"`
	Name     string `json:"name"`
	File     string `json:"file"`
	Filename string `json:"filename"`
	Text     bool   `json:"text"`
	MIMEType string `json:"mimetype"`
}

// latin1 gives a character for each byte.
func latin1(s string) string {
	runes := make([]rune, 0, len(s))
	for _, c := range []byte(s) {
		runes = append(runes, rune(c))
	}
	return string(runes)
}

func read(t testing.TB, v Value) string {
	t.Helper()
	r, err := v.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != v.Size {
		t.Fatalf("%d bytes of %d, %v", len(b), v.Size, err)
	}
	return string(b)
}

func show(t testing.TB, c *Change) shown {
	t.Helper()
	s := shown{UID: latin1(c.UID), Parts: []shownPart{}}
	for _, id := range c.Path {
		s.Path = append(s.Path, latin1(id))
	}
	for _, p := range c.Parts {
		part := shownPart{Kind: p.Kind, ID: latin1(p.ID)}
		if p.Kind == ZEXP {
			part.Export = latin1(read(t, p.Export))
		}
		if p.Kind == FSS {
			part.Leaked = c.Leaked
		}
		for _, f := range p.Fields {
			part.Fields = append(part.Fields, showField(t, f))
		}
		s.Parts = append(s.Parts, part)
	}
	return s
}

func showField(t testing.TB, f Field) shownField {
	t.Helper()
	name := f.Filename
	if !f.Text {
		name = latin1(name)
	}
	return shownField{
		Path: latin1(f.Path), Name: latin1(f.Name), File: latin1(read(t, f.File)),
		Filename: name, Text: f.Text, MIMEType: latin1(f.MIMEType),
	}
}

func decode(t testing.TB, file []byte, o Options) *Change {
	t.Helper()
	o.Dir = t.TempDir()
	c, err := Decode(bytes.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func index(t testing.TB, dir string) map[string]shown {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var shapes map[string]shown
	if err := json.Unmarshal(text, &shapes); err != nil {
		t.Fatal(err)
	}
	for _, shape := range shapes {
		for i := range shape.Parts {
			shape.Parts[i].Fields = lasting(shape.Parts[i].Fields)
		}
	}
	return shapes
}

// lasting leaves out what a later value of the same field takes the place of, which the
// original sets one after the other.
func lasting(all []shownField) (fields []shownField) {
	for i, f := range all {
		again := slices.ContainsFunc(all[i+1:], func(g shownField) bool { return g.Path == f.Path && g.Name == f.Name })
		if !again {
			fields = append(fields, f)
		}
	}
	return fields
}

// compareAll holds every file of a folder against its index.
func compareAll(t *testing.T, dir string) {
	t.Helper()
	shapes := index(t, dir)
	names, err := filepath.Glob(filepath.Join(dir, "*.zs"))
	if err != nil || len(names) < 7*len(shapes) || len(shapes) < 10 {
		t.Fatalf("%d files of %d shapes, %v", len(names), len(shapes), err)
	}
	for _, name := range names {
		shape, writer, _ := strings.Cut(strings.TrimSuffix(filepath.Base(name), ".zs"), ".")
		t.Run(shape+" by "+writer, func(t *testing.T) {
			file, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			byHand := strings.HasSuffix(writer, "-1") || strings.HasSuffix(writer, "-2")
			if _, err := Decode(bytes.NewReader(file), Options{}); byHand == (err == nil) {
				t.Errorf("strictly decoded: %v", err)
			}
			got := show(t, decode(t, file, Options{Tolerant: byHand}))
			if want := shapes[shape]; !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestFilesOfTheOriginalAreRead(t *testing.T) { compareAll(t, golden) }

func TestWhatWeWriteIsReadAsItWas(t *testing.T) {
	for name, file := range goldenFiles(t) {
		c := decode(t, file, Options{})
		var out bytes.Buffer
		if err := Encode(&out, c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := show(t, c)
		for i := range want.Parts {
			want.Parts[i].Leaked = 0
		}
		if got := show(t, decode(t, out.Bytes(), Options{})); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
		if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
			t.Errorf("%s: more than printable ASCII in %q", name, out.String())
		}
	}
}

// goldenFiles gives the original's own files.
func goldenFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for shape := range index(t, golden) {
		file, err := os.ReadFile(filepath.Join(golden, shape+".original.zs"))
		if err != nil {
			t.Fatal(err)
		}
		files[shape] = file
	}
	return files
}

func TestTheOriginalItself(t *testing.T) {
	peer := classictest.New(t)
	t.Run("its files are read", func(t *testing.T) {
		dir := t.TempDir()
		peer.ZS(t, "write", dir)
		compareAll(t, dir)
	})
	t.Run("it reads what we write", func(t *testing.T) {
		dir := t.TempDir()
		var names []string
		var want []shown
		for shape, file := range goldenFiles(t) {
			c := decode(t, file, Options{})
			c.Leaked = 0
			names = append(names, filepath.Join(dir, shape))
			want = append(want, show(t, c))
			writeFile(t, names[len(names)-1], c)
		}
		var got []shown
		if err := json.Unmarshal(peer.ZS(t, append([]string{"read"}, names...)...), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
}

func writeFile(t *testing.T, name string, c *Change) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := Encode(f, c); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
