package zs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"synchro.example/services/bridge/pickle"
	"synchro.example/shared/fault"
)

// made writes an instance as Python does, its attributes given as key and value.
func made(class string, attributes ...string) string {
	s := "ccopy_reg\n_reconstructor\n(ccollective.synchro.data\n" + class + "\nc__builtin__\nobject\nNtR(d"
	for i := 0; i < len(attributes); i += 2 {
		s += "S'" + attributes[i] + "'\n" + attributes[i+1] + "s"
	}
	return s + "b"
}

// change writes a whole file with one plugin's data.
func change(data string) string {
	return made("SynchroData", "path", "(S'd'\nS'a'\nt", "uid", "S'u'\n", "datas", "(l"+data) + "."
}

// export writes a file with a value for the data of a zexp.
func export(value string) string { return change(made("ZexpPluginData", "data", value) + "a") }

// fss writes a file with a value for the data of an fss.
func fss(value string) string { return change(made("FssPluginData", "data", value) + "a") }

func entry(path, field, about string) string {
	return "(l(l" + path + "a" + field + "a(d" + about + "aa"
}

const (
	goodAbout = "S'file'\nS'x'\nsS'filename'\nS'n'\nsS'mimetype'\nS'm'\ns"
	bare      = "ccopy_reg\n_reconstructor\n(ccollective.synchro.data\nSynchroData\nc__builtin__\nobject\nNtR"
)

