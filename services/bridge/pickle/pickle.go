// Package pickle has what the two readers of foreign pickles stand on: a bounded
// source that knows its offset, the text forms of strings, and refusals. It knows no
// object and makes none. A pickle is a program; what may stand in one is decided by
// its reader, by a closed list, and never by what the program asks for.
package pickle

import (
	"errors"
	"fmt"
	"strconv"
)

// Code names why a file is refused. The list is closed; docs/classic-files.md has the
// same one for operators.
type Code string

// The codes.
const (
	Truncated Code = "truncated"  // the file ends too early
	Trailing  Code = "trailing"   // something stands behind the end
	Syntax    Code = "syntax"     // an argument is not written as its opcode wants it
	Opcode    Code = "opcode"     // an opcode that has no place in such a file
	Stack     Code = "stack"      // an opcode without what it works on
	Memo      Code = "memo"       // a reference to nothing, or a number given twice
	Global    Code = "global"     // a class or function that is not permitted
	Call      Code = "call"       // a call that is not permitted
	State     Code = "state"      // a state set where none may be set
	Shape     Code = "shape"      // well-formed, but not the value that belongs there
	Name      Code = "name"       // an id or path that must not reach a site
	Limit     Code = "limit"      // larger than what is accepted
	Structure Code = "structure"  // the records of an export do not fit together
	Reference Code = "reference"  // a reference that an export cannot have
	Magic     Code = "not-a-zexp" // no ZODB export at all
)

// Refusal is the answer to a file that is not taken.
type Refusal struct {
	Code Code
	// Offset is the byte, counted from zero, at which the refused thing begins.
	Offset int64
	// Name is the foreign text that it is about, as it was found. May be empty.
	Name string
	// Reason is a sentence's end, to be read behind the name.
	Reason string
}

// maxQuoted keeps a hostile name from flooding a log.
const maxQuoted = 200

func (r *Refusal) Error() string {
	text := r.Reason
	if r.Name != "" {
		text = r.QuotedName() + " " + text
	}
	return fmt.Sprintf("byte %d: %s (%s)", r.Offset, text, r.Code)
}

// QuotedName gives the name fit for logs and terminals, cut where it is long.
func (r *Refusal) QuotedName() string {
	if len(r.Name) > maxQuoted {
		return strconv.QuoteToASCII(r.Name[:maxQuoted]) + "…"
	}
	return strconv.QuoteToASCII(r.Name)
}

// Refuse makes a refusal.
func Refuse(code Code, offset int64, name, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Offset: offset, Name: name, Reason: fmt.Sprintf(format, args...)}
}

// AsRefusal finds the refusal in err. Any other error is one of reading or storing and
// says nothing about the file.
func AsRefusal(err error) (*Refusal, bool) { return errors.AsType[*Refusal](err) }
