// Package tales compiles and evaluates the expressions that say which objects
// belong to a channel, in the language of the classic tool: python:, paths with
// alternatives, not:, exists:, nocall: and string:.
//
// An expression reads one change and nothing else: no clock, no file, no site. So
// it has the same result whenever and wherever it is evaluated. It is compiled once
// and may be evaluated by many goroutines at the same time; one evaluation takes a
// bounded number of steps and a bounded amount of memory (MaxSteps, MaxMemory).
//
// python: is parsed by go.starlark.net and uses its values, operators and built-in
// functions. The tree is evaluated here and not by Starlark's own machine, which
// counts an instruction as one step however large its operands are: there,
// 'x' * 1000000000 costs one step and a gigabyte.
//
// # What the names read
//
// An object is read from content.Object. Where a list of keys is given, the first
// one of Object.Meta that is there, and is not nil, counts.
//
//	getId(), id, getName()             Object.Name
//	UID()                              Object.UID
//	getPhysicalPath(),                 Object.Path, below the site's root
//	absolute_url_path(), virtual_url_path()
//	portal_type, getPortalTypeName()   portal_type, @type; else Object.Type
//	Type()                             type_title; else portal_type as above
//	meta_type                          meta_type; else portal_type as above
//	Title(), title                     title; else ''
//	title_or_id()                      title; else Object.Name
//	Description(), description         description; else ''
//	Subject(), subject                 subjects, subject; else ()
//	Creator()                          creators, creator: the first; else ''
//	Creators(), listCreators(), creators   creators, creator; else ()
//	Contributors(), listContributors(), contributors   contributors; else ()
//	Rights(), rights                   rights; else ''
//	Language(), language               language; else ''
//	Format(), content_type, getContentType()   content_type, content-type, mime_type, format; else ''
//	review_state                       review_state; else ''
//	get_size()                         size, get_size; else 0
//	created(), creation_date           created, creation_date; else an error
//	modified(), modification_date      modified, modification_date; else Change.CapturedAt
//	effective()                        effective, effective_date; else 1969-12-31, as in CMF
//	expires()                          expires, expiration_date; else 2499-12-31, as in CMF
//	effective_date, expiration_date    the same keys; else None
//	is_folderish, isPrincipiaFolderish is_folderish; else whether Object.Type is "folder"
//	absolute_url()                     @id; else an error
//
// Dates are time.Time, or text in RFC 3339 or one of the forms that DateTime reads
// (docs/expressions.md). Lists may be []any, []string, or one text. Any other name
// is a field: the key of that name in Meta, also by an accessor (getFoo() reads
// foo). Maps in Meta become dicts whose keys can be written as attributes.
//
// docs/expressions.md describes the language for those who write expressions; a test
// runs each of its examples.
package tales

import (
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// maxSource is the longest expression, in bytes.
const maxSource = 8 << 10

// Expression is a compiled expression. Safe for concurrent use.
type Expression struct {
	src  *source
	code code
}

// code computes one value.
type code func(r *run) (starlark.Value, error)

// Compile checks an expression as far as that can be done without an object. An
// error is a fault of class Stop that wraps an *Error.
func Compile(text string) (*Expression, error) {
	src := &source{text: text}
	code, err := compile(src)
	if err != nil {
		return nil, fault.New(fault.Stop, fault.Misconfigured, src.located(0, err))
	}
	return &Expression{src: src, code: code}, nil
}

func compile(src *source) (code, error) {
	switch {
	case len(src.text) > maxSource:
		return nil, reasonf("the expression has %d bytes, the limit is %d", len(src.text), maxSource)
	case !utf8.ValidString(src.text):
		return nil, reasonf("the expression is not UTF-8")
	case strings.TrimSpace(src.text) == "":
		return nil, reasonf("the expression is empty; for everything, write python: True")
	}
	return src.expression(span{0, len(src.text)})
}

// Matches tells whether a change's object meets the expression. An error is a fault
// of class Park that wraps an *Error.
func (e *Expression) Matches(c *content.Change) (bool, error) {
	v, err := e.eval(c)
	if err != nil {
		return false, err
	}
	return bool(v.Truth()), nil
}

// Value gives the result itself: nil, bool, int64, float64, string, time.Time,
// []any, or map[string]any; of anything else, what it looks like.
func (e *Expression) Value(c *content.Change) (any, error) {
	v, err := e.eval(c)
	if err != nil {
		return nil, err
	}
	return toGo(v), nil
}

func (e *Expression) eval(c *content.Change) (starlark.Value, error) {
	r := borrow(c)
	defer r.giveBack()
	v, err := e.code(r)
	if err != nil {
		return nil, fault.Errorf(fault.Park, fault.BadExpression, "evaluate the expression for %q: %w",
			c.Object.Path, e.src.located(0, err))
	}
	return v, nil
}

// String gives the text that was compiled.
func (e *Expression) String() string { return e.src.text }
