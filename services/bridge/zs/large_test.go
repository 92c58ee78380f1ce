package zs

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"synchro.example/services/bridge/pickle"
)

// size is that of the large file; -args -size=2147483647 tries the largest one.
var size = flag.Int64("size", 32<<20, "size of the large .zs file, in bytes")

// maxMemory is what decoding or encoding may reserve altogether, whatever the size.
const maxMemory = 4 << 20

// pattern yields bytes over and over that take four in a file, as most of a picture's do.
type pattern struct{ at byte }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = p.at | 0x80
		p.at++
	}
	return len(b), nil
}

// patternOf is a value of n bytes that lies nowhere.
func patternOf(n int64) Value {
	return Value{Size: n, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(&pattern{}, n)), nil
	}}
}

// reserved tells how much memory do takes altogether, given back or not.
func reserved(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestLargeFileTakesNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes and reads a large file")
	}
	length := (*size - 1024) / 4 // the rest of the file is far below 1 KiB
	name := filepath.Join(t.TempDir(), "large.zs")
	c := &Change{Path: []string{"a"}, Parts: []Part{{Kind: ZEXP, Export: patternOf(length)}}}
	start := time.Now()
	if took := reserved(func() { writeFile(t, name, c) }); took > maxMemory {
		t.Errorf("encoding took %d bytes of memory", took)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes written in %v", info.Size(), time.Since(start))
	start = time.Now()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got *Change
	took := reserved(func() { got, err = Decode(f, Options{Dir: t.TempDir()}) })
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	t.Logf("read in %v", time.Since(start))
	if took > maxMemory {
		t.Errorf("decoding took %d bytes of memory", took)
	}
	if export := got.Parts[0].Export; export.Size != length || sum(t, export) != sum(t, patternOf(length)) {
		t.Errorf("%d bytes came back of %d, or others", export.Size, length)
	}
}

func sum(t *testing.T, v Value) [sha256.Size]byte {
	t.Helper()
	r, err := v.Open()
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func TestSmallHostileFileTakesLittleMemory(t *testing.T) {
	const mega = 1 << 20
	for about, file := range map[string]string{
		"marks":            strings.Repeat("(", mega),
		"values":           "(l" + strings.Repeat("Na", mega/2),
		"memo":             memos(mega),
		"strings":          "(l" + strings.Repeat("S''\na", mega/5),
		"unicode":          "(l" + strings.Repeat("V"+strings.Repeat("x", 16000)+"\na", 64),
		"one list over":    "(lp1\n" + strings.Repeat("(lg1\naa", mega/8),
		"tuples":           "(l" + strings.Repeat("(ta", mega/3),
		"instances":        "(l" + strings.Repeat(bare+"a", mega/len(bare)),
		"escapes":          "S'" + strings.Repeat(`\x00`, mega/4) + "'\n.",
		"a line":           "c" + strings.Repeat("x", mega),
		"fields of others": fss("(l" + strings.Repeat(entry("S'b'\n", "S'f'\n", goodAbout)[2:], mega/70)),
	} {
		t.Run(about, func(t *testing.T) {
			start := time.Now()
			took := reserved(func() {
				if c, err := Decode(strings.NewReader(file), Options{Dir: t.TempDir()}); err == nil {
					c.Close()
				}
			})
			if took > 64*mega || time.Since(start) > 30*time.Second {
				t.Errorf("%d MiB in %v", took/mega, time.Since(start))
			}
		})
	}
}

// TestAValueThatIsReferredToIsNotMultiplied has a file that would be written anew with
// thousands of times its size.
func TestAValueThatIsReferredToIsNotMultiplied(t *testing.T) {
	const large = 100_000
	list := func(more int) string {
		s := "(l(lS'a'\naS'f'\na(dS'file'\nS'" + strings.Repeat("x", large) + "'\nsS'filename'\nS'n'\nsS'mimetype'\nS'm'\nsp1\naa"
		for n := range more {
			s += fmt.Sprintf("(lS'a'\naS'f%d'\nag1\naa", n)
		}
		return s
	}
	c := decode(t, []byte(fss(list(3))), Options{})
	if n := len(c.Parts[0].Fields); n != 4 {
		t.Errorf("there are %d fields", n)
	}
	_, err := Decode(strings.NewReader(fss(list(20))), Options{})
	if refusal, ok := pickle.AsRefusal(err); !ok || refusal.Code != pickle.Limit {
		t.Errorf("got %v", err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	c, err := Decode(bytes.NewReader(goldenFiles(t)["large"]), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if c.spool.file == nil {
		t.Fatal("nothing was stored")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// memos writes a list and refers to it as often as n bytes allow.
func memos(n int) string {
	var s strings.Builder
	s.WriteString("(l")
	for i := 0; s.Len() < n; i++ {
		fmt.Fprintf(&s, "p%d\n", i)
	}
	return s.String()
}
