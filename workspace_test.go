package workspace

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestWorkspace(t *testing.T) {
	r := read(t, os.DirFS("."))
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			for _, wrong := range slices.Sorted(slices.Values(check(r))) {
				t.Error(wrong)
			}
		})
	}
}

// good is a small workspace that passes every check.
var good = map[string]string{
	"go.work":       "go 1.26.0\nuse (\n.\n./shared\n./services/bridge\n)\n",
	"go.mod":        "module synchro.example\ngo 1.26.0\nrequire x.example/dep v1.0.0\n",
	"doc.go":        "// Package workspace is the root.\npackage workspace\n",
	"shared/go.mod": "module synchro.example/shared\ngo 1.26.0\nrequire x.example/dep v1.0.0\n",
	"services/bridge/go.mod": "module synchro.example/services/bridge\ngo 1.26.0\n" +
		"require synchro.example/shared v0.0.0\nreplace synchro.example/shared => ../../shared\n",
	"services/bridge/queue/queue.go": "// Package queue is a queue.\npackage queue\nconst failed = \"ERROR\"\n",
	"shared/mirror/shown.go":         "// Package mirror is a mirror.\npackage mirror\nconst failed = \"ERROR\"\n",
	"shared/subject/subject.go":      "// Package subject names.\npackage subject\nconst Stream = \"EXPORT_\"\n",
	"shared/subject/subject_test.go": "package subject\nvar _ = \"synchro.EXPORT.x\"\n",
	"tools/go.mod":                   "module synchro.example/tools\ngo 1.26.0\nrequire x.example/dep v1.1.0\n",
	"tools/compose/go.mod":           "module synchro.example/tools/compose\ngo 1.26.0\n",
	"scripts/test":                   "#!/usr/bin/env bash\n# Runs all tests.\n",
	"shared/fault/fault.go": "// Package fault is faults.\npackage fault\ntype (\nClass string\nCode string\n)\n" +
		"const Park Class = \"park\"\nconst Retry Class = \"retry\"\nconst Full Code = \"full\"\n",
	"shared/disk/disk.go":  "// Package disk is a disk.\npackage disk\nvar Err = fault.New(fault.Park, fault.Full, nil)\n",
	"docs/errors.md":       "| `full` | park (pause) | Full. | Empty it. |\n",
	"docs/dependencies.md": "| `x.example/dep` | all | It saves work. |\n",
}

func TestGoodWorkspacePasses(t *testing.T) {
	r := read(t, build(nil))
	for name, check := range checks {
		if wrong := check(r); len(wrong) > 0 {
			t.Errorf("%s: %q", name, wrong)
		}
	}
}

