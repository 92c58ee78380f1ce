package zs

import (
	"synchro.example/services/bridge/pickle"
)

// What can lie on the machine's stack. Everything else is a byte string, str.
type (
	none   struct{}
	number struct{}
	text   string // unicode
	tuple  []any
	list   struct{ items []any }
	// dict holds few keys: nothing that belongs into a change has more than three.
	dict struct {
		keys   []string
		values []any
	}
	// instance is an object of one of the four classes, without state until BUILD.
	instance struct {
		class global
		state *dict
		at    int64
	}
)

// str is a byte string, in memory or in the spool.
type str struct {
	small string
	begin int64
	size  int64
	at    int64 // in the file that is read
}

func (s str) inline() bool { return s.size == int64(len(s.small)) }

// maxKeys bounds the search for a key that is given twice.
const maxKeys = 8

// global is what a file may name.
type global struct{ module, name string }

var (
	reconstructor = global{"copy_reg", "_reconstructor"}
	object        = global{"__builtin__", "object"}
)

// permitted has every global that may be named; true for those of which there may be
// instances.
var permitted = map[global]bool{
	reconstructor:             false,
	object:                    false,
	{module, changeClass}:     true,
	{module, classOf[ZEXP]}:   true,
	{module, classOf[FSS]}:    true,
	{module, classOf[Delete]}: true,
}

// machine follows a pickle's opcodes. It makes no object but those above.
type machine struct {
	src    *pickle.Source
	spool  *spool
	limits Limits
	table  *[256]operation
	stack  []any
	marks  []int // heights of the stack
	memo   map[uint32]any
	ops    int
	at     int64 // of the opcode at work
}

// operation does one opcode.
type operation func(*machine) error

const stop = '.'

// run follows the opcodes up to the end of the pickle and gives its one value.
func (m *machine) run() (any, error) {
	for {
		m.at = m.src.Offset()
		op, err := m.src.Byte()
		if err != nil {
			return nil, err
		}
		if m.ops++; m.ops > m.limits.Ops {
			return nil, m.refuse(pickle.Limit, "", "more than %d opcodes", m.limits.Ops)
		}
		if op == stop {
			return m.result()
		}
		do := m.table[op]
		if do == nil {
			return nil, m.refuse(pickle.Opcode, string([]byte{op}), "is an opcode that has no place here")
		}
		if err := do(m); err != nil {
			return nil, err
		}
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

// floor is the height below which an opcode may not reach: the last mark's.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

func (m *machine) push(v any) error {
	if len(m.stack)+len(m.marks) >= m.limits.Stack {
		return m.refuse(pickle.Limit, "", "a stack of more than %d values", m.limits.Stack)
	}
	m.stack = append(m.stack, v)
	return nil
}

func (m *machine) mark() error {
	if len(m.stack)+len(m.marks) >= m.limits.Stack {
		return m.refuse(pickle.Limit, "", "a stack of more than %d values", m.limits.Stack)
	}
	m.marks = append(m.marks, len(m.stack))
	return nil
}

func (m *machine) pop() (any, error) {
	v, err := m.top()
	if err == nil {
		m.stack[len(m.stack)-1] = nil
		m.stack = m.stack[:len(m.stack)-1]
	}
	return v, err
}

func (m *machine) top() (any, error) {
	if len(m.stack) <= m.floor() {
		return nil, m.refuse(pickle.Stack, "", "there is no value to work on")
	}
	return m.stack[len(m.stack)-1], nil
}

// popMark takes what lies above the last mark, and the mark.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, m.refuse(pickle.Stack, "", "there is no mark")
	}
	floor := m.floor()
	items := append([]any(nil), m.stack[floor:]...)
	clear(m.stack[floor:])
	m.stack = m.stack[:floor]
	m.marks = m.marks[:len(m.marks)-1]
	return items, nil
}

// popN takes the n uppermost values, the lowest first.
func (m *machine) popN(n int) ([]any, error) {
	if len(m.stack)-n < m.floor() {
		return nil, m.refuse(pickle.Stack, "", "there are fewer than %d values to work on", n)
	}
	from := len(m.stack) - n
	items := append([]any(nil), m.stack[from:]...)
	clear(m.stack[from:])
	m.stack = m.stack[:from]
	return items, nil
}

func (m *machine) remember(key uint32) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	if _, twice := m.memo[key]; twice {
		return m.refuse(pickle.Memo, "", "memo %d is given twice", key)
	}
	if len(m.memo) >= m.limits.Memo {
		return m.refuse(pickle.Limit, "", "a memo of more than %d values", m.limits.Memo)
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

// isData tells what may lie in a list, a dict or a state. A class is none of it.
func isData(v any) bool {
	_, isGlobal := v.(global)
	return !isGlobal
}
