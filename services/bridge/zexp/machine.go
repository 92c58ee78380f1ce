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
	*export
	stack []any
	marks []int
	memo  map[uint32]any
	// binary and inText tell how the memo's numbers are written. A reader that has both in
	// one memo keeps them apart, another one does not.
	binary, inText bool
	begun          bool  // beyond the first opcode of a pickle
	at             int64 // of the opcode at work
}

type operation func(*machine) error

const stop = '.'

// run follows one pickle and gives its value.
func (m *machine) run() (any, error) {
	m.stack, m.marks, m.begun = m.stack[:0], m.marks[:0], false
	for {
		m.at = m.src.Offset()
		op, err := m.src.Byte()
		if err != nil {
			return nil, err
		}
		if m.ops++; m.ops > maxOps {
			return nil, m.refuse(pickle.Limit, "", "more than %d opcodes", maxOps)
		}
		if op == stop {
			return m.result()
		}
		do := operations[op]
		if do == nil {
			return nil, m.refuse(pickle.Opcode, string([]byte{op}), "is an opcode that has no place here")
		}
		if err := do(m); err != nil {
			return nil, err
		}
		m.begun = true
	}
}

func (m *machine) result() (any, error) {
	if len(m.stack) != 1 || len(m.marks) != 0 {
		return nil, m.refuse(pickle.Stack, "", "the end, with %d values and %d marks on the stack", len(m.stack), len(m.marks))
	}
	return m.stack[0], nil
}

func (m *machine) refuse(code pickle.Code, name, format string, args ...any) error {
	return pickle.Refuse(code, m.at, name, format, args...)
}

func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

func (m *machine) push(v any) error {
	if len(m.stack) >= maxStack {
		return m.refuse(pickle.Limit, "", "a stack of more than %d values", maxStack)
	}
	m.stack = append(m.stack, v)
	return nil
}

func (m *machine) mark() error {
	if len(m.marks) >= maxStack {
		return m.refuse(pickle.Limit, "", "more than %d marks", maxStack)
	}
	m.marks = append(m.marks, len(m.stack))
	return nil
}

func (m *machine) top() (any, error) {
	if len(m.stack) <= m.floor() {
		return nil, m.refuse(pickle.Stack, "", "there is no value to work on")
	}
	return m.stack[len(m.stack)-1], nil
}

func (m *machine) pop() (any, error) {
	v, err := m.top()
	if err == nil {
		m.stack = m.stack[:len(m.stack)-1]
	}
	return v, err
}

// popTo takes what lies above a height. The result is valid until the next push.
func (m *machine) popTo(height int) []any {
	items := m.stack[height:]
	m.stack = m.stack[:height]
	return items
}

func (m *machine) popN(n int) ([]any, error) {
	if len(m.stack)-n < m.floor() {
		return nil, m.refuse(pickle.Stack, "", "there are fewer than %d values to work on", n)
	}
	return m.popTo(len(m.stack) - n), nil
}

func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, m.refuse(pickle.Stack, "", "there is no mark")
	}
	items := m.popTo(m.floor())
	m.marks = m.marks[:len(m.marks)-1]
	return items, nil
}

func (m *machine) mixed() error {
	if m.binary && m.inText {
		return m.refuse(pickle.Memo, "", "a memo with numbers in text and others in binary")
	}
	return nil
}

func (m *machine) remember(key uint32) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	if _, known := m.memo[key]; !known && len(m.memo) >= maxMemo {
		return m.refuse(pickle.Limit, "", "a memo of more than %d values", maxMemo)
	}
	m.memo[key] = v
	return nil
}

func (m *machine) recall(key uint32) error {
	v, known := m.memo[key]
	if !known {
		return m.refuse(pickle.Memo, "", "memo %d has never been given", key)
	}
	return m.push(v)
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
			return n, m.use(m.at, n)
		}
	}
	if n, ok := description.(Name); ok {
		return n, nil
	}
	return Name{}, m.refuse(pickle.Shape, "", "the first pickle of a record names no class")
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
			return m.refuse(pickle.Reference, "", "a reference that is no id with a class")
		}
		v = t.first[0]
	}
	id, ok := v.(word)
	if !ok || len(id) != len(oid{}) {
		return m.refuse(pickle.Reference, "", "a reference without an id, or into another database")
	}
	if !weak {
		if err := m.refer(m.at, oid([]byte(id))); err != nil {
			return err
		}
	}
	return m.push(ref{})
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
