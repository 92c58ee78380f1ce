package tales

import (
	"regexp"
	"strings"

	"go.starlark.net/starlark"
)

var variable = regexp.MustCompile(`\$(?:\$|\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*)|)`)

// interpolated compiles the text after string:.
func (s *source) interpolated(p span) (code, error) {
	var parts []code
	literal := func(text string) {
		v := starlark.String(text)
		parts = append(parts, func(*run) (starlark.Value, error) { return v, nil })
	}
	text, done := s.get(p), 0
	for _, m := range variable.FindAllStringSubmatchIndex(text, -1) {
		literal(text[done:m[0]])
		done = m[1]
		if text[m[0]:m[1]] == "$$" {
			literal("$")
			continue
		}
		path := span{p.start + m[2], p.start + m[3]}
		if m[2] < 0 {
			path = span{p.start + m[4], p.start + m[5]}
		}
		if m[2] < 0 && m[4] < 0 {
			return nil, place(p.start+m[0], reasonf("a single $ has no meaning; write $$ for the character, or ${object/getId}"))
		}
		c, err := s.path(path, callLast)
		if err != nil {
			return nil, err
		}
		parts = append(parts, c)
	}
	literal(text[done:])
	return joined(parts), nil
}

func joined(parts []code) code {
	return func(r *run) (starlark.Value, error) {
		var b strings.Builder
		for _, part := range parts {
			v, err := part(r)
			if err != nil {
				return nil, err
			}
			size, err := r.weigh(v)
			if err != nil {
				return nil, err
			}
			text, ok := starlark.AsString(v)
			if !ok {
				size *= escaped
			}
			if err := r.allocate(size); err != nil {
				return nil, err
			}
			if !ok {
				text = v.String()
			}
			b.WriteString(text)
		}
		return starlark.String(b.String()), nil
	}
}
