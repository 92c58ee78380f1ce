package zs

import (
	"regexp"
	"slices"
	"unicode/utf8"

	"synchro.example/services/bridge/pickle"
)

// strict is what Python 2 writes by protocol 0, which is what the classic exporter uses.
var strict = [256]operation{
	'(': (*machine).Mark,
	'N': func(m *machine) error { return m.Push(none{}) },
	'I': integer,
	'S': repr,
	'V': rawUnicode,
	'c': named,
	'd': marked(func(m *machine) error { return m.Push(&dict{}) }),
	'l': marked(func(m *machine) error { return m.Push(&list{}) }),
	't': markedTuple,
	'p': lineKey((*machine).remember),
	'g': lineKey((*machine).Recall),
	's': setItem,
	'a': appendItem,
	'R': reduce,
	'b': build,
}

// tolerant adds what Python 2 writes by protocols 1 and 2, for files made by hand.
var tolerant = func() (table [256]operation) {
	table = strict
	table['U'] = counted(1)
	table['T'] = counted(4)
	table['X'] = countedText
	table[']'] = func(m *machine) error { return m.Push(&list{}) }
	table['}'] = func(m *machine) error { return m.Push(&dict{}) }
	table[')'] = func(m *machine) error { return m.Push(tuple{}) }
	table['e'] = appendItems
	table['u'] = setItems
	table['q'] = binaryKey(1, (*machine).remember)
	table['r'] = binaryKey(4, (*machine).remember)
	table['h'] = binaryKey(1, (*machine).Recall)
	table['j'] = binaryKey(4, (*machine).Recall)
	table[0x80] = protocol
	table[0x81] = newObject
	table[0x85] = tupleOf(1)
	table[0x86] = tupleOf(2)
	table[0x87] = tupleOf(3)
	return table
}()

const (
	maxLine = 256      // of a global's module or name
	maxText = 16 << 10 // of a unicode string, as it is written
)

var integerPattern = regexp.MustCompile(`^-?[0-9]{1,10}$`)

// integer reads a number or a truth value. Nothing in a change is one, so that only its
// form matters.
func integer(m *machine) error {
	line, err := m.src.Line(maxLine)
	if err != nil {
		return err
	}
	if !integerPattern.MatchString(line) {
		return m.Refuse(pickle.Syntax, line, "is not a number")
	}
	return m.Push(number{})
}

func (m *machine) sink() *sink {
	return &sink{spool: m.spool, src: m.src, limit: m.limits.String}
}

func (m *machine) pushString(k *sink) error {
	m.spool.small += len(k.small)
	return m.Push(str{small: string(k.small), begin: k.begin, size: k.size, at: m.At})
}

func repr(m *machine) error {
	k := m.sink()
	if err := m.src.Repr(k); err != nil {
		return err
	}
	return m.pushString(k)
}

func rawUnicode(m *machine) error {
	s, err := m.src.RawUnicode(maxText)
	if err != nil {
		return err
	}
	return m.pushText(s)
}

func (m *machine) pushText(s string) error {
	if m.spool.small += len(s); m.spool.small > maxInline {
		return m.Refuse(pickle.Limit, "", "names of more than %d bytes altogether", maxInline)
	}
	return m.Push(text(s))
}

func named(m *machine) error {
	from, err := m.src.Line(maxLine)
	if err != nil {
		return err
	}
	name, err := m.src.Line(maxLine)
	if err != nil {
		return err
	}
	g := global{from, name}
	if _, known := permitted[g]; !known {
		return m.Refuse(pickle.Global, from+"."+name, "has no place in a .zs file")
	}
	return m.Push(g)
}

// marked is for the opcodes that make an empty value and take away the mark before it.
func marked(do operation) operation {
	return func(m *machine) error {
		items, err := m.PopMark()
		if err != nil {
			return err
		}
		if len(items) > 0 {
			return m.Refuse(pickle.Stack, "", "a value that is filled in a way in which Python does not")
		}
		return do(m)
	}
}

func markedTuple(m *machine) error {
	items, err := m.PopMark()
	if err != nil {
		return err
	}
	return m.Push(tuple(slices.Clone(items)))
}

func lineKey(do func(*machine, uint32) error) operation {
	return func(m *machine) error {
		key, err := m.src.Digits()
		if err != nil {
			return err
		}
		return do(m, key)
	}
}

func appendItem(m *machine) error {
	v, err := m.Pop()
	if err != nil {
		return err
	}
	return m.extend([]any{v})
}

func (m *machine) extend(items []any) error {
	v, err := m.Top()
	if err != nil {
		return err
	}
	to, ok := v.(*list)
	if !ok {
		return m.Refuse(pickle.Stack, "", "there is no list to append to")
	}
	for _, item := range items {
		if !isData(item) {
			return m.Refuse(pickle.Shape, "", "a class as a value")
		}
	}
	to.items = append(to.items, items...)
	return nil
}