var hostile = []struct {
	about string
	code  pickle.Code
	file  string
}{
	// Calls.
	{"a program by REDUCE", pickle.Global, "cos\nsystem\n(S'id'\ntR."},
	{"a program by INST", pickle.Opcode, "(S'id'\nios\nsystem\n."},
	{"an instance by OBJ", pickle.Opcode, "(ccollective.synchro.data\nSynchroData\no."},
	{"a program by NEWOBJ", pickle.Global, "cos\nsystem\n)\x81."},
	{"posix.system", pickle.Global, "cposix\nsystem\n(S'id'\ntR."},
	{"eval", pickle.Global, "c__builtin__\neval\n(S'1'\ntR."},
	{"getattr", pickle.Global, "c__builtin__\ngetattr\n."},
	{"a program inside a good file", pickle.Global, export("cos\nsystem\n(S'id'\ntR")},
	{"apply", pickle.Global, "c__builtin__\napply\n(cos\nsystem\n(S'id'\nttR."},
	{"a lookup by pkgutil", pickle.Global, "cpkgutil\nresolve_name\n(S'os:system'\ntR."},
	{"a class called as a function", pickle.Call, "ccollective.synchro.data\nSynchroData\n(NtR."},
	{"a plugin's class called as a function", pickle.Call, "ccollective.synchro.data\nZexpPluginData\n(S'x'\ntR."},
	{"object called", pickle.Call, "c__builtin__\nobject\n(tR."},
	{"the reconstructor for object", pickle.Call, "ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR."},
	{"the reconstructor for itself", pickle.Call, "ccopy_reg\n_reconstructor\n(ccopy_reg\n_reconstructor\nc__builtin__\nobject\nNtR."},
	{"the reconstructor with another base", pickle.Call, "ccopy_reg\n_reconstructor\n(ccollective.synchro.data\nSynchroData\nccollective.synchro.data\nSynchroData\nNtR."},
	{"the reconstructor with a state", pickle.Call, "ccopy_reg\n_reconstructor\n(ccollective.synchro.data\nSynchroData\nc__builtin__\nobject\nS'x'\ntR."},
	{"the reconstructor with two arguments", pickle.Call, "ccopy_reg\n_reconstructor\n(ccollective.synchro.data\nSynchroData\nc__builtin__\nobject\ntR."},
	{"the reconstructor with a list of arguments", pickle.Call, "ccopy_reg\n_reconstructor\n(lR."},
	{"a call of a string", pickle.Call, "S'os.system'\n(S'id'\ntR."},
	{"a call of an instance", pickle.Call, bare + "(tR."},
	{"a call with a tuple as the class", pickle.Call, "ccopy_reg\n_reconstructor\n((tc__builtin__\nobject\nNtR."},

	// Names of globals.
	{"a dotted name", pickle.Global, "ccollective.synchro\ndata.SynchroData\n."},
	{"another class of the module", pickle.Global, "ccollective.synchro.data\nSynchroError\n."},
	{"another module's class of the name", pickle.Global, "ccollective.synchro\nSynchroData\n."},
	{"Python 3's name of the reconstructor", pickle.Global, "ccopyreg\n_reconstructor\n."},
	{"Python 3's name of object", pickle.Global, "cbuiltins\nobject\n."},
	{"Python 3's bytes", pickle.Global, "c_codecs\nencode\n."},
	{"a name with a carriage return", pickle.Global, "ccopy_reg\r\n_reconstructor\r\n."},
	{"a name with a blank", pickle.Global, "ccopy_reg \n_reconstructor\n."},
	{"an empty name", pickle.Global, "c\n\n."},
	{"a name with a NUL", pickle.Global, "ccopy_reg\x00\n_reconstructor\n."},
	{"the name of another case", pickle.Global, "cCopy_reg\n_reconstructor\n."},
	{"a long name", pickle.Limit, "c" + strings.Repeat("x", 257) + "\ny\n."},

	// Opcodes.
	{"a persistent reference", pickle.Opcode, "P1\n."},
	{"a binary persistent reference", pickle.Opcode, "S'1'\nQ."},
	{"EXT1", pickle.Opcode, "\x82\x01."},
	{"EXT2", pickle.Opcode, "\x83\x01\x00."},
	{"EXT4", pickle.Opcode, "\x84\x01\x00\x00\x00."},
	{"STACK_GLOBAL", pickle.Opcode, "S'os'\nS'system'\n\x93."},
	{"NEWOBJ_EX", pickle.Opcode, "\x92."},
	{"FRAME", pickle.Opcode, "\x95\x00\x00\x00\x00\x00\x00\x00\x00."},
	{"MEMOIZE", pickle.Opcode, "N\x94."},
	{"POP", pickle.Opcode, "NN0."},
	{"POP_MARK", pickle.Opcode, "N(1."},
	{"DUP", pickle.Opcode, "N2."},
	{"FLOAT", pickle.Opcode, "F1.0\n."},
	{"LONG", pickle.Opcode, "L1L\n."},
	{"a number of 400,000 digits", pickle.Opcode, "L" + strings.Repeat("9", 400_000) + "L\n."},
	{"BININT", pickle.Opcode, "J\x01\x00\x00\x00."},
	{"BINBYTES", pickle.Opcode, "B\x01\x00\x00\x00x."},
	{"BINBYTES8 of a terabyte", pickle.Opcode, "\x8e\x00\x00\x00\x00\x00\x01\x00\x00."},
	{"an opcode that does not exist", pickle.Opcode, "\xff."},
	{"NUL", pickle.Opcode, "\x00"},
	{"protocol 2, strictly", pickle.Opcode, "\x80\x02N."},
	{"a short binary string, strictly", pickle.Opcode, "U\x01x."},
	{"text instead of a pickle", pickle.Opcode, "<html></html>"},
	{"a ZODB export instead of a pickle", pickle.Opcode, "ZEXP\x00\x00"},

	// The stack.
	{"the end at once", pickle.Stack, "."},
	{"two values", pickle.Stack, "NN."},
	{"a mark left over", pickle.Stack, "N(."},
	{"a tuple without mark", pickle.Stack, "t."},
	{"a list without mark", pickle.Stack, "l."},
	{"a list with content before it", pickle.Stack, "(Nl."},
	{"a dict with content before it", pickle.Stack, "(S'a'\nNd."},
	{"APPEND to nothing", pickle.Stack, "Na."},
	{"APPEND to a tuple", pickle.Stack, "(tNa."},
	{"APPEND below a mark", pickle.Stack, "(l(a."},
	{"SETITEM to a list", pickle.Stack, "(lS'a'\nNs."},
	{"SETITEM below a mark", pickle.Stack, "(d(S'a'\ns."},
	{"REDUCE of one value", pickle.Stack, "NR."},
	{"BUILD of one value", pickle.Stack, "Nb."},
	{"PUT of nothing", pickle.Stack, "p1\n."},
	{"PUT of a mark", pickle.Stack, "(p1\n."},

	// The memo.
	{"GET before PUT", pickle.Memo, "g1\n."},
	{"PUT twice", pickle.Memo, "Np1\np1\n."},
	{"a memo number with a sign", pickle.Syntax, "Np-1\n."},
	{"a memo number of 32 bits", pickle.Syntax, "Np4294967295\n."},
	{"a memo number with a zero before it", pickle.Syntax, "Np01\n."},
	{"a memo number in hexadecimal", pickle.Syntax, "Np0x1\n."},
	{"a memo number of a long line", pickle.Limit, "Np" + strings.Repeat("0", 300) + "\n."},
	{"no memo number", pickle.Syntax, "Np\n."},

	// Strings.
	{"a string without quotes", pickle.Syntax, "Sabc\n."},
	{"a string that is not closed", pickle.Syntax, "S'abc\n."},
	{"another quote at the end", pickle.Syntax, "S'abc\"\n."},
	{"a blank behind the string", pickle.Syntax, "S'abc' \n."},
	{"a carriage return behind the string", pickle.Syntax, "S'abc'\r\n."},
	{"a quote inside", pickle.Syntax, "S'a'b'\n."},
	{"an octal escape", pickle.Syntax, `S'\101'` + "\n."},
	{"an escape for a bell", pickle.Syntax, `S'\a'` + "\n."},
	{"an escaped line end", pickle.Syntax, "S'\\\n'\n."},
	{"a hexadecimal escape of one digit", pickle.Syntax, `S'\x1'` + "\n."},
	{"a hexadecimal escape of letters", pickle.Syntax, `S'\xgg'` + "\n."},
	{"a tab as it is", pickle.Syntax, "S'\t'\n."},
	{"a NUL as it is", pickle.Syntax, "S'\x00'\n."},
	{"a byte above 127 as it is", pickle.Syntax, "S'\xe9'\n."},
	{"unicode with a stray backslash", pickle.Syntax, `Va\b` + "\n."},
	{"unicode with a short escape", pickle.Syntax, `V\u12` + "\n."},
	{"half a character", pickle.Syntax, `V\ud83d` + "\n."},
	{"the halves the wrong way round", pickle.Syntax, `V\ude00\ud83d` + "\n."},
	{"half a character and a letter", pickle.Syntax, `V\ud83dx` + "\n."},
	{"a character above all", pickle.Syntax, `V\U00110000` + "\n."},
	{"a long unicode string", pickle.Limit, "V" + strings.Repeat("x", 20_000) + "\n."},
	{"a number that is none", pickle.Syntax, "Iabc\n."},
	{"a number of many digits", pickle.Syntax, "I" + strings.Repeat("9", 100) + "\n."},

	// The state.
	{"BUILD twice", pickle.State, bare + "(db(db."},
	{"BUILD of a string", pickle.State, "S'a'\n(db."},
	{"BUILD of a class", pickle.State, "c__builtin__\nobject\n(db."},
	{"BUILD with a tuple", pickle.State, bare + "(N(dtb."},
	{"BUILD with None", pickle.State, bare + "Nb."},

	// Shapes.
	{"a string alone", pickle.Shape, "S'a'\n."},
	{"a class alone", pickle.Shape, "c__builtin__\nobject\n."},
	{"a plugin's data alone", pickle.Shape, made("ZexpPluginData", "data", "S'x'\n") + "."},
	{"no state", pickle.Shape, bare + "."},
	{"no attributes", pickle.Shape, made("SynchroData") + "."},
	{"an attribute too many", pickle.Shape, made("SynchroData", "path", "(S'a'\nt", "uid", "S'u'\n", "datas", "(l", "__class__", "N") + "."},
	{"an attribute too few", pickle.Shape, made("SynchroData", "path", "(S'a'\nt", "uid", "S'u'\n") + "."},
	{"an attribute twice", pickle.Shape, made("SynchroData", "uid", "S'u'\n", "uid", "S'v'\n") + "."},
	{"a class as an attribute", pickle.Shape, made("SynchroData", "uid", "c__builtin__\nobject\n") + "."},
	{"a class in a list", pickle.Shape, "(lc__builtin__\nobject\na."},
	{"a unicode key", pickle.Shape, "(dVuid\nNs."},
	{"a number as a key", pickle.Shape, "(dI1\nNs."},
	{"a class as a key", pickle.Shape, "(dc__builtin__\nobject\nNs."},
	{"too many keys", pickle.Shape, "(d" + manyKeys(20) + "."},
	{"a list as the path", pickle.Shape, made("SynchroData", "path", "(lS'a'\na", "uid", "S'u'\n", "datas", "(l") + "."},
	{"a unicode path", pickle.Shape, made("SynchroData", "path", "(Va\nt", "uid", "S'u'\n", "datas", "(l") + "."},
	{"a class in the path", pickle.Shape, made("SynchroData", "path", "(c__builtin__\nobject\nt", "uid", "S'u'\n", "datas", "(l") + "."},
	{"a number as the uid", pickle.Shape, made("SynchroData", "path", "(S'a'\nt", "uid", "I1\n", "datas", "(l") + "."},
	{"None as the uid", pickle.Shape, made("SynchroData", "path", "(S'a'\nt", "uid", "N", "datas", "(l") + "."},
	{"a tuple of datas", pickle.Shape, made("SynchroData", "path", "(S'a'\nt", "uid", "S'u'\n", "datas", "(t") + "."},
	{"a string as data", pickle.Shape, change("S'x'\na")},
	{"a change in a change", pickle.Shape, change(made("SynchroData") + "a")},
	{"a change in itself", pickle.Shape, bare + "p1\n(dS'path'\n(S'a'\ntsS'uid'\nS'u'\nsS'datas'\n(lg1\nasb."},
	{"a list in itself", pickle.Shape, "(lp1\ng1\na."},
	{"a list in itself as fss", pickle.Shape, fss("(lp9\ng9\na")},
	{"two zexps", pickle.Shape, change(strings.Repeat(made("ZexpPluginData", "data", "S'x'\n")+"a", 2))},
	{"one zexp twice", pickle.Shape, change(made("ZexpPluginData", "data", "S'x'\n") + "p7\nag7\na")},
	{"a list as zexp", pickle.Shape, export("(l")},
	{"unicode as zexp", pickle.Shape, export("Vx\n")},
	{"a zexp without data", pickle.Shape, change(made("ZexpPluginData") + "a")},
	{"a zexp with more", pickle.Shape, change(made("ZexpPluginData", "data", "S'x'\n", "more", "N") + "a")},
	{"a string as fss", pickle.Shape, fss("S'x'\n")},
	{"an fss entry of two", pickle.Shape, fss("(l(lS'a'\naS'f'\naa")},
	{"an fss entry that is a tuple", pickle.Shape, fss("(l(S'a'\nS'f'\n(dta")},
	{"an fss file without its name", pickle.Shape, fss(entry("S'a'\n", "S'f'\n", "S'file'\nS'x'\nsS'mimetype'\nS'm'\ns"))},
	{"an fss file with more", pickle.Shape, fss(entry("S'a'\n", "S'f'\n", goodAbout+"S'more'\nNs"))},
	{"an fss file of unicode", pickle.Shape, fss(entry("S'a'\n", "S'f'\n", "S'file'\nVx\nsS'filename'\nS'n'\nsS'mimetype'\nS'm'\ns"))},
	{"a number as an fss file's name", pickle.Shape, fss(entry("S'a'\n", "S'f'\n", "S'file'\nS'x'\nsS'filename'\nI1\nsS'mimetype'\nS'm'\ns"))},
	{"a unicode type", pickle.Shape, fss(entry("S'a'\n", "S'f'\n", "S'file'\nS'x'\nsS'filename'\nS'n'\nsS'mimetype'\nVm\ns"))},
	{"a unicode path of an fss", pickle.Shape, fss(entry("Va\n", "S'f'\n", goodAbout))},

	// Names.
	{"an empty path", pickle.Name, made("SynchroData", "path", "(t", "uid", "S'u'\n", "datas", "(l") + "."},
	{"a path too deep", pickle.Name, pathOf(strings.Repeat("S'a'\n", 200))},
	{"an empty id", pickle.Name, pathOf("S''\n")},
	{"the id .", pickle.Name, pathOf("S'.'\n")},
	{"the id ..", pickle.Name, pathOf("S'a'\nS'..'\nS'a'\n")},
	{"a slash in an id", pickle.Name, pathOf("S'a/b'\n")},
	{"a backslash in an id", pickle.Name, pathOf(`S'a\\b'` + "\n")},
	{"a NUL in an id", pickle.Name, pathOf(`S'a\x00'` + "\n")},
	{"a line end in an id", pickle.Name, pathOf(`S'a\n'` + "\n")},
	{"a delete character in an id", pickle.Name, pathOf(`S'a\x7f'` + "\n")},
	{"a private id", pickle.Name, pathOf("S'_p_jar'\n")},
	{"an acquisition id", pickle.Name, pathOf("S'aq_parent'\n")},
	{"a view", pickle.Name, pathOf("S'@@edit'\n")},
	{"a namespace", pickle.Name, pathOf("S'++resource++x'\n")},
	{"a long id", pickle.Name, pathOf("S'" + strings.Repeat("x", 2000) + "'\n")},
	{"a line end in the uid", pickle.Name, made("SynchroData", "path", "(S'a'\nt", "uid", `S'\n'`+"\n", "datas", "(l") + "."},
	{"a long uid", pickle.Name, made("SynchroData", "path", "(S'a'\nt", "uid", "S'"+strings.Repeat("x", 2000)+"'\n", "datas", "(l") + "."},
	{"the deletion of another", pickle.Name, change(made("DeletePluginData", "data", "S'b'\n") + "a")},
	{"the deletion of a path", pickle.Name, change(made("DeletePluginData", "data", "S'a/../b'\n") + "a")},
	{"an fss that climbs", pickle.Name, fss(entry("S'a/../b'\n", "S'f'\n", goodAbout))},
	{"an fss that ends in a slash", pickle.Name, fss(entry("S'a/'\n", "S'f'\n", goodAbout))},
	{"an fss through acquisition", pickle.Name, fss(entry("S'a/aq_parent/b'\n", "S'f'\n", goodAbout))},
	{"an fss without a field", pickle.Name, fss(entry("S'a'\n", "S''\n", goodAbout))},
	{"a line end in a type", pickle.Name, fss(entry("S'a'\n", "S'f'\n", "S'file'\nS'x'\nsS'filename'\nS'n'\nsS'mimetype'\n"+`S'\n'`+"\ns"))},

	// The end.
	{"nothing", pickle.Truncated, ""},
	{"no end", pickle.Truncated, strings.TrimSuffix(export("S'x'\n"), ".")},
	{"an end in a string", pickle.Truncated, "S'abc"},
	{"an end in an escape", pickle.Truncated, `S'\x`},
	{"an end in a name", pickle.Truncated, "ccopy_reg\n_recon"},
	{"a byte behind the end", pickle.Trailing, export("S'x'\n") + "\n"},
	{"a second pickle", pickle.Trailing, export("S'x'\n") + "N."},
	{"a program behind the end", pickle.Trailing, export("S'x'\n") + "cos\nsystem\n(S'id'\ntR."},

	// Limits.
	{"a million marks", pickle.Limit, strings.Repeat("(", 1_000_000)},
	{"a deep stack", pickle.Limit, strings.Repeat("N", 5000)},
	{"a deep list", pickle.Limit, strings.Repeat("(l", 5000)},
	{"many opcodes", pickle.Limit, "(l" + strings.Repeat("Na", 1_000_001)},
}

