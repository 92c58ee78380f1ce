package workspace

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
)

// ours is the path that all modules of this repository begin with.
const ours = "synchro.example"

// outside lists the modules that go.work must not name, and why.
var outside = map[string]string{
	"tools":         "a linter's hundreds of dependencies would choose versions for the services",
	"tools/compose": "Compose's dependencies would choose versions for the services and for the linter",
}

// subjects is the one package that spells the broker's names.
const subjects = "shared/subject"

// otherNames lists packages in which such a word means something else, and what.
var otherNames = map[string]string{
	"services/bridge/queue": "the classic queue has a folder ERROR",
	"shared/mirror":         "so has what is shown as one",
}

// A check gives a sentence for each thing that is wrong.
type check func(*tree) []string

var checks = map[string]check{
	"every module is in go.work":          modulesListed,
	"one Go version":                      oneGoVersion,
	"one version of each dependency":      oneVersionEach,
	"siblings are replaced, others not":   siblingsReplaced,
	"every package has a comment":         packagesCommented,
	"broker names are in one package":     namesInOnePackage,
	"scripts run and say what they do":    scriptsUsable,
	"exceptions are needed and explained": exceptionsNeeded,
	"dependencies are explained":          dependenciesExplained,
	"error codes are explained":           codesExplained,
}

func modulesListed(r *tree) (wrong []string) {
	used := make(map[string]bool)
	for _, use := range r.work.Use {
		dir := path.Clean(use.Path)
		used[dir] = true
		if r.modules[dir] == nil {
			wrong = append(wrong, fmt.Sprintf("go.work uses %s, which has no go.mod", dir))
		}
		if outside[dir] != "" {
			wrong = append(wrong, fmt.Sprintf("go.work uses %s, but %s", dir, outside[dir]))
		}
	}
	for dir, mod := range r.modules {
		if !used[dir] && outside[dir] == "" {
			wrong = append(wrong, fmt.Sprintf("%s/go.mod is not in go.work", dir))
		}
		if want := path.Join(ours, dir); mod.Module.Mod.Path != want {
			wrong = append(wrong, fmt.Sprintf("%s/go.mod names its module %s, want %s", dir, mod.Module.Mod.Path, want))
		}
	}
	return wrong
}

func oneGoVersion(r *tree) (wrong []string) {
	want := r.work.Go.Version
	if r.work.Toolchain != nil {
		wrong = append(wrong, "go.work has a toolchain line")
	}
	for dir, mod := range r.modules {
		if mod.Go == nil || mod.Go.Version != want {
			wrong = append(wrong, fmt.Sprintf("%s/go.mod is not for Go %s as go.work is", dir, want))
		}
		if mod.Toolchain != nil {
			wrong = append(wrong, fmt.Sprintf("%s/go.mod has a toolchain line", dir))
		}
	}
	return wrong
}

// oneVersionEach matters because the workspace compiles everything with the highest
// version that any module asks for: with others below it, what was tested would not be
// what a module builds alone.
func oneVersionEach(r *tree) (wrong []string) {
	asked := make(map[string]map[string][]string) // dependency, version, folders
	for dir, mod := range r.modules {
		for _, need := range mod.Require {
			if outside[dir] != "" {
				continue
			}
			versions := asked[need.Mod.Path]
			if versions == nil {
				versions = make(map[string][]string)
				asked[need.Mod.Path] = versions
			}
			versions[need.Mod.Version] = append(versions[need.Mod.Version], dir)
		}
	}
	for dependency, versions := range asked {
		if len(versions) > 1 {
			wrong = append(wrong, fmt.Sprintf("%s is required at %d versions: %v", dependency, len(versions), versions))
		}
	}
	return wrong
}

