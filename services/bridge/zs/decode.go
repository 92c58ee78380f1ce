package zs

import (
	"errors"
	"fmt"
	"io"

	"synchro.example/services/bridge/pickle"
	"synchro.example/shared/fault"
)

// Limits bound what a file may ask for.
type Limits struct {
	File   int64 // bytes of the file
	String int64 // bytes of one string
	Ops    int   // opcodes
	Stack  int   // values and marks on the stack at once
	Memo   int   // values that can be referred to
}

// DefaultLimits are for files that a person or a site makes.
func DefaultLimits() Limits {
	return Limits{File: 2 << 30, String: 512 << 20, Ops: 2_000_000, Stack: 4096, Memo: 1_000_000}
}

// Options say how to decode. The zero value decodes what the classic exporter writes.
type Options struct {
	// Limits, when zero, are the default ones.
	Limits Limits
	// Tolerant also takes protocols 1 and 2, which only files made by hand have.
	Tolerant bool
	// Dir is the folder for contents that do not stay in memory, "" for the system's.
	Dir string
}

// Decode reads a whole file: one pickle of one change, and nothing behind it. The caller
// closes the change. A file that is refused gives a fault that wraps a *pickle.Refusal;
// any other error is one of reading r or of storing, and may be gone the next time.
func Decode(r io.Reader, o Options) (*Change, error) {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	m := &machine{
		src: pickle.NewSource(r, pickle.Bound{
			At: o.Limits.File, Code: pickle.Limit, Reason: fmt.Sprintf("the file has more than %d bytes", o.Limits.File),
		}),
		spool:  &spool{dir: o.Dir},
		limits: o.Limits,
		table:  &strict,
		Frame:  pickle.Frame{Limit: o.Limits.Stack, Memo: map[uint32]any{}},
	}
	if o.Tolerant {
		m.table = &tolerant
	}
	c, err := m.decode()
	if err != nil {
		return nil, classed(errors.Join(err, m.spool.close()))
	}
	c.spool = m.spool
	return c, nil
}

func (m *machine) decode() (*Change, error) {
	v, err := m.run()
	if err != nil {
		return nil, err
	}
	if end, err := m.src.AtEnd(); err != nil {
		return nil, err
	} else if !end {
		return nil, pickle.Refuse(pickle.Trailing, m.src.Offset(), "", "something follows the end of the pickle")
	}
	if err := m.spool.flush(); err != nil {
		return nil, err
	}
	return m.change(v)
}

// classed makes a refusal a fault: the file stays as bad as it is.
func classed(err error) error {
	if _, refused := pickle.AsRefusal(err); refused {
		return fault.New(fault.Park, fault.Invalid, err)
	}
	return err
}
