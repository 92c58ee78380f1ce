package zs

import (
	"bytes"
	"strings"
	"testing"

	"synchro.example/services/bridge/pickle"
	"synchro.example/shared/fuzztest"
)

// FuzzDecode holds that whatever is read can be written, and is then read as the same.
func FuzzDecode(f *testing.F) {
	for _, file := range goldenFiles(f) {
		f.Add(file, false)
	}
	for _, c := range hostile {
		if len(c.file) < 4096 {
			f.Add([]byte(c.file), len(c.file)%2 == 0)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, file []byte, tolerant bool) {
		c := decodeWithin(t, file, Options{Tolerant: tolerant, Dir: dir})
		if c == nil {
			return
		}
		defer c.Close()
		var once, twice bytes.Buffer
		if err := Encode(&once, c); err != nil {
			t.Fatalf("what is read cannot be written: %v", err)
		}
		again, err := Decode(bytes.NewReader(once.Bytes()), Options{Dir: dir})
		if err != nil {
			t.Fatalf("what is written cannot be read: %v", err)
		}
		defer again.Close()
		if again.Leaked != 0 {
			t.Errorf("%d leaked values were written", again.Leaked)
		}
		if err := Encode(&twice, again); err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Errorf("%q is written as %q, %v", once.Bytes(), twice.Bytes(), err)
		}
	})
}

// decodeWithin gives nil for what is refused, as nearly everything is.
func decodeWithin(t testing.TB, file []byte, o Options) *Change {
	t.Helper()
	var c *Change
	var err error
	fuzztest.Within(t, len(file), func() {
		if c != nil {
			_ = c.Close()
		}
		c, err = Decode(bytes.NewReader(file), o)
	})
	if err == nil {
		return c
	}
	if _, refused := pickle.AsRefusal(err); !refused {
		t.Error(err)
	}
	return nil
}

// repeated are files in which one piece comes again and again.
var repeated = []struct{ head, piece, tail string }{
	{"", "(", ""},
	{"(l", "Na", "."},
	{"(l", "(ta", "."},
	{"(lp1\n", "(lg1\naa", "."},
	{"(l", "(dS'a'\nNsa", "."},
	{"(l", bare + "a", "."},
	{"(l", "S''\na", "."},
	{"(l", "V\\u00e9\na", "."},
	{"S'", `\x00`, "'\n."},
	{"c", "x", "\n"},
	{fssHead(entry("S'b'\n", "S'f'\n", goodAbout) + "a"), entry("S'b'\n", "S'f'\n", goodAbout)[2:], changeTail},
	{fssHead("(l"), ownEntry[2:], changeTail},
	{fssHead(strings.TrimSuffix(ownEntry, "a") + "p1\na"), "g1\na", changeTail},
}

// ownEntry is a list with one field of the object itself.
var ownEntry = entry("S'a'\n", "S'f'\n", goodAbout)

const changeTail = "sbasb."

// fssHead begins a file whose list of fields is still open.
func fssHead(list string) string {
	whole := fss(list)
	return strings.TrimSuffix(whole, changeTail)
}

// FuzzDecodeLong holds that a megabyte of anything that comes again and again costs little.
func FuzzDecodeLong(f *testing.F) {
	for _, c := range repeated {
		f.Add([]byte(c.head), []byte(c.piece), []byte(c.tail), false)
	}
	f.Add([]byte("c__builtin__\nobject\n"), []byte("\x85"), []byte("."), true)
	f.Add([]byte("\x80\x02]"), []byte("(K\x01U\x01xe"), []byte("."), true)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, head, piece, tail []byte, tolerant bool) {
		if c := decodeWithin(t, fuzztest.Long(fuzztest.Mega, head, piece, tail), Options{Tolerant: tolerant, Dir: dir}); c != nil {
			_ = c.Close()
		}
	})
}
