package zexp

import (
	"slices"

	"synchro.example/services/bridge/pickle"
)

// What can lie on the machine's stack. The machine wants to know only what a value is
// when it is called, given a state, or is a reference, so that it keeps little of it.
type (
	data  struct{} // a number, a long string, a part of one
	none  struct{}
	word  string // a short string, of bytes or of text
	dict  struct{}
	ref   struct{} // a reference to an object of the database
	tuple struct{ first []any }
	list  struct{ first []any }
	// object is the result of a call or of a class that was made.
	object struct{}
)

const (
	maxWord = 256 // bytes of a string that are kept
	maxKept = 4   // items of a tuple or list that are kept
)

// machine follows the pickles of one record.
type machine struct {
	pickle.Frame
	*export
	// binary and inText tell how the memo's numbers are written. A reader that has both in
	// one memo keeps them apart, another one does not.
	binary, inText bool
	begun          bool // beyond the first opcode of a pickle
}

type operation func(*machine) error

const stop = '.'

// run follows one pickle and gives its value.
func (m *machine) run() (any, error) {
	m.Begin()
	m.begun = false
	for {
		m.At = m.src.Offset()
		op, err := m.src.Byte()
		if err != nil {
			return nil, err
		}
		if m.ops++; m.ops > maxOps {
			return nil, m.Refuse(pickle.Limit, "", "more than %d opcodes", maxOps)
		}
		if op == stop {
			return m.Result()
		}
		do := operations[op]
		if do == nil {
			return nil, m.Refuse(pickle.Opcode, string([]byte{op}), "is an opcode that has no place here")
		}
		if err := do(m); err != nil {
			return nil, err
		}
		m.begun = true
	}
}

func (m *machine) mixed() error {
	if m.binary && m.inText {
		return m.Refuse(pickle.Memo, "", "a memo with numbers in text and others in binary")
	}
	return nil
}

func (m *machine) remember(key uint32) error {
	v, err := m.Top()
	if err != nil {
		return err
	}
	if _, known := m.Memo[key]; !known && len(m.Memo) >= maxMemo {
		return m.Refuse(pickle.Limit, "", "a memo of more than %d values", maxMemo)
	}
	m.Memo[key] = v
	return nil
}

// kept copies the first items of a sequence, and one more than are ever asked for, so
// that a longer one is not taken for them.
func kept(items []any) []any { return slices.Clone(items[:min(len(items), maxKept+1)]) }

// class reads the first pickle of a record: a class, or a pair of a class and the
// arguments of its __new__. In a pair the class may be spelled as two strings.
func (m *machine) class(description any) (Name, error) {
	if t, ok := description.(tuple); ok && len(t.first) == 2 && isArguments(t.first[1]) {
		description = t.first[0]
		if t, ok := description.(tuple); ok && isSpelled(t) {
			n := Name{string(t.first[0].(word)), string(t.first[1].(word))}
			return n, m.use(m.At, n)
		}
	}
	if n, ok := description.(Name); ok {
		return n, nil
	}
	return Name{}, m.Refuse(pickle.Shape, "", "the first pickle of a record names no class")
}

func isArguments(v any) bool {
	switch v.(type) {
	case none, tuple:
		return true
	}
	return false
}

func isSpelled(t tuple) bool {
	if len(t.first) != 2 {
		return false
	}
	_, ok := t.first[0].(word)
	_, also := t.first[1].(word)
	return ok && also
}

// reference reads a persistent reference: an object's id, or that and its class. Those in
// lists are weak, or lead to another database, of which there is none here.
func (m *machine) reference(v any) error {
	weak := false
	if l, ok := v.(*list); ok {
		v, weak = weakTarget(l.first), true
	}
	if t, ok := v.(tuple); ok && !weak {
		if len(t.first) != 2 || !isClass(t.first[1]) {
			return m.Refuse(pickle.Reference, "", "a reference that is no id with a class")
		}
		v = t.first[0]
	}
	id, ok := v.(word)
	if !ok || len(id) != len(oid{}) {
		return m.Refuse(pickle.Reference, "", "a reference without an id, or into another database")
	}
	if !weak {
		if err := m.refer(m.At, oid([]byte(id))); err != nil {
			return err
		}
	}
	return m.Push(ref{})
}

func isClass(v any) bool {
	_, ok := v.(Name)
	return ok
}

// weakTarget gives the id in ['w', (id,)] or in [id], as old databases have it.
func weakTarget(items []any) any {
	if len(items) == 1 {
		return items[0]
	}
	if len(items) != 2 || items[0] != any(word("w")) {
		return nil
	}
	if t, ok := items[1].(tuple); ok && len(t.first) == 1 {
		return t.first[0]
	}
	return nil
}
