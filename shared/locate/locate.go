// Package locate says where a receiving site puts an object: rules, of which the first
// that matches wins. It computes paths and does no I/O; whether something stands there is
// the importer's to know.
package locate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/tales"
)

// Skip is the result of a rule that keeps objects away from the site.
const Skip = "skip"

// ask begins the result of a rule that leaves it to a plugin.
const ask = "plugin:"

// Asks gives the plugin that the result of a rule leaves it to.
func Asks(at string) (plugin string, asks bool) {
	plugin, asks = strings.CutPrefix(at, ask)
	return strings.TrimSpace(plugin), asks
}

// Rule is one rule as it is written. Conditions that are empty hold for every object.
type Rule struct {
	Source     string `yaml:"source"`     // site that the object comes from
	Type       string `yaml:"type"`       // type of the object
	Path       string `yaml:"path"`       // glob for the path on the source, as in /news/**
	Plugin     string `yaml:"plugin"`     // plugin that made a part of the change
	Expression string `yaml:"expression"` // as in a channel
	// At is Skip, or the path on this site with {path}, {path.tail}, {name}, {type} and
	// {source} in it. Without any of them {path.tail} is added at the end. Or it is
	// plugin:ID, and that plugin is asked.
	At string `yaml:"at"`
}

// Rules are the compiled rules of a site. Safe for concurrent use.
type Rules struct {
	list []rule
	mark string
	deep bool
}

type rule struct {
	Rule
	glob       string // Path without the slash in front
	prefix     string // of glob, before its first wildcard
	expression *tales.Expression
	at         []piece
}

// Place is what the rules say of an object.
type Place struct {
	Matched bool // some rule did
	Skip    bool // the site does not get the object
	Path    string
	Plugin  string // to be asked for Skip and Path, which are not known then
}

// At is the place of a path that a plugin has named. An empty path is no place, as the root
// is none.
func At(path string) (Place, error) {
	to, err := clean(path)
	return Place{Matched: true, Skip: to == "", Path: to}, err
}

// Compile checks rules. The errors are those of the rules at the same index, nil for a
// good one.
func Compile(list []Rule) (*Rules, []error) {
	r := &Rules{}
	errs := make([]error, len(list))
	for i, written := range list {
		var one rule
		if one, errs[i] = compile(written); errs[i] == nil {
			r.list = append(r.list, one)
		}
		_, asks := Asks(written.At)
		r.deep = r.deep || asks || written.Plugin+written.Expression != ""
	}
	if len(list) > 0 {
		text, err := json.Marshal(list)
		if err != nil {
			return nil, []error{err}
		}
		sum := sha256.Sum256(text)
		r.mark = hex.EncodeToString(sum[:8])
	}
	return r, errs
}

func compile(written Rule) (r rule, err error) {
	r = rule{Rule: written, glob: strings.TrimPrefix(written.Path, "/")}
	if written.Path != "" && (r.glob == "" || !doublestar.ValidatePattern(r.glob)) {
		return r, fmt.Errorf("the path %q is no glob; write for example /news/**", written.Path)
	}
	r.prefix = literal(r.glob)
	if written.Expression != "" {
		if r.expression, err = tales.Compile(written.Expression); err != nil {
			return r, fmt.Errorf("expression: %w", err)
		}
	}
	_, asks := Asks(r.At)
	if r.At == Skip || asks {
		return r, nil
	}
	r.at, err = template(r.At)
	return r, err
}

// literal gives the segments of a glob before the first that has a wildcard.
func literal(glob string) string {
	i := strings.IndexAny(glob, `*?[{\`)
	if i < 0 {
		return glob
	}
	return glob[:max(strings.LastIndexByte(glob[:i], '/'), 0)]
}

// Empty tells whether there are no rules.
func (r *Rules) Empty() bool { return r == nil || len(r.list) == 0 }

// Mark names these rules; other rules have another one. It is empty for none.
func (r *Rules) Mark() string {
	if r == nil {
		return ""
	}
	return r.mark
}

// Deep tells whether a rule reads more of a change than its source, type and path.
func (r *Rules) Deep() bool { return r != nil && r.deep }

// Place finds where an object belongs whose source has it at path. The error is a fault
// of class Park.
func (r *Rules) Place(c *content.Change, path string) (Place, error) {
	if r == nil {
		return Place{}, nil
	}
	for i := range r.list {
		matches, err := r.list[i].matches(c, path)
		if err != nil {
			return Place{}, fmt.Errorf("rule %d of locate: %w", i+1, err)
		}
		if matches {
			p, err := r.list[i].place(c, path)
			if err != nil {
				return p, fault.Errorf(fault.Park, fault.Invalid, "rule %d of locate: %w", i+1, err)
			}
			return p, nil
		}
	}
	return Place{}, nil
}

func (r *rule) matches(c *content.Change, path string) (bool, error) {
	switch {
	case r.Source != "" && r.Source != c.Source,
		r.Type != "" && r.Type != c.Object.Type,
		r.glob != "" && !doublestar.MatchUnvalidated(r.glob, path),
		r.Plugin != "" && c.Payload(r.Plugin) == nil:
		return false, nil
	case r.expression == nil:
		return true, nil
	}
	here := *c
	here.Object.Path = path
	return r.expression.Matches(&here)
}

// place gives the path. The root is no place for an object: what would stand there is
// what the site's root is for the rest.
func (r *rule) place(c *content.Change, path string) (Place, error) {
	if r.At == Skip {
		return Place{Matched: true, Skip: true}, nil
	}
	if plugin, asks := Asks(r.At); asks {
		return Place{Matched: true, Plugin: plugin}, nil
	}
	var text strings.Builder
	for _, p := range r.at {
		text.WriteString(p.of(c, path, r.prefix))
	}
	return At(text.String())
}

// maxPath and maxNames bound a path: each name in it may be a container to be made.
const (
	maxPath  = 64 << 10
	maxNames = 1024
)

// clean drops empty segments and refuses those that are no names.
func clean(path string) (string, error) {
	if len(path) > maxPath || strings.Count(path, "/") > maxNames {
		return "", fmt.Errorf("the path %.40q… has %d bytes, the limits are %d, and %d names", path, len(path), maxPath, maxNames)
	}
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		switch {
		case name == "." || name == "..":
			return "", fmt.Errorf("the path %q has the segment %q", path, name)
		case strings.Contains(name, "\x00"):
			return "", errors.New("the path has a zero byte")
		case name != "":
			names = append(names, name)
		}
	}
	return strings.Join(names, "/"), nil
}