func siblingsReplaced(r *tree) (wrong []string) {
	if len(r.work.Replace) > 0 {
		wrong = append(wrong, "go.work replaces modules")
	}
	for dir, mod := range r.modules {
		replaced := make(map[string]bool)
		for _, rule := range mod.Replace {
			replaced[rule.Old.Path] = true
			if problem := badReplace(dir, rule); problem != "" {
				wrong = append(wrong, fmt.Sprintf("%s/go.mod: %s", dir, problem))
			}
		}
		for _, need := range mod.Require {
			if isOurs(need.Mod.Path) && !replaced[need.Mod.Path] {
				wrong = append(wrong, fmt.Sprintf("%s/go.mod: %s has no replace, so it cannot build alone", dir, need.Mod.Path))
			}
		}
	}
	return wrong
}

// badReplace says what is wrong with a replacement, "" when nothing is.
func badReplace(dir string, rule *modfile.Replace) string {
	if !isOurs(rule.Old.Path) {
		return fmt.Sprintf("%s is replaced, and is none of ours", rule.Old.Path)
	}
	home := strings.TrimPrefix(strings.TrimPrefix(rule.Old.Path, ours), "/")
	want, err := filepath.Rel(dir, home)
	if err != nil || rule.New.Path != filepath.ToSlash(want) {
		return fmt.Sprintf("%s is replaced by %s, want %s", rule.Old.Path, rule.New.Path, filepath.ToSlash(want))
	}
	return ""
}

func isOurs(module string) bool {
	return module == ours || strings.HasPrefix(module, ours+"/")
}

func packagesCommented(r *tree) (wrong []string) {
	commented := make(map[string]bool)
	for name, file := range r.sources {
		dir := path.Dir(name)
		commented[dir] = commented[dir] || file.Doc.Text() != ""
	}
	for dir, ok := range commented {
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s has no package comment", dir))
		}
	}
	return wrong
}

func namesInOnePackage(r *tree) (wrong []string) {
	for name, file := range r.sources {
		dir := path.Dir(name)
		if dir == subjects || otherNames[dir] != "" {
			continue
		}
		for _, text := range brokerNames(file) {
			wrong = append(wrong, fmt.Sprintf("%s spells %q, which belongs into %s", name, text, subjects))
		}
	}
	return wrong
}

// brokerNames gives the literals of a file that name a stream or a subject.
func brokerNames(file *ast.File) (found []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		if text, err := strconv.Unquote(literal.Value); err == nil && isBrokerName(text) {
			found = append(found, text)
		}
		return true
	})
	return found
}

func isBrokerName(text string) bool {
	if slices.Contains([]string{"BLOBS", "ERROR", "REPLAY"}, text) {
		return true
	}
	for _, stream := range []string{"EXPORT_", "IMPORT_", "LEDGER_"} {
		if strings.HasPrefix(text, stream) {
			return true
		}
	}
	for _, subject := range []string{"EXPORT", "IMPORT", "BLOB", "STATUS", "plugin"} {
		if strings.Contains(text, "synchro."+subject) {
			return true
		}
	}
	return false
}

func scriptsUsable(r *tree) (wrong []string) {
	for name, s := range r.scripts {
		lines := strings.SplitN(s.text, "\n", 3)
		if !s.executable {
			wrong = append(wrong, name+" is not executable")
		}
		if !strings.HasPrefix(lines[0], "#!") {
			wrong = append(wrong, name+" does not begin with #!")
		}
		if len(lines) < 2 || len(strings.TrimLeft(lines[1], "# ")) < 10 || lines[1][0] != '#' {
			wrong = append(wrong, name+" does not say in its second line what it is for")
		}
	}
	return wrong
}

func exceptionsNeeded(r *tree) (wrong []string) {
	for dir := range outside {
		if r.modules[dir] == nil {
			wrong = append(wrong, fmt.Sprintf("the exception for module %s is not needed", dir))
		}
	}
	for dir := range otherNames {
		needed := slices.ContainsFunc(slices.Collect(maps.Keys(r.sources)), func(name string) bool {
			return path.Dir(name) == dir && len(brokerNames(r.sources[name])) > 0
		})
		if !needed {
			wrong = append(wrong, fmt.Sprintf("the exception for the names in %s is not needed", dir))
		}
	}
	return wrong
}
