package tales

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// Error says what is wrong with an expression, and where.
type Error struct {
	Line, Column int // both from 1; columns are characters
	Reason       string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// maxReason is how many bytes of a reason are kept: it may quote a value.
const maxReason = 500

// reason is an error that knows no place yet.
type reason struct {
	text   string
	absent bool // what was asked for is not there: an alternative may be
}

func (r *reason) Error() string { return r.text }

func reasonf(format string, args ...any) error { return &reason{text: fmt.Sprintf(format, args...)} }

func absentf(format string, args ...any) error {
	return &reason{text: fmt.Sprintf(format, args...), absent: true}
}

func isAbsent(err error) bool {
	if p, ok := errors.AsType[*placed](err); ok {
		err = p.err
	}
	r, ok := errors.AsType[*reason](err)
	return ok && r.absent
}

// placed is an error at an offset of the source.
type placed struct {
	at  int
	err error
}

func (p *placed) Error() string { return p.err.Error() }

// place gives an error its offset; the innermost one stays.
func place(at int, err error) error {
	if _, ok := errors.AsType[*placed](err); ok || err == nil {
		return err
	}
	return &placed{at, err}
}

// source is the text of an expression.
type source struct {
	text string
	// constants bounds what all constants of the expression take together.
	constants *run
}

// located makes the error that is told.
func (s *source) located(at int, err error) error {
	if p, ok := errors.AsType[*placed](err); ok {
		at, err = p.at, p.err
	}
	text := err.Error()
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + " …"
	}
	before := s.text[:min(at, len(s.text))]
	line := strings.Count(before, "\n")
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &Error{Line: line + 1, Column: column + 1, Reason: text}
}

// span is a part of the source, by byte offsets.
type span struct{ start, end int }

func (s *source) get(p span) string { return s.text[p.start:p.end] }

// trim leaves out the space at both ends.
func (s *source) trim(p span) span {
	text := s.get(p)
	left := strings.TrimLeft(text, " \t\r\n")
	p.start += len(text) - len(left)
	p.end = p.start + len(strings.TrimRight(left, " \t\r\n"))
	return p
}

var prefix = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9_]*):`)

// kind splits the type off an expression; empty for a path.
func (s *source) kind(p span) (string, span) {
	m := prefix.FindStringSubmatchIndex(s.get(p))
	if m == nil {
		return "", p
	}
	return s.text[p.start+m[2] : p.start+m[3]], span{p.start + m[1], p.end}
}

// expression compiles any expression.
func (s *source) expression(p span) (code, error) {
	kind, rest := s.kind(p)
	switch kind {
	case "", "path", "standard":
		return s.path(rest, callLast)
	case "nocall":
		return s.path(rest, keepLast)
	case "exists":
		return s.path(rest, askLast)
	case "not":
		return s.not(rest)
	case "string", "str":
		return s.interpolated(rest)
	case "python":
		return s.python(rest)
	}
	hint := "the types are python:, path:, not:, exists:, nocall: and string:"
	if strings.HasPrefix(s.text[rest.start:], ":") {
		hint = "for a slice, begin with python:"
	}
	return nil, place(s.trim(p).start, reasonf("there is no expression type %s:; %s", kind, hint))
}

func (s *source) not(p span) (code, error) {
	inner, err := s.expression(p)
	if err != nil {
		return nil, err
	}
	return func(r *run) (starlark.Value, error) {
		v, err := inner(r)
		if err != nil {
			return nil, err
		}
		return !v.Truth(), nil
	}, nil
}
