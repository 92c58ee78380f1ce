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
	pickle.Frame
	src    *pickle.Source
	spool  *spool
	limits Limits
	table  *[256]operation
	ops    int
}

// operation does one opcode.
type operation func(*machine) error

const stop = '.'

// run follows the opcodes up to the end of the pickle and gives its one value.
func (m *machine) run() (any, error) {
	for {
		m.At = m.src.Offset()
		op, err := m.src.Byte()
		if err != nil {
			return nil, err
		}
		if m.ops++; m.ops > m.limits.Ops {
			return nil, m.Refuse(pickle.Limit, "", "more than %d opcodes", m.limits.Ops)
		}
		if op == stop {
			return m.Result()
		}
		do := m.table[op]
		if do == nil {
			return nil, m.Refuse(pickle.Opcode, string([]byte{op}), "is an opcode that has no place here")
		}
		if err := do(m); err != nil {
			return nil, err
		}
	}
}

func (m *machine) remember(key uint32) error {
	v, err := m.Top()
	if err != nil {
		return err
	}
	if _, twice := m.Memo[key]; twice {
		return m.Refuse(pickle.Memo, "", "memo %d is given twice", key)
	}
	if len(m.Memo) >= m.limits.Memo {
		return m.Refuse(pickle.Limit, "", "a memo of more than %d values", m.limits.Memo)
	}
	m.Memo[key] = v
	return nil
}

// isData tells what may lie in a list, a dict or a state. A class is none of it.
func isData(v any) bool {
	_, isGlobal := v.(global)
	return !isGlobal
}
