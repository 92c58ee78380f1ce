package zexp

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"synchro.example/services/bridge/pickle"
	"synchro.example/shared/fault"
)

const reconstruct = "ccopy_reg\n_reconstructor\n"

var hostile = []struct {
	about string
	code  pickle.Code
	file  string
}{
	// What runs a program.
	{"a program in the state", pickle.Global, state("cos\nsystem\n(S'id'\ntR.")},
	{"a program in the class", pickle.Global, class("cos\nsystem\n(S'id'\ntR.")},
	{"a program as the class", pickle.Global, class("cos\nsystem\n.")},
	{"a program as the class with arguments", pickle.Global, class("(cos\nsystem\n(S'id'\ntt.")},
	{"a program spelled as the class", pickle.Global, class("((S'os'\nS'system'\nt(S'id'\ntt.")},
	{"a program by INST", pickle.Global, state("(S'id'\nios\nsystem\n.")},
	{"a program by OBJ", pickle.Global, state("(cos\nsystem\nS'id'\no.")},
	{"a program as the class of a reference", pickle.Global, state("(U\x08" + id("b") + "cos\nsystem\ntQ.")},
	{"a call of a permitted class", pickle.Call, state("cOFS.Image\nFile\n(tR.")},
	{"INST of a permitted class", pickle.Call, state("(iOFS.Image\nFile\n.")},
	{"OBJ of a permitted class", pickle.Call, state("(cOFS.Image\nFile\no.")},
	{"OBJ without a class", pickle.Call, state("(o.")},
	{"OBJ of a string", pickle.Call, state("(S'a'\no.")},
	{"a call of a string", pickle.Call, state("S'os.system'\n(tR.")},
	{"a call of a reference", pickle.Call, state(refers("b") + "(tR.")},
	{"a call of what a call gave", pickle.Call, state("c__builtin__\nset\n(tR(tR.")},
	{"a call with a list of arguments", pickle.Call, state("c__builtin__\nset\n(lR.")},
	{"a call with None for arguments", pickle.Call, state("c__builtin__\nset\nNR.")},
	{"NEWOBJ of what is no class", pickle.Call, state("S'a'\n)\x81.")},
	{"NEWOBJ without a tuple", pickle.Call, state("cOFS.Image\nFile\nN\x81.")},
	{"a reconstruction by another base", pickle.Call, state(reconstruct + "(cOFS.Image\nFile\ncOFS.Image\nFile\nNtR.")},
	{"a reconstruction of a string", pickle.Call, state(reconstruct + "(S'a'\nc__builtin__\nobject\nNtR.")},
	{"a reconstruction with a class for state", pickle.Call, state(reconstruct + "(cOFS.Image\nFile\nc__builtin__\nlist\ncOFS.Image\nFile\ntR.")},
	{"a reconstruction with more arguments", pickle.Call, state(reconstruct + "(cOFS.Image\nFile\nc__builtin__\nobject\nNNtR.")},
	{"a state for a class", pickle.State, state("cOFS.Image\nFile\n(db.")},
	{"a state for a dict", pickle.State, state("(d(db.")},
	{"a state for a reference", pickle.State, state(refers("b") + "(db.")},
	{"a class for a state", pickle.State, state("c__builtin__\nset\n(tRcOFS.Image\nFile\nb.")},
	{"items for a class", pickle.Stack, state("cOFS.Image\nFile\n(S'a'\nNu.")},
	{"items for a reference", pickle.Stack, state(refers("b") + "(S'a'\nNu.")},
	{"appended to a class", pickle.Stack, state("cOFS.Image\nFile\nNa.")},

	// Names.
	{"a name that the list lacks", pickle.Global, state("cProducts.CMFCore.utils\ngetToolByName\n.")},
	{"a name below a permitted one", pickle.Global, state("cOFS.Image\nFile.__init__\n.")},
	{"a module below a permitted one", pickle.Global, state("cOFS.Image.x\nFile\n.")},
	{"a name with a carriage return", pickle.Global, state("cOFS.Image\r\nFile\r\n.")},
	{"an empty name", pickle.Global, state("c\n\n.")},
	{"a name in another alphabet", pickle.Global, state("cOFS.Image\nFil\xd0\xb5\n.")},
	{"a long name", pickle.Limit, state("c" + strings.Repeat("a", 1000) + "\nb\n.")},

	// Opcodes.
	{"EXT1", pickle.Opcode, state("\x82\x01.")},
	{"EXT2", pickle.Opcode, state("\x83\x01\x00.")},
	{"EXT4", pickle.Opcode, state("\x84\x01\x00\x00\x00.")},
	{"STACK_GLOBAL", pickle.Opcode, state("S'os'\nS'system'\n\x93.")},
	{"NEWOBJ_EX", pickle.Opcode, state("cOFS.Image\nFile\n)}\x92.")},
	{"FRAME", pickle.Opcode, state("\x95\x00\x00\x00\x00\x00\x00\x00\x00.")},
	{"MEMOIZE", pickle.Opcode, state("N\x94.")},
	{"DUP", pickle.Opcode, state("N2.")},
	{"protocol 4", pickle.Opcode, state("\x80\x04N.")},
	{"the protocol in the middle", pickle.Opcode, state("N\x80\x02.")},
	{"an opcode that does not exist", pickle.Opcode, state("\xff.")},

	// The machine.
	{"an empty pickle", pickle.Stack, state(".")},
	{"two values", pickle.Stack, state("NN.")},
	{"a mark left over", pickle.Stack, state("N(.")},
	{"POP below a mark", pickle.Stack, state("N(0.")},
	{"POP_MARK without mark", pickle.Stack, state("N1.")},
	{"a key without value", pickle.Stack, state("(NdN0.")},
	{"a reference of nothing", pickle.Stack, state("Q.")},
	{"GET before PUT", pickle.Memo, state("h\x01.")},
	{"GET of another record's memo", pickle.Memo, whole(
		record("a", mappingClass+refers("b")+"q\x05."), record("b", mappingClass+"h\x05."))},
	{"a memo in text and in binary", pickle.Memo, state("(cOFS.Image\nFile\np1\nNq\x01t.")},
	{"a memo number with a zero before it", pickle.Syntax, state("Np01\n.")},
	{"a number of a million digits", pickle.Limit, state("L" + strings.Repeat("9", 1_000_000) + "L\n.")},
	{"a number of many bytes", pickle.Limit, state("\x8b\x00\x00\x01\x00.")},
	{"a string that is longer than the record", pickle.Structure, state("T\xff\xff\xff\x7fabc.")},
	{"a pickle without end", pickle.Structure, state("N")},

	// References.
	{"a reference of seven bytes", pickle.Reference, state("U\x071234567Q.")},
	{"a reference that is a number", pickle.Reference, state("K\x01Q.")},
	{"a reference to another database", pickle.Reference, state("(lS'm'\na(S'other'\nU\x08" + id("b") + "cOFS.Image\nFile\ntaQ.")},
	{"a reference to another database, without class", pickle.Reference, state("(lS'n'\na(S'other'\nU\x08" + id("b") + "taQ.")},
	{"a weak reference to another database", pickle.Reference, state("(lS'w'\na(U\x08" + id("b") + "S'other'\ntaQ.")},
	{"a reference with a class in words", pickle.Reference, state("(U\x08" + id("b") + "(S'os'\nS'system'\nttQ.")},
	{"a reference with more", pickle.Reference, state("(U\x08" + id("b") + "cOFS.Image\nFile\nNtQ.")},

	// Records.
	{"no export", pickle.Magic, "<?xml version='1.0'?>"},
	{"nothing", pickle.Magic, ""},
	{"no record", pickle.Structure, whole()},
	{"no class", pickle.Shape, class("N.")},
	{"a string as class", pickle.Shape, class("S'os.system'\n.")},
	{"two strings as class", pickle.Shape, class("(S'os'\nS'system'\nt.")},
	{"a class that a call gave", pickle.Shape, class("c__builtin__\nset\n(tR.")},
	{"a reference as class", pickle.Shape, class(refers("b") + ".")},
	{"one pickle", pickle.Structure, whole(record("a", mappingClass))},
	{"three pickles", pickle.Structure, whole(record("a", mappingClass+emptyState+"N."))},
	{"a record twice", pickle.Structure, whole(record("a", mappingClass+refers("a")+"."), record("a", mappingClass+emptyState))},
	{"a record that nothing refers to", pickle.Structure, whole(record("a", mappingClass+emptyState), record("b", mappingClass+emptyState))},
	{"a record before its reference", pickle.Structure, whole(
		record("a", mappingClass+refers("c")+"."), record("b", mappingClass+emptyState), record("c", mappingClass+refers("b")+"."))},
	{"a record that only a weak reference knows", pickle.Structure, whole(
		record("a", mappingClass+"(lS'w'\na(U\x08"+id("b")+"taQ."), record("b", mappingClass+emptyState))},
	{"a huge record", pickle.Limit, Magic + id("a") + "\xff\xff\xff\xff\xff\xff\xff\xfe"},
	{"a blob without mark", pickle.Structure, whole(record("a", "cZODB.blob\nBlob\n.N."))},
	{"a blob's mark behind another class", pickle.Structure, whole(record("a", mappingClass+emptyState), blobOf("x"))},
	{"a blob that is cut short", pickle.Truncated, Magic + record("a", "cZODB.blob\nBlob\n.N.") + blobMark + sized(100) + "x"},
	{"a huge blob", pickle.Limit, Magic + record("a", "cZODB.blob\nBlob\n.N.") + blobMark + "\xff\xff\xff\xff\xff\xff\xff\xff"},
	{"no end", pickle.Truncated, strings.TrimSuffix(state(emptyState), string(endMark[:]))},
	{"something behind the end", pickle.Trailing, state(emptyState) + "x"},
	{"a second export behind the end", pickle.Trailing, state(emptyState) + state(emptyState)},
}

