package locate

import (
	"fmt"
	"strings"

	"synchro.example/shared/content"
)

// piece is text, or the name of something of the object.
type piece struct{ text, name string }

var names = map[string]func(c *content.Change, path, prefix string) string{
	"path":      func(_ *content.Change, path, _ string) string { return path },
	"path.tail": func(_ *content.Change, path, prefix string) string { return tail(path, prefix) },
	"name":      func(_ *content.Change, path, _ string) string { return path[strings.LastIndexByte(path, '/')+1:] },
	"type":      func(c *content.Change, _, _ string) string { return c.Object.Type },
	"source":    func(c *content.Change, _, _ string) string { return c.Source },
}

const knownNames = "{path}, {path.tail}, {name}, {type}, {source}"

// template reads the path of a rule.
func template(at string) (pieces []piece, err error) {
	if !strings.HasPrefix(at, "/") {
		return nil, fmt.Errorf("at is %q; write a path that begins with /, %s, or plugin:ID", at, Skip)
	}
	if !strings.Contains(at, "{") {
		at = strings.TrimSuffix(at, "/") + "/{path.tail}"
	}
	if _, err := clean(at); err != nil {
		return nil, fmt.Errorf("at: %w", err)
	}
	for rest := at; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		pieces = append(pieces, piece{text: text})
		if !found {
			break
		}
		name, behind, closed := strings.Cut(after, "}")
		switch {
		case !closed:
			return nil, fmt.Errorf("at is %q, and a { has no }", at)
		case names[name] == nil:
			return nil, fmt.Errorf("at is %q, and {%s} is not known; known: %s", at, name, knownNames)
		}
		pieces, rest = append(pieces, piece{name: name}), behind
	}
	return pieces, nil
}

func (p piece) of(c *content.Change, path, prefix string) string {
	if p.name == "" {
		return p.text
	}
	return names[p.name](c, path, prefix)
}

// tail is what a path has below a prefix of it.
func tail(path, prefix string) string {
	if prefix == "" {
		return path
	}
	return strings.TrimPrefix(strings.TrimPrefix(path, prefix), "/")
}
