package pickle

// Frame is what a machine that follows opcodes works on: a stack with marks, and a memo. It
// looks into no value. What it hands out of the stack is valid until the next push.
type Frame struct {
	// At is the opcode at work.
	At int64
	// Limit is how many values and marks the stack may hold.
	Limit int
	// Memo has the values that can be referred to.
	Memo map[uint32]any

	stack []any
	marks []int // heights of the stack
}

// Refuse refuses the opcode at work.
func (f *Frame) Refuse(code Code, name, format string, args ...any) error {
	return Refuse(code, f.At, name, format, args...)
}

// Begin empties the stack. The memo stays.
func (f *Frame) Begin() { f.stack, f.marks = f.stack[:0], f.marks[:0] }

// Result is the value of a pickle at its end, which must be the only one.
func (f *Frame) Result() (any, error) {
	if len(f.stack) != 1 || len(f.marks) != 0 {
		return nil, f.Refuse(Stack, "", "the end, with %d values and %d marks on the stack", len(f.stack), len(f.marks))
	}
	return f.stack[0], nil
}

// floor is the height below which an opcode may not reach: the last mark's.
func (f *Frame) floor() int {
	if len(f.marks) == 0 {
		return 0
	}
	return f.marks[len(f.marks)-1]
}

func (f *Frame) room() error {
	if len(f.stack)+len(f.marks) >= f.Limit {
		return f.Refuse(Limit, "", "a stack of more than %d values", f.Limit)
	}
	return nil
}

// Push puts a value on the stack.
func (f *Frame) Push(v any) error {
	if err := f.room(); err != nil {
		return err
	}
	f.stack = append(f.stack, v)
	return nil
}

// Mark puts a mark on the stack.
func (f *Frame) Mark() error {
	if err := f.room(); err != nil {
		return err
	}
	f.marks = append(f.marks, len(f.stack))
	return nil
}

// Top gives the uppermost value.
func (f *Frame) Top() (any, error) {
	if len(f.stack) <= f.floor() {
		return nil, f.Refuse(Stack, "", "there is no value to work on")
	}
	return f.stack[len(f.stack)-1], nil
}

// Pop takes the uppermost value.
func (f *Frame) Pop() (any, error) {
	v, err := f.Top()
	if err == nil {
		f.stack = f.stack[:len(f.stack)-1]
	}
	return v, err
}

// PopN takes the n uppermost values, the lowest first.
func (f *Frame) PopN(n int) ([]any, error) {
	if len(f.stack)-n < f.floor() {
		return nil, f.Refuse(Stack, "", "there are fewer than %d values to work on", n)
	}
	return f.popTo(len(f.stack) - n), nil
}

// PopMark takes what lies above the last mark, and the mark.
func (f *Frame) PopMark() ([]any, error) {
	if len(f.marks) == 0 {
		return nil, f.Refuse(Stack, "", "there is no mark")
	}
	items := f.popTo(f.floor())
	f.marks = f.marks[:len(f.marks)-1]
	return items, nil
}

func (f *Frame) popTo(height int) []any {
	items := f.stack[height:]
	f.stack = f.stack[:height]
	return items
}

// Recall pushes a value of the memo.
func (f *Frame) Recall(key uint32) error {
	v, known := f.Memo[key]
	if !known {
		return f.Refuse(Memo, "", "memo %d has never been given", key)
	}
	return f.Push(v)
}