func manyKeys(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "S'k%d'\nNs", i)
	}
	return s.String()
}

func pathOf(ids string) string {
	return made("SynchroData", "path", "("+ids+"t", "uid", "S'u'\n", "datas", "(l") + "."
}

func TestHostileFilesAreRefused(t *testing.T) {
	if len(hostile) < 120 {
		t.Errorf("there are only %d of them", len(hostile))
	}
	for _, c := range hostile {
		t.Run(c.about, func(t *testing.T) {
			got, err := Decode(strings.NewReader(c.file), Options{Dir: t.TempDir()})
			refusal, ok := pickle.AsRefusal(err)
			if !ok || refusal.Code != c.code {
				t.Fatalf("got %+v, %v, want the code %s", got, err, c.code)
			}
			if refusal.Offset < 0 || refusal.Offset > int64(len(c.file)) {
				t.Errorf("byte %d of %d", refusal.Offset, len(c.file))
			}
			if f := fault.Of(err); f.Class != fault.Park || f.Code != fault.Invalid {
				t.Errorf("the fault is %s %s", f.Class, f.Code)
			}
		})
	}
}

func TestHostileFilesOfProtocol2AreRefused(t *testing.T) {
	for _, c := range []struct {
		about string
		code  pickle.Code
		file  string
	}{
		{"a class with arguments", pickle.Call, "\x80\x02ccollective.synchro.data\nSynchroData\nN\x85\x81."},
		{"object itself", pickle.Call, "\x80\x02c__builtin__\nobject\n)\x81."},
		{"the reconstructor made", pickle.Call, "\x80\x02ccopy_reg\n_reconstructor\n)\x81."},
		{"protocol 3", pickle.Opcode, "\x80\x03N."},
		{"protocol 2 in the middle", pickle.Opcode, "N\x80\x02."},
		{"a string of 2 GiB that is not there", pickle.Truncated, "T\xff\xff\xff\x7fabc"},
		{"a unicode string of 4 GiB that is not there", pickle.Limit, "X\xff\xff\xff\xffabc"},
		{"unicode that is none", pickle.Syntax, "X\x01\x00\x00\x00\xff."},
		{"an odd number of keys and values", pickle.Stack, "}(Nu."},
		{"more than the stack has", pickle.Stack, "N\x87."},
		{"a class in a list", pickle.Shape, "](c__builtin__\nobject\ne."},
	} {
		t.Run(c.about, func(t *testing.T) {
			got, err := Decode(strings.NewReader(c.file), Options{Dir: t.TempDir(), Tolerant: true})
			if refusal, ok := pickle.AsRefusal(err); !ok || refusal.Code != c.code {
				t.Errorf("got %+v, %v, want the code %s", got, err, c.code)
			}
		})
	}
}