func TestEachCheckSeesItsMistake(t *testing.T) {
	for _, c := range []struct {
		mistake, check string
		file, text     string // an empty text takes the file away
		want           string
	}{
		{
			"a module that nobody lists", "every module is in go.work",
			"services/relay/go.mod", "module synchro.example/services/relay\ngo 1.26.0\n",
			"services/relay/go.mod is not in go.work",
		},
		{
			"a module that is gone", "every module is in go.work",
			"shared/go.mod", "", "go.work uses shared, which has no go.mod",
		},
		{
			"tools in the workspace", "every module is in go.work",
			"go.work", "go 1.26.0\nuse (\n.\n./shared\n./services/bridge\n./tools\n)\n", "go.work uses tools, but",
		},
		{
			"a module with another's name", "every module is in go.work",
			"shared/go.mod", "module synchro.example/common\ngo 1.26.0\n", "want synchro.example/shared",
		},
		{
			"another Go version", "one Go version",
			"tools/go.mod", "module synchro.example/tools\ngo 1.25.0\n", "tools/go.mod is not for Go 1.26.0",
		},
		{
			"a toolchain line", "one Go version",
			"shared/go.mod", "module synchro.example/shared\ngo 1.26.0\ntoolchain go1.26.8\n", "toolchain line",
		},
		{
			"two versions of a dependency", "one version of each dependency",
			"shared/go.mod", "module synchro.example/shared\ngo 1.26.0\nrequire x.example/dep v1.2.0\n",
			"x.example/dep is required at 2 versions: map[v1.0.0:[.] v1.2.0:[shared]]",
		},
		{
			"a sibling without replace", "siblings are replaced, others not",
			"services/bridge/go.mod", "module synchro.example/services/bridge\ngo 1.26.0\nrequire synchro.example/shared v0.0.0\n",
			"synchro.example/shared has no replace",
		},
		{
			"a sibling replaced by the wrong folder", "siblings are replaced, others not",
			"services/bridge/go.mod", "module synchro.example/services/bridge\ngo 1.26.0\nreplace synchro.example/shared => ../shared\n",
			"replaced by ../shared, want ../../shared",
		},
		{
			"a foreign module replaced", "siblings are replaced, others not",
			"shared/go.mod", "module synchro.example/shared\ngo 1.26.0\nreplace x.example/dep => ../dep\n", "none of ours",
		},
		{
			"a package without comment", "every package has a comment",
			"shared/bare/bare.go", "package bare\n", "shared/bare has no package comment",
		},
		{
			"a subject spelled elsewhere", "broker names are in one package",
			"shared/x/x.go", "// Package x is x.\npackage x\nconst s = `synchro.IMPORT.DONE.a.b`\n", "shared/x/x.go spells",
		},
		{
			"a stream spelled elsewhere", "broker names are in one package",
			"shared/x/x.go", "// Package x is x.\npackage x\nvar s = f(\"LEDGER_paris\")\n", `spells "LEDGER_paris"`,
		},
		{
			"a script without comment", "scripts run and say what they do",
			"scripts/bench", "#!/usr/bin/env bash\nset -eu\n", "scripts/bench does not say",
		},
		{
			"a script without first line", "scripts run and say what they do",
			"deployments/up.sh", "# Brings everything up.\n", "deployments/up.sh does not begin with #!",
		},
		{
			"an empty script", "scripts run and say what they do",
			"deployments/up.sh", "\n", "deployments/up.sh does not say",
		},
		{
			"an exception for a module that is gone", "exceptions are needed and explained",
			"tools/compose/go.mod", "", "tools/compose is not needed",
		},
		{
			"an exception for a name that is gone", "exceptions are needed and explained",
			"services/bridge/queue/queue.go", "// Package queue is a queue.\npackage queue\n", "queue is not needed",
		},
		{
			"a dependency that nobody explains", "dependencies are explained",
			"docs/dependencies.md", "| `x.example/dep2` | all | It saves work. |\n",
			"docs/dependencies.md does not say why [. shared tools] needs x.example/dep;",
		},
		{
			"an explanation of what is gone", "dependencies are explained",
			"docs/dependencies.md", "| `x.example/dep` | all | It saves work. |\n| `x.example/old` | - | It did. |\n",
			"explains x.example/old, which no module requires",
		},
		{
			"a dependency without a reason", "dependencies are explained",
			"docs/dependencies.md", "| `x.example/dep` | all | |\n", "does not say why",
		},
		{
			"a tool that nobody explains", "dependencies are explained",
			"tools/go.mod", "module synchro.example/tools\ngo 1.26.0\ntool x.example/lint/cmd\n", "[tools] needs x.example/lint/cmd;",
		},
		{
			"a code that nobody explains", "error codes are explained",
			"docs/errors.md", "", "docs/errors.md does not explain the code full",
		},
		{
			"a class that the page lacks", "error codes are explained",
			"shared/disk/disk.go", "// Package disk is a disk.\npackage disk\nvar Err = fault.OfSite(fault.Retry, fault.Full, nil)\n",
			"does not say that full is of class retry too, in [shared/disk]",
		},
		{
			"a class that the page alone has", "error codes are explained",
			"docs/errors.md", "| `full` | park, retry | Full. | Empty it. |\n", "full is of class retry, which nothing makes",
		},
	} {
		t.Run(c.mistake, func(t *testing.T) {
			wrong := strings.Join(checks[c.check](read(t, build(map[string]string{c.file: c.text}))), "\n")
			if !strings.Contains(wrong, c.want) {
				t.Errorf("the check said %q, want %q", wrong, c.want)
			}
		})
	}
}

func TestScriptMustBeExecutable(t *testing.T) {
	fsys := build(nil)
	fsys["scripts/test"].Mode = 0o644
	if wrong := scriptsUsable(read(t, fsys)); !slices.Contains(wrong, "scripts/test is not executable") {
		t.Errorf("the check said %q", wrong)
	}
}

// build makes the good workspace with some files changed, or gone where empty.
func build(changed map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, files := range []map[string]string{good, changed} {
		for name, text := range files {
			fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o755}
			if text == "" {
				delete(fsys, name)
			}
		}
	}
	return fsys
}
