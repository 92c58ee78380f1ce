package pickle

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

func source(s string) *Source {
	return NewSource(strings.NewReader(s), Bound{At: 1 << 30, Code: Limit, Reason: "too long"})
}

func code(err error) Code {
	if r, ok := AsRefusal(err); ok {
		return r.Code
	}
	return ""
}

func TestReprComesBack(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, want := range [][]byte{nil, []byte("plain"), all, bytes.Repeat(all, 1000), bytes.Repeat([]byte{0}, 3*bufferSize)} {
		var text, got bytes.Buffer
		w := bufio.NewWriter(&text)
		if n, err := WriteRepr(w, bytes.NewReader(want)); err != nil || n != int64(len(want)) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		w.Flush()
		// One byte at a time, each escape is split over what is buffered.
		for _, r := range []io.Reader{bytes.NewReader(text.Bytes()), iotest.OneByteReader(bytes.NewReader(text.Bytes()))} {
			got.Reset()
			s := NewSource(r, Bound{At: 1 << 30})
			if err := s.Repr(&got); err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%d bytes of %d, %v", got.Len(), len(want), err)
			}
			if s.Offset() != int64(text.Len()) {
				t.Errorf("stands at %d of %d", s.Offset(), text.Len())
			}
		}
	}
}

func TestReprOfPython(t *testing.T) {
	for text, want := range map[string]string{
		`'a'`:             "a",
		`"it's"`:          "it's",
		`'say "so"'`:      `say "so"`,
		`'both \' and "'`: `both ' and "`,
		`'\n\r\t\\'`:      "\n\r\t\\",
		`'\x00\xff\xFF'`:  "\x00\xff\xff",
	} {
		var got bytes.Buffer
		if err := source(text + "\n").Repr(&got); err != nil || got.String() != want {
			t.Errorf("%s is %q, %v", text, got.String(), err)
		}
	}
}

func TestRawUnicode(t *testing.T) {
	for line, want := range map[string]string{
		"plain":                 "plain",
		"caf\xe9 \x00\r\x1a":    "café \x00\r\x1a",
		`\u005c \u000a \u20ac`:  "\\ \n €",
		`\U0001f600`:            "😀",
		`\ud83d\ude00`:          "😀",
		`\U0000d83d\U0000de00x`: "😀x",
		`\ufffd`:                "�",
	} {
		got, err := source(line + "\n").RawUnicode(100)
		if err != nil || got != want {
			t.Errorf("%q is %q, %v", line, got, err)
		}
		again, err := source(RawUnicodeOf(got) + "\n").RawUnicode(100)
		if err != nil || again != got {
			t.Errorf("%q comes back as %q, %v", got, again, err)
		}
	}
}

func TestNothingIsReadBeyondTheBound(t *testing.T) {
	s := source("abcdef\n")
	outer := s.Rebound(Bound{At: 3, Code: Structure, Reason: "the record ends"})
	for about, read := range map[string]func(*Source) error{
		"a line":   func(s *Source) error { _, err := s.Line(100); return err },
		"a number": func(s *Source) error { _, err := s.Uint(4); return err },
		"a copy":   func(s *Source) error { return s.Copy(io.Discard, 4) },
	} {
		s := source("abcdef\n")
		s.Rebound(Bound{At: 3, Code: Structure, Reason: "the record ends"})
		if err := read(s); code(err) != Structure {
			t.Errorf("%s: %v", about, err)
		}
	}
	if err := s.Copy(io.Discard, 3); err != nil || !s.AtBound() {
		t.Errorf("stands at %d, %v", s.Offset(), err)
	}
	s.Rebound(outer)
	if line, err := s.Line(100); err != nil || line != "def" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestRefusalIsFitForALog(t *testing.T) {
	r := Refuse(Global, 7, "os\x1b[2J\n"+strings.Repeat("é", 1000), "is bad")
	if text := r.Error(); !strings.HasPrefix(text, `byte 7: "os\x1b[2J\n\u00e9`) || len(text) > 2000 {
		t.Error(text)
	}
}

func TestEachCodeIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/classic-files.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("pickle.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Why a file is refused")
	table, _, _ = strings.Cut(table, "\n## ")
	codes := regexp.MustCompile(`Code = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 10 || len(codes) != strings.Count(table, "\n| `") {
		t.Errorf("%d codes, %d rows", len(codes), strings.Count(table, "\n| `"))
	}
	for _, code := range codes {
		if !strings.Contains(table, "\n| `"+code[1]+"` |") {
			t.Errorf("docs/classic-files.md lacks the code %s", code[1])
		}
	}
}