func TestRefusalsSayWhatAndWhere(t *testing.T) {
	_, err := Decode(strings.NewReader("(lcos\nsystem\na."), Options{})
	if want := `byte 2: "os.system" has no place in a .zs file (global)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestLimitsAreExact holds each limit against a file that just meets it.
func TestLimitsAreExact(t *testing.T) {
	file := export("S'12345678'\n")
	fitting := Limits{File: int64(len(file)), String: 8, Ops: opsOf(t, file), Stack: 9, Memo: 0}
	if _, err := Decode(strings.NewReader(file), Options{Limits: fitting}); err != nil {
		t.Fatalf("what just fits is refused: %v", err)
	}
	for about, lower := range map[string]func(*Limits){
		"file":   func(l *Limits) { l.File-- },
		"string": func(l *Limits) { l.String = 7 },
		"ops":    func(l *Limits) { l.Ops-- },
		"stack":  func(l *Limits) { l.Stack-- },
	} {
		l := fitting
		lower(&l)
		_, err := Decode(strings.NewReader(file), Options{Limits: l})
		if refusal, ok := pickle.AsRefusal(err); !ok || refusal.Code != pickle.Limit {
			t.Errorf("%s: %v", about, err)
		}
	}
}

// opsOf finds the number of opcodes by trying.
func opsOf(t *testing.T, file string) int {
	t.Helper()
	for n := 1; n < 1000; n++ {
		l := DefaultLimits()
		l.Ops = n
		if _, err := Decode(strings.NewReader(file), Options{Limits: l}); err == nil {
			return n
		}
	}
	t.Fatal("no number of opcodes is enough")
	return 0
}

func TestManyMemosAreRefused(t *testing.T) {
	l := DefaultLimits()
	l.Memo = 3
	_, err := Decode(strings.NewReader("Np1\np2\np3\np4\n."), Options{Limits: l})
	if refusal, ok := pickle.AsRefusal(err); !ok || refusal.Code != pickle.Limit {
		t.Error(err)
	}
}

var errDisk = errors.New("input/output error")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

func TestFailureToReadIsNoRefusal(t *testing.T) {
	file := goldenFiles(t)["file"]
	for n := range len(file) + 1 {
		_, err := Decode(io.MultiReader(bytes.NewReader(file[:n]), failing{}), Options{})
		if _, refused := pickle.AsRefusal(err); refused || !errors.Is(err, errDisk) {
			t.Fatalf("behind %d bytes: %v", n, err)
		}
		if f := fault.Of(err); f.Class != fault.Retry {
			t.Fatalf("the class is %s", f.Class)
		}
	}
}

func TestEncodeWritesNothingThatDecodeRefuses(t *testing.T) {
	x := Bytes([]byte("x"))
	for about, c := range map[string]*Change{
		"no path":             {},
		"a bad id":            {Path: []string{"a", ".."}},
		"a bad uid":           {Path: []string{"a"}, UID: "\n"},
		"another's deletion":  {Path: []string{"a"}, Parts: []Part{{Kind: Delete, ID: "b"}}},
		"a part twice":        {Path: []string{"a"}, Parts: []Part{{Kind: Delete, ID: "a"}, {Kind: Delete, ID: "a"}}},
		"an unknown part":     {Path: []string{"a"}, Parts: []Part{{Kind: "content"}}},
		"no value":            {Path: []string{"a"}, Parts: []Part{{Kind: ZEXP}}},
		"no file":             {Path: []string{"a"}, Parts: []Part{{Kind: FSS, Fields: []Field{{Path: "a", Name: "f"}}}}},
		"another's field":     {Path: []string{"a"}, Parts: []Part{{Kind: FSS, Fields: []Field{{Path: "b", Name: "f", File: x}}}}},
		"a field above":       {Path: []string{"a"}, Parts: []Part{{Kind: FSS, Fields: []Field{{Path: "a/../b", Name: "f", File: x}}}}},
		"a name that is none": {Path: []string{"a"}, Parts: []Part{{Kind: FSS, Fields: []Field{{Path: "a", Name: "f", File: x, Filename: "\xff", Text: true}}}}},
	} {
		var out bytes.Buffer
		if err := Encode(&out, c); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %q", about, err, out.String())
		}
	}
}

func TestEncodeNoticesAValueOfAnotherSize(t *testing.T) {
	short := Bytes([]byte("x"))
	short.Size = 2
	c := &Change{Path: []string{"a"}, Parts: []Part{{Kind: ZEXP, Export: short}}}
	if err := Encode(io.Discard, c); !errors.Is(err, errSize) {
		t.Errorf("got %v", err)
	}
}
