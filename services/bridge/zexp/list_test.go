package zexp

import (
	"bytes"
	"strings"
	"testing"

	"synchro.example/shared/fault"
)

func TestListIsRead(t *testing.T) {
	l, err := ParseList(strings.NewReader("# ours\n a.b.C  # a class\n\na.f()\n"))
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[Name][2]bool{
		{"a.b", "C"}: {true, false},
		{"a", "f"}:   {true, true},
		{"a", "b"}:   {false, false},
		{"a.b", "c"}: {false, false},
	} {
		if l.names[n] != want[0] || l.calls[n] != want[1] {
			t.Errorf("%s: named %v, called %v, want %v", n, l.names[n], l.calls[n], want)
		}
	}
}

func TestEveryWrongLineIsReported(t *testing.T) {
	_, err := ParseList(strings.NewReader("a.B\nProducts.*\nfile\na.b(x)\n"))
	if err == nil || fault.Of(err).Code != fault.Misconfigured {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{`line 2: "Products.*"`, `line 3: "file"`, `line 4: "a.b(x)"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestBuiltInListNamesNoProgram(t *testing.T) {
	l := Default()
	if len(l.names) < 50 {
		t.Errorf("only %d names", len(l.names))
	}
	for n := range l.names {
		for _, bad := range []string{"os", "posix", "subprocess", "sys", "Products.PythonScripts", "Products.PageTemplates"} {
			if n.Module == bad || strings.HasPrefix(n.Module, bad+".") {
				t.Errorf("%s is permitted", n)
			}
		}
	}
}

func TestWhatIsLearnedIsEnough(t *testing.T) {
	for _, name := range []string{"content.python2.zexp", "mapping.python3.zexp"} {
		file := goldenFile(t, name)
		report, err := Learn(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := WriteList(&text, report); err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(strings.TrimSpace(text.String()), "\n")
		for i := range lines {
			// Each line is needed, and so are its brackets.
			for _, less := range []string{"", strings.Replace(lines[i], "()", "", 1)} {
				l, err := ParseList(strings.NewReader(strings.Join(lines[:i], "") + less + "\n" + strings.Join(lines[i+1:], "")))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Check(bytes.NewReader(file), l); (err == nil) != (less == lines[i]) {
					t.Errorf("%s with %q for %q: %v", name, less, lines[i], err)
				}
			}
		}
		l, err := ParseList(&text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Check(bytes.NewReader(file), l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
