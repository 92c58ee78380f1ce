// Package zs reads and writes what a classic queue's .zs file holds: a Python 2 pickle
// of one change.
//
// A pickle can run any program in whoever loads it, so nothing here loads one. The
// decoder follows the opcodes on a machine that knows four classes, one call and
// nothing else, and then asks whether the result is a change. The bytes of a foreign
// file are never sent on: what reaches a queue is what the encoder wrote, in the one
// form that every Python reads alike.
//
// File contents are not kept in memory: the decoder writes them into an unnamed file,
// the encoder reads them from wherever they are.
package zs

import (
	"bytes"
	"errors"
	"io"
)

// Change is one change of one object.
type Change struct {
	// Path leads from the site's root to the object; the last segment is its id.
	Path []string
	// UID names the object, "" when it has no uid.
	UID string
	// Parts are the data of the plugins, in the order in which they are applied. There is
	// at most one of each kind.
	Parts []Part
	// Leaked counts values of other objects that were left out. The classic exporter
	// repeats in each file what it has exported before, and its importer would set them all.
	Leaked int

	spool *spool
}

// Kind is a plugin's kind of data.
type Kind string

// The kinds.
const (
	ZEXP   Kind = "zexp"
	FSS    Kind = "fss"
	Delete Kind = "delete"
)

// Part is what one plugin has to say.
type Part struct {
	Kind Kind
	// Export is the ZODB export of a ZEXP.
	Export Value
	// Fields are those of an FSS, each once: where a file has one twice, the later one holds.
	Fields []Field
	// ID is the id that a Delete removes.
	ID string
}

// Field is the value of one field that lies in the file system.
type Field struct {
	// Path leads from the object's container to the object with the field.
	Path string
	// Name is the field's.
	Name string
	File Value
	// Filename is what the user called the file: text where Text is set, else bytes in
	// an encoding that only the site knows.
	Filename string
	Text     bool
	MIMEType string
}

// Value is a string of any size.
type Value struct {
	Size int64
	// Open gives the bytes, from their beginning each time.
	Open func() (io.ReadCloser, error)
}

// Bytes makes a value of what is in memory.
func Bytes(b []byte) Value {
	return Value{Size: int64(len(b)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

// section makes a value of a part of a file.
func section(r io.ReaderAt, at, size int64) Value {
	return Value{Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(r, at, size)), nil
	}}
}

// Close gives up what Decode has stored. Values must not be opened any more.
func (c *Change) Close() error {
	if c.spool == nil {
		return nil
	}
	err := c.spool.close()
	c.spool = nil
	return err
}

// Part gives the part of a kind, or nil.
func (c *Change) Part(k Kind) *Part {
	for i := range c.Parts {
		if c.Parts[i].Kind == k {
			return &c.Parts[i]
		}
	}
	return nil
}

// The module of the classic classes, and their names.
const (
	module      = "collective.synchro.data"
	changeClass = "SynchroData"
)

// classOf names each kind's class.
var classOf = map[Kind]string{ZEXP: "ZexpPluginData", FSS: "FssPluginData", Delete: "DeletePluginData"}

var (
	errSize    = errors.New("a value has not the size that it should have")
	errNoValue = errors.New("a part is without its value")
)
