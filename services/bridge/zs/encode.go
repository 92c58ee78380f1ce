package zs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"synchro.example/services/bridge/pickle"
	"synchro.example/shared/fault"
)

// Encode writes a change as the classic exporter would: protocol 0, in printable ASCII,
// without references, so that any Python's readers find the same in it. Contents are
// read while they are written. What Decode would refuse is not written.
func Encode(w io.Writer, c *Change) error {
	if err := check(c); err != nil {
		return fault.Errorf(fault.Park, fault.NameRefused, "write a .zs file: %w", err)
	}
	e := &encoder{w: bufio.NewWriterSize(w, 64<<10)}
	e.open(changeClass)
	e.str("path")
	e.text("(")
	for _, id := range c.Path {
		e.str(id)
	}
	e.text("ts")
	e.str("uid")
	e.str(c.UID)
	e.text("s")
	e.str("datas")
	e.text("(l")
	for i := range c.Parts {
		e.part(&c.Parts[i])
	}
	e.text("sb.")
	if e.err != nil {
		return fmt.Errorf("write a .zs file: %w", e.err)
	}
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("write a .zs file: %w", err)
	}
	return nil
}

// check holds a change to the rules by which Decode reads one.
func check(c *Change) error {
	if id, problem := badPath(c.Path); problem != "" {
		return fmt.Errorf("%q: %s", id, problem)
	}
	if problem := badWord(c.UID); problem != "" {
		return fmt.Errorf("uid %q %s", c.UID, problem)
	}
	seen := map[Kind]bool{}
	for i := range c.Parts {
		p := &c.Parts[i]
		if classOf[p.Kind] == "" || seen[p.Kind] {
			return fmt.Errorf("a part of kind %q is unknown, or comes twice", p.Kind)
		}
		seen[p.Kind] = true
		switch {
		case p.Kind == Delete && p.ID != c.id():
			return fmt.Errorf("%q is to be deleted, but the path ends in %q", p.ID, c.id())
		case p.Kind == ZEXP && p.Export.Open == nil:
			return errNoValue
		}
		if err := checkFields(c, p.Fields); err != nil {
			return err
		}
	}
	return nil
}

func checkFields(c *Change, fields []Field) error {
	for i := range fields {
		f := &fields[i]
		if firstID(f.Path) != c.id() {
			return fmt.Errorf("the field of %q is none of %q", f.Path, c.id())
		}
		if problem := badField(f); problem != "" {
			return errors.New(problem)
		}
		if f.File.Open == nil {
			return errNoValue
		}
	}
	return nil
}

// badField says what is wrong with the names around a field's value.
func badField(f *Field) string {
	if id, problem := badPath(strings.Split(f.Path, "/")); problem != "" {
		return fmt.Sprintf("the field's object %q: %q %s", f.Path, id, problem)
	}
	switch {
	case f.Name == "":
		return "a field has no name"
	case f.Text && !utf8.ValidString(f.Filename):
		return fmt.Sprintf("the file name %q is no text", f.Filename)
	case len(f.Filename) > maxName:
		return fmt.Sprintf("the file name has %d bytes", len(f.Filename))
	}
	for _, word := range []string{f.Path, f.Name, f.MIMEType} {
		if problem := badWord(word); problem != "" {
			return fmt.Sprintf("%q %s", word, problem)
		}
	}
	return ""
}

// encoder keeps the first error and does nothing after it.
type encoder struct {
	w   *bufio.Writer
	err error
}

func (e *encoder) text(s string) {
	if e.err == nil {
		_, e.err = e.w.WriteString(s)
	}
}

// open begins an instance of a class, up to its state.
func (e *encoder) open(class string) {
	e.text("ccopy_reg\n_reconstructor\n(c" + module + "\n" + class + "\nc__builtin__\nobject\nNtR(d")
}

func (e *encoder) str(s string) {
	if e.err == nil {
		e.text("S")
	}
	e.repr(strings.NewReader(s), int64(len(s)))
}

func (e *encoder) repr(r io.Reader, size int64) {
	if e.err != nil {
		return
	}
	n, err := pickle.WriteRepr(e.w, r)
	if err == nil && n != size {
		err = fmt.Errorf("%w: %d bytes, not %d", errSize, n, size)
	}
	e.err = err
}

func (e *encoder) value(v Value) {
	if e.err != nil {
		return
	}
	r, err := v.Open()
	if err != nil {
		e.err = err
		return
	}
	e.text("S")
	e.repr(r, v.Size)
	e.err = errors.Join(e.err, r.Close())
}

func (e *encoder) part(p *Part) {
	e.open(classOf[p.Kind])
	e.str("data")
	switch p.Kind {
	case ZEXP:
		e.value(p.Export)
	case Delete:
		e.str(p.ID)
	case FSS:
		e.text("(l")
		for i := range p.Fields {
			e.field(&p.Fields[i])
		}
	}
	e.text("sba")
}

func (e *encoder) field(f *Field) {
	e.text("(l")
	e.str(f.Path)
	e.text("a")
	e.str(f.Name)
	e.text("a(d")
	e.str("file")
	e.value(f.File)
	e.text("s")
	e.str("filename")
	if f.Text {
		e.text("V" + pickle.RawUnicodeOf(f.Filename) + "\n")
	} else {
		e.str(f.Filename)
	}
	e.text("s")
	e.str("mimetype")
	e.str(f.MIMEType)
	e.text("saa")
}