func setItem(m *machine) error {
	pair, err := m.PopN(2)
	if err != nil {
		return err
	}
	return m.update(pair)
}

// update sets keys and values that follow each other.
func (m *machine) update(pairs []any) error {
	v, err := m.Top()
	if err != nil {
		return err
	}
	to, ok := v.(*dict)
	if !ok || len(pairs)%2 != 0 {
		return m.Refuse(pickle.Stack, "", "there is no dict to set a key of")
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := m.set(to, pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) set(to *dict, k, value any) error {
	key, ok := k.(str)
	switch {
	case !ok || !key.inline():
		return m.Refuse(pickle.Shape, "", "a key that is no short byte string")
	case !isData(value):
		return m.Refuse(pickle.Shape, key.small, "is the key of a class, which is no value")
	case to.get(key.small) != nil:
		return m.Refuse(pickle.Shape, key.small, "is a key that is given twice")
	case len(to.keys) == maxKeys:
		return m.Refuse(pickle.Shape, key.small, "is one key too many")
	}
	to.keys = append(to.keys, key.small)
	to.values = append(to.values, value)
	return nil
}

// get gives the value of a key, or nil.
func (d *dict) get(key string) any {
	for i, k := range d.keys {
		if k == key {
			return d.values[i]
		}
	}
	return nil
}

// reduce makes an instance by the one permitted call, _reconstructor(class, object, None).
func reduce(m *machine) error {
	pair, err := m.PopN(2)
	if err != nil {
		return err
	}
	args, ok := pair[1].(tuple)
	if pair[0] != any(reconstructor) || !ok || len(args) != 3 {
		return m.Refuse(pickle.Call, nameOf(pair[0]), "may not be called like this")
	}
	return m.instantiate(args[0], args[1] == any(object) && args[2] == any(none{}))
}

func (m *machine) instantiate(class any, asPermitted bool) error {
	g, ok := class.(global)
	if !ok || !permitted[g] || !asPermitted {
		return m.Refuse(pickle.Call, nameOf(class), "may not be made like this")
	}
	return m.Push(&instance{class: g, at: m.At})
}

func nameOf(v any) string {
	if g, ok := v.(global); ok {
		return g.module + "." + g.name
	}
	return ""
}

// build gives an instance its state, once.
func build(m *machine) error {
	pair, err := m.PopN(2)
	if err != nil {
		return err
	}
	to, ok := pair[0].(*instance)
	state, isDict := pair[1].(*dict)
	if !ok || !isDict || to.state != nil {
		return m.Refuse(pickle.State, "", "a state that is no dict, or of what can have none")
	}
	// What the dict gets later is not the instance's.
	to.state = &dict{slices.Clone(state.keys), slices.Clone(state.values)}
	return m.Push(to)
}

func protocol(m *machine) error {
	version, err := m.src.Byte()
	if err != nil {
		return err
	}
	if m.ops != 1 || version > 2 {
		return m.Refuse(pickle.Opcode, "", "protocol %d, or not at the beginning", version)
	}
	return nil
}

// counted reads a byte string with its length, a number of n bytes, before it.
func counted(n int) operation {
	return func(m *machine) error {
		size, err := m.src.Uint(n)
		if err != nil {
			return err
		}
		k := m.sink()
		if err := m.src.Copy(k, int64(size)); err != nil {
			return err
		}
		return m.pushString(k)
	}
}

// countedText reads a unicode string with its length before it.
func countedText(m *machine) error {
	size, err := m.src.Uint(4)
	if err != nil {
		return err
	}
	if size > maxText {
		return m.Refuse(pickle.Limit, "", "a unicode string of %d bytes", size)
	}
	raw := make([]byte, size)
	if err := m.src.Fill(raw); err != nil {
		return err
	}
	if !utf8.Valid(raw) {
		return m.Refuse(pickle.Syntax, string(raw), "is no UTF-8")
	}
	return m.pushText(string(raw))
}

func binaryKey(n int, do func(*machine, uint32) error) operation {
	return func(m *machine) error {
		key, err := m.src.Uint(n)
		if err != nil {
			return err
		}
		return do(m, uint32(key))
	}
}

func appendItems(m *machine) error {
	items, err := m.PopMark()
	if err != nil {
		return err
	}
	return m.extend(items)
}

func setItems(m *machine) error {
	pairs, err := m.PopMark()
	if err != nil {
		return err
	}
	return m.update(pairs)
}

func newObject(m *machine) error {
	pair, err := m.PopN(2)
	if err != nil {
		return err
	}
	args, ok := pair[1].(tuple)
	return m.instantiate(pair[0], ok && len(args) == 0)
}

func tupleOf(n int) operation {
	return func(m *machine) error {
		items, err := m.PopN(n)
		if err != nil {
			return err
		}
		return m.Push(tuple(slices.Clone(items)))
	}
}
