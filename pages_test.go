package workspace

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The pages that the checks hold against the code, and the package of the codes.
const (
	dependencyPage = "docs/dependencies.md"
	errorPage      = "docs/errors.md"
	faults         = "shared/fault"
)

var (
	// moduleRow is a row whose first cell is a module or a tool, and whose last says why.
	moduleRow = regexp.MustCompile("(?m)^\\| `([a-z0-9.-]+\\.[a-z]+(?:/[^`]+)?)` \\|.*\\| ([^|]+) \\|$")
	codeRow   = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([^|]+) \\|.*\\|$")
)

// dependenciesExplained: whoever adds a dependency says why, once, where all can read it.
func dependenciesExplained(r *tree) (wrong []string) {
	explained := make(map[string]bool)
	for _, row := range moduleRow.FindAllStringSubmatch(r.pages[dependencyPage], -1) {
		explained[row[1]] = true
	}
	needed := directDependencies(r)
	for name, dirs := range needed {
		if !explained[name] {
			wrong = append(wrong, fmt.Sprintf("%s does not say why %v needs %s; add a row | `%s` | … | reason |", dependencyPage, dirs, name, name))
		}
	}
	for name := range explained {
		if needed[name] == nil {
			wrong = append(wrong, fmt.Sprintf("%s explains %s, which no module requires directly", dependencyPage, name))
		}
	}
	return wrong
}

// directDependencies gives the folders of the modules that need each of them.
func directDependencies(r *tree) map[string][]string {
	needed := make(map[string][]string)
	for _, dir := range slices.Sorted(maps.Keys(r.modules)) {
		for _, need := range r.modules[dir].Require {
			if !need.Indirect && !isOurs(need.Mod.Path) {
				needed[need.Mod.Path] = append(needed[need.Mod.Path], dir)
			}
		}
		for _, tool := range r.modules[dir].Tool {
			needed[tool.Path] = append(needed[tool.Path], dir)
		}
	}
	return needed
}

// codesExplained holds the table of fault codes against the faults that the code makes.
func codesExplained(r *tree) (wrong []string) {
	names := faultConstants(r, "Code")
	documented := make(map[string]map[string]bool) // code, classes
	for _, row := range codeRow.FindAllStringSubmatch(r.pages[errorPage], -1) {
		documented[row[1]] = classWords(row[2])
	}
	made := classesMade(r)
	for _, code := range names {
		if documented[code] == nil {
			wrong = append(wrong, fmt.Sprintf("%s does not explain the code %s", errorPage, code))
			continue
		}
		wrong = append(wrong, classesDiffer(code, documented[code], made[code])...)
	}
	return wrong
}

func classesDiffer(code string, documented map[string]bool, made map[string][]string) (wrong []string) {
	for class, dirs := range made {
		if !documented[class] {
			wrong = append(wrong, fmt.Sprintf("%s does not say that %s is of class %s too, in %v", errorPage, code, class, dirs))
		}
	}
	for class := range documented {
		if made[class] == nil {
			wrong = append(wrong, fmt.Sprintf("%s says that %s is of class %s, which nothing makes", errorPage, code, class))
		}
	}
	return wrong
}

func classWords(cell string) map[string]bool {
	classes := make(map[string]bool)
	for word := range strings.SplitSeq(cell, ",") {
		class, _, _ := strings.Cut(strings.TrimSpace(word), " ")
		classes[class] = true
	}
	return classes
}

// faultConstants gives the constants of a type in the package of faults, by name.
func faultConstants(r *tree, kind string) map[string]string {
	found := make(map[string]string)
	for name, file := range r.sources {
		if path.Dir(name) != faults {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && isNamed(spec.Type, kind) && len(spec.Values) == 1 {
				if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					found[spec.Names[0].Name], _ = strconv.Unquote(literal.Value)
				}
			}
			return true
		})
	}
	return found
}

func isNamed(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// classesMade gives, for each code, the classes that it is made with, and where: every
// call fault.X(fault.CLASS, fault.CODE, …) outside of tests.
func classesMade(r *tree) map[string]map[string][]string {
	classes, codes := faultConstants(r, "Class"), faultConstants(r, "Code")
	made := make(map[string]map[string][]string)
	for name, file := range r.sources {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 || faultName(call.Fun) == "" {
				return true
			}
			class, code := classes[faultName(call.Args[0])], codes[faultName(call.Args[1])]
			if class == "" || code == "" {
				return true
			}
			if made[code] == nil {
				made[code] = make(map[string][]string)
			}
			if dir := path.Dir(name); !slices.Contains(made[code][class], dir) {
				made[code][class] = append(made[code][class], dir)
			}
			return true
		})
	}
	return made
}

// faultName gives X of fault.X, "" for anything else.
func faultName(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok && isNamed(s.X, "fault") {
		return s.Sel.Name
	}
	return ""
}
