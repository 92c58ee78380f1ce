package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"synchro.example/services/bridge/inspect"
	"synchro.example/shared/service"
)

// The files that the original has made.
const (
	zsGolden   = "../../../bridge/zs/testdata/golden/"
	zexpGolden = "../../../bridge/zexp/testdata/golden/"
)

func TestClassicFilesAreShown(t *testing.T) {
	out, _ := command(t, service.Done, "zs", "show",
		zsGolden+"leaked.original.zs", zsGolden+"delete.original.zs", zexpGolden+"blob.python2.zexp")
	for _, want := range []string{
		"  object  d/f\n",
		"  fss     f file: 5 bytes, yes, application/octet-stream\n",
		"  left out: 2 values of other objects",
		"  delete  old\n",
		"  zexp    persistent.mapping.PersistentMapping: 1296 bytes, 3 records, 2 blobs\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it lacks %q:\n%s", want, out)
		}
	}
}

func TestClassicFilesAreShownToPrograms(t *testing.T) {
	out, _ := command(t, service.Done, "zs", "show", "--json", zsGolden+"file.original.zs", zexpGolden+"sets.python3.zexp")
	var got []struct {
		Path  string
		Parts []struct {
			Kind   string
			Size   int64
			Fields []struct{ Size int64 }
			Export struct {
				Root  string
				Calls map[string]int
			}
		}
		Refusal struct {
			In, Code string
			Offset   int64
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got) != 2 {
		t.Fatalf("%v in %s", err, out)
	}
	zs, export := got[0], got[1]
	if zs.Path != "d/f.bin" || len(zs.Parts) != 2 || zs.Parts[1].Fields[0].Size != 256 {
		t.Errorf("got %+v", zs)
	}
	// The export in this file is none: four letters.
	if zs.Refusal.In != "zexp" || zs.Refusal.Code != "truncated" || zs.Refusal.Offset != 4 || zs.Parts[0].Size != 4 {
		t.Errorf("got %+v", zs.Refusal)
	}
	if e := export.Parts[0].Export; e.Root != "persistent.mapping.PersistentMapping" || e.Calls["builtins.set"] != 1 {
		t.Errorf("got %+v", e)
	}
}

func TestClassicFilesAreChecked(t *testing.T) {
	out, _ := command(t, service.Done, "zs", "check", zsGolden+"delete.original.zs", zexpGolden+"content.python2.zexp")
	if strings.Count(out, ": good\n") != 2 {
		t.Errorf("it prints %q", out)
	}
	bad := filepath.Join(t.TempDir(), "bad.zs")
	if err := os.WriteFile(bad, []byte("cos\nsystem\n(S'id'\ntR."), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errOut := command(t, service.Failed, "zs", "check", zsGolden+"delete.original.zs", bad)
	if !strings.Contains(out, `bad.zs: refused: byte 0: "os.system" has no place in a .zs file (global)`) {
		t.Errorf("it prints %q", out)
	}
	if !strings.Contains(errOut, "1 of 2 files are refused") {
		t.Errorf("it says %q", errOut)
	}
}

func TestProtocol2IsTakenWhenAsked(t *testing.T) {
	name := zsGolden + "delete.cPickle-2.zs"
	command(t, service.Failed, "zs", "check", name)
	command(t, service.Done, "zs", "check", "--tolerant", name)
}

func TestLearnedListIsUsed(t *testing.T) {
	content, sets := zexpGolden+"content.python2.zexp", zexpGolden+"sets.python2.zexp"
	out, _ := command(t, service.Done, "zs", "learn", content)
	if !strings.HasPrefix(out, "# ") || !strings.Contains(out, "\nDateTime.DateTime.DateTime()\n") {
		t.Errorf("it prints %q", out)
	}
	list := filepath.Join(t.TempDir(), "globals.txt")
	if err := os.WriteFile(list, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, service.Done, "zs", "check", "--allow", list, content)
	command(t, service.Failed, "zs", "check", "--allow", list, sets)
}

func TestNothingIsLearnedFromADamagedFile(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.zexp")
	if err := os.WriteFile(bad, []byte("ZEXP"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, service.Failed, "zs", "show", bad)
	if out, _ := command(t, service.Failed, "zs", "learn", zexpGolden+"sets.python2.zexp", bad); out != "" {
		t.Errorf("it prints %q", out)
	}
}

func TestWrongUseOfZS(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(wrong, []byte("Products.*\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	name := zsGolden + "delete.original.zs"
	for _, args := range [][]string{
		{"zs", "show"},
		{"zs", "check"},
		{"zs", "learn"},
		{"zs", "look"},
		{"zs", "check", "--allow", "missing", name},
		{"zs", "check", "--allow", wrong, name},
	} {
		command(t, service.Usage, args...)
	}
	command(t, service.Failed, "zs", "show", "missing.zs")
}

func TestEachFieldOfClassicFilesIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/classic-files.md")
	if err != nil {
		t.Fatal(err)
	}
	for field := range reflect.TypeFor[inspect.File]().Fields() {
		if name := field.Tag.Get("json"); !strings.Contains(string(page), "\n| `"+name+"` |") {
			t.Errorf("docs/classic-files.md lacks the field %s", name)
		}
	}
}