func TestHostileExportsAreRefused(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.about, func(t *testing.T) {
			got, err := Check(strings.NewReader(c.file), Default())
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

func TestVariantsAreTaken(t *testing.T) {
	for about, file := range variants(t) {
		if _, err := Check(bytes.NewReader(file), Default()); err != nil {
			t.Errorf("%s: %v", about, err)
		}
	}
}

func TestMissingObjectsAreCounted(t *testing.T) {
	file := whole(record("a", mappingClass+"("+refers("b")+refers("c")+refers("b")+"t."), record("c", mappingClass+emptyState))
	got, err := Check(strings.NewReader(file), Default())
	if err != nil || got.Dangling != 1 || got.Records != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEveryCutIsRefused(t *testing.T) {
	file := goldenFile(t, "blob.python2.zexp")
	allowed := Default()
	for n := range file {
		if _, err := Check(bytes.NewReader(file[:n]), allowed); err == nil {
			t.Fatalf("the first %d bytes of %d are taken", n, len(file))
		}
	}
}

// TestDamageBringsNoOtherName flips bits: many stay unnoticed, in a text or a number, but
// none may lead to a name that the export did not have.
func TestDamageBringsNoOtherName(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	allowed := Default()
	for _, name := range []string{"mapping.python2.zexp", "mapping.python3.zexp", "btree.python2.zexp"} {
		file := goldenFile(t, name)
		whole, err := Check(bytes.NewReader(file), allowed)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			damaged := bytes.Clone(file)
			damaged[random.IntN(len(file))] ^= 1 << random.IntN(8)
			got, err := Check(bytes.NewReader(damaged), allowed)
			if err != nil {
				continue
			}
			for n := range got.Calls {
				if whole.Calls[n] == 0 {
					t.Fatalf("%s: %s is called", name, n)
				}
			}
		}
	}
}

func TestSmallHostileExportTakesLittle(t *testing.T) {
	const mega = 1 << 20
	for about, file := range map[string]string{
		"marks":    state(strings.Repeat("(", mega)),
		"values":   state(strings.Repeat("N", mega)),
		"tuples":   state("]" + strings.Repeat("N\x85a", mega/3) + "."),
		"lists":    state("]" + strings.Repeat("]a", mega/2) + "."),
		"nested":   state(strings.Repeat("N\x85", mega/2) + "."),
		"appended": state("]q\x00" + strings.Repeat("h\x00a", mega/3) + "."),
		"memo":     state("N" + strings.Repeat("r\x01\x02\x03\x04", mega/5) + "."),
		"strings":  state("]" + strings.Repeat("U\x01xa", mega/4) + "."),
		"calls":    state("]" + strings.Repeat("c__builtin__\nset\n)Ra", mega/20) + "."),
	} {
		t.Run(about, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, _ = Check(strings.NewReader(file), Default())
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 64*mega || took > 30*time.Second {
				t.Errorf("%d MiB in %v", n/mega, took)
			}
		})
	}
}

var errDisk = errors.New("input/output error")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

func TestFailureToReadIsNoRefusal(t *testing.T) {
	file := goldenFile(t, "blob.python2.zexp")
	for n := range file {
		_, err := Check(io.MultiReader(bytes.NewReader(file[:n]), failing{}), Default())
		if _, refused := pickle.AsRefusal(err); refused || !errors.Is(err, errDisk) {
			t.Fatalf("behind %d bytes: %v", n, err)
		}
	}
}
