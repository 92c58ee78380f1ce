package zexp

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"synchro.example/shared/fault"
)

// Name is a class or function by its module and its name in there.
type Name struct{ Module, Name string }

var (
	blobClass = Name{"ZODB.blob", "Blob"}

	modulePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
	namePattern   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func (n Name) valid() bool {
	return modulePattern.MatchString(n.Module) && namePattern.MatchString(n.Name)
}

func (n Name) String() string { return n.Module + "." + n.Name }

// MarshalText makes names keys and values in JSON.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

func compareNames(a, b Name) int { return strings.Compare(a.String(), b.String()) }

// List is what a site permits: names that may stand in an export, and those of them that
// may be called as well. Its file has one on each line, with () behind what may be
// called; what follows a # is a remark. There are no patterns: a package full of
// content classes also holds functions.
type List struct {
	names, calls map[Name]bool
}

//go:embed default.txt
var defaultText string

// Default permits what ordinary content needs.
func Default() *List {
	l, err := ParseList(strings.NewReader(defaultText))
	if err != nil {
		panic(err) // a test reads the same text
	}
	return l
}

// ParseList reads a list, and reports each wrong line.
func ParseList(r io.Reader) (*List, error) {
	l := &List{names: map[Name]bool{}, calls: map[Name]bool{}}
	var wrong []string
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if !l.add(text) {
			wrong = append(wrong, fmt.Sprintf("line %d: %q is not a permitted global; write module.Name, or module.name() for what may be called", n, text))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the list of permitted globals: %w", err)
	}
	if len(wrong) > 0 {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "%s", strings.Join(wrong, "\n"))
	}
	return l, nil
}

func (l *List) add(text string) bool {
	text, called := strings.CutSuffix(text, "()")
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return false
	}
	n := Name{text[:dot], text[dot+1:]}
	l.names[n] = true
	if called {
		l.calls[n] = true
	}
	return n.valid()
}

// WriteList writes the list that some exports need.
func WriteList(w io.Writer, reports ...*Report) error {
	names, calls := map[Name]bool{}, map[Name]bool{}
	for _, r := range reports {
		for n := range r.Names {
			names[n] = true
		}
		for n := range r.Calls {
			calls[n] = true
		}
	}
	for _, n := range slices.SortedFunc(maps.Keys(names), compareNames) {
		line := n.String()
		if calls[n] {
			line += "()"
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
