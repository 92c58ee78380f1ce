package zexp

import (
	"io"
	"slices"

	"synchro.example/services/bridge/pickle"
)

// operations are those of protocols 0 to 3, without what ZODB never writes: extension
// codes, and the copying of a value.
var operations [256]operation

func init() { // the table's functions use the table's machine
	operations = [256]operation{
		'(':  (*machine).Mark,
		'0':  func(m *machine) error { _, err := m.Pop(); return err },
		'1':  func(m *machine) error { _, err := m.PopMark(); return err },
		'N':  constant(none{}),
		0x88: constant(data{}), // true
		0x89: constant(data{}), // false

		'I': line(maxDigits), 'L': line(maxDigits), 'F': line(maxDigits),
		'K': fixed(1), 'M': fixed(2), 'J': fixed(4), 'G': fixed(8),
		0x8a: long(1), 0x8b: long(4),

		'S': repr, 'V': text,
		'U': counted(1), 'T': counted(4), 'X': counted(4), 'C': counted(1), 'B': counted(4),

		')': constant(tuple{}), 't': markedTuple, 0x85: tupleOf(1), 0x86: tupleOf(2), 0x87: tupleOf(3),
		']': func(m *machine) error { return m.Push(&list{}) }, 'l': markedList,
		'}': constant(dict{}), 'd': markedDict,
		'a': appendItem, 'e': appendItems, 's': setItem, 'u': setItems,

		'p': lineKey((*machine).remember), 'q': key(1, (*machine).remember), 'r': key(4, (*machine).remember),
		'g': lineKey((*machine).Recall), 'h': key(1, (*machine).Recall), 'j': key(4, (*machine).Recall),

		'c': global, 'R': reduce, 'b': build, 'i': instance, 'o': objectOf, 0x81: newObject,
		'P': persistentLine, 'Q': persistent, 0x80: protocol,
	}
}

const (
	maxDigits   = 1000    // of a number in decimal, whose reading takes the square of that
	maxText     = 1 << 20 // bytes of a line of text
	maxLong     = 1 << 10 // bytes of a long number
	maxProtocol = 3
)

func constant(v any) operation { return func(m *machine) error { return m.Push(v) } }

func line(limit int) operation {
	return func(m *machine) error {
		if _, err := m.src.Line(limit); err != nil {
			return err
		}
		return m.Push(data{})
	}
}

func fixed(n int64) operation {
	return func(m *machine) error {
		if err := m.src.Copy(io.Discard, n); err != nil {
			return err
		}
		return m.Push(data{})
	}
}

func long(n int) operation {
	return func(m *machine) error {
		size, err := m.src.Uint(n)
		if err != nil {
			return err
		}
		if size > maxLong {
			return m.Refuse(pickle.Limit, "", "a number of %d bytes", size)
		}
		return fixed(int64(size))(m)
	}
}

// head keeps the beginning of a string and counts the rest.
type head struct {
	kept []byte
	size int64
}

func (h *head) Write(b []byte) (int, error) {
	h.size += int64(len(b))
	h.kept = append(h.kept, b[:min(len(b), maxWord-len(h.kept))]...)
	return len(b), nil
}

// WriteByte makes it a pickle.Sink.
func (h *head) WriteByte(c byte) error {
	_, err := h.Write([]byte{c})
	return err
}

func (m *machine) pushString(h *head) error {
	if h.size > int64(len(h.kept)) {
		return m.Push(data{})
	}
	return m.Push(word(h.kept))
}

func repr(m *machine) error {
	var h head
	if err := m.src.Repr(&h); err != nil {
		return err
	}
	return m.pushString(&h)
}

func text(m *machine) error {
	s, err := m.src.RawUnicode(maxText)
	if err != nil {
		return err
	}
	var h head
	_, _ = h.Write([]byte(s))
	return m.pushString(&h)
}

func counted(n int) operation {
	return func(m *machine) error {
		size, err := m.src.Uint(n)
		if err != nil {
			return err
		}
		var h head
		if err := m.src.Copy(&h, int64(size)); err != nil {
			return err
		}
		return m.pushString(&h)
	}
}

func markedTuple(m *machine) error {
	items, err := m.PopMark()
	if err != nil {
		return err
	}
	return m.Push(tuple{kept(items)})
}

func tupleOf(n int) operation {
	return func(m *machine) error {
		items, err := m.PopN(n)
		if err != nil {
			return err
		}
		return m.Push(tuple{kept(items)})
	}
}

func markedList(m *machine) error {
	items, err := m.PopMark()
	if err != nil {
		return err
	}
	return m.Push(&list{kept(items)})
}

func markedDict(m *machine) error {
	items, err := m.PopMark()
	if err != nil {
		return err
	}
	if len(items)%2 != 0 {
		return m.Refuse(pickle.Stack, "", "a key without its value")
	}
	return m.Push(dict{})
}

func appendItem(m *machine) error {
	items, err := m.PopN(1)
	if err != nil {
		return err
	}
	return m.extend(items)
}

func appendItems(m *machine) error {
	items, err := m.PopMark()
	if err != nil {
		return err
	}
	return m.extend(items)
}

// extend appends to a list, or to a new object, as for a class that is made of a list.
func (m *machine) extend(items []any) error {
	to, err := m.Top()
	if err != nil {
		return err
	}
	switch to := to.(type) {
	case *list:
		if len(to.first) <= maxKept {
			// The items lie behind the list on the stack, so that a copy is needed.
			to.first = kept(append(slices.Clone(to.first), items...))
		}
		return nil
	case object:
		return nil
	}
	return m.Refuse(pickle.Stack, "", "there is no list to append to")
}

func setItem(m *machine) error {
	if _, err := m.PopN(2); err != nil {
		return err
	}
	return m.update()
}

func setItems(m *machine) error {
	items, err := m.PopMark()
	if err != nil {
		return err
	}
	if len(items)%2 != 0 {
		return m.Refuse(pickle.Stack, "", "a key without its value")
	}
	return m.update()
}

func (m *machine) update() error {
	to, err := m.Top()
	if err != nil {
		return err
	}
	switch to.(type) {
	case dict, object:
		return nil
	}
	return m.Refuse(pickle.Stack, "", "there is no dict to set a key of")
}

func lineKey(do func(*machine, uint32) error) operation {
	return func(m *machine) error {
		n, err := m.src.Digits()
		if err != nil {
			return err
		}
		m.inText = true
		if err := m.mixed(); err != nil {
			return err
		}
		return do(m, n)
	}
}

func key(n int, do func(*machine, uint32) error) operation {
	return func(m *machine) error {
		k, err := m.src.Uint(n)
		if err != nil {
			return err
		}
		m.binary = true
		if err := m.mixed(); err != nil {
			return err
		}
		return do(m, uint32(k))
	}
}

func global(m *machine) error {
	n, err := m.name()
	if err != nil {
		return err
	}
	return m.Push(n)
}

func persistentLine(m *machine) error {
	id, err := m.src.Line(maxWord)
	if err != nil {
		return err
	}
	return m.reference(word(id))
}

func persistent(m *machine) error {
	id, err := m.Pop()
	if err != nil {
		return err
	}
	return m.reference(id)
}

func protocol(m *machine) error {
	version, err := m.src.Byte()
	if err != nil {
		return err
	}
	if m.begun || version > maxProtocol {
		return m.Refuse(pickle.Opcode, "", "protocol %d, or not at the beginning", version)
	}
	return nil
}
