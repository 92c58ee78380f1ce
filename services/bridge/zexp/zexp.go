// Package zexp reads ZODB exports, as the classic zexp plugin carries them, and says
// whether a site may import one. It makes no object of one.
//
// An export is a list of records, each with two pickles: the class of an object, and its
// state. Whoever imports it loads them, so that each can run what it names. Check
// therefore holds every name against a list of the receiving site, calls against a
// second, shorter one, and the records against the rules that ZODB itself relies on
// without looking. What it cannot tell is what the classes of the list do with a state:
// an export is only for sites that trust its origin.
package zexp

import (
	"encoding/binary"
	"fmt"
	"io"

	"synchro.example/services/bridge/pickle"
	"synchro.example/shared/fault"
)

// Magic is what every export begins with. A site that is given anything else may take it
// for XML, or for nothing.
const Magic = "ZEXP"

const (
	blobMark   = "\x00BLOBSTART"
	headerSize = 16
)

// endMark stands where the next record's header would.
var endMark = [headerSize]byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
}

// The limits of an export.
const (
	maxSize    = 2 << 30
	maxRecords = 1_000_000
	maxOps     = 50_000_000 // of all records
	maxStack   = 1 << 18
	maxMemo    = 1_000_000 // of one record
)

// oid names an object within its export.
type oid [8]byte

// Report is what an export holds.
type Report struct {
	Size    int64 `json:"size"`
	Records int   `json:"records"`
	Blobs   int   `json:"blobs"`
	// Root is the class of the object that was exported.
	Root Name `json:"root"`
	// Dangling counts objects that are referred to and not there. An import takes them for
	// objects of the site that are still to come.
	Dangling int `json:"dangling"`
	// Names and Calls count the uses of each global, and of each that is called.
	Names map[Name]int `json:"names"`
	Calls map[Name]int `json:"calls"`
}

// Check reads a whole export and holds it against a list. An export that is refused gives
// a fault that wraps a *pickle.Refusal; any other error is one of reading r.
func Check(r io.Reader, allowed *List) (*Report, error) { return read(r, allowed) }

// Learn reads an export that is trusted, to find out which names it needs. It refuses
// what no list could permit.
func Learn(r io.Reader) (*Report, error) { return read(r, nil) }

func read(r io.Reader, allowed *List) (*Report, error) {
	e := &export{
		src: pickle.NewSource(r, pickle.Bound{
			At: maxSize, Code: pickle.Limit, Reason: fmt.Sprintf("the export has more than %d bytes", int64(maxSize)),
		}),
		allowed:  allowed,
		records:  map[oid]bool{},
		referred: map[oid]bool{},
		report:   Report{Names: map[Name]int{}, Calls: map[Name]int{}},
	}
	err := e.read()
	if _, refused := pickle.AsRefusal(err); refused {
		return nil, fault.New(fault.Park, fault.Invalid, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read a ZODB export: %w", err)
	}
	return &e.report, nil
}

// export is one being read.
type export struct {
	src      *pickle.Source
	allowed  *List // nil permits all
	records  map[oid]bool
	referred map[oid]bool
	ops      int
	report   Report
}

func (e *export) read() error {
	if begins, err := e.src.Begins(Magic); err != nil {
		return err
	} else if !begins {
		return pickle.Refuse(pickle.Magic, 0, "", "the file does not begin with %s", Magic)
	}
	if err := e.src.Copy(io.Discard, int64(len(Magic))); err != nil {
		return err
	}
	for {
		at := e.src.Offset()
		var header [headerSize]byte
		if err := e.src.Fill(header[:]); err != nil {
			return err
		}
		if header == endMark {
			return e.finish(at)
		}
		if err := e.record(at, oid(header[:8]), binary.BigEndian.Uint64(header[8:])); err != nil {
			return err
		}
	}
}

func (e *export) finish(at int64) error {
	if len(e.records) == 0 {
		return pickle.Refuse(pickle.Structure, at, "", "the export has no record")
	}
	end, err := e.src.AtEnd()
	if err != nil {
		return err
	}
	if !end {
		return pickle.Refuse(pickle.Trailing, e.src.Offset(), "", "something follows the end of the export")
	}
	for id := range e.referred {
		if !e.records[id] {
			e.report.Dangling++
		}
	}
	e.report.Size = e.src.Offset()
	e.report.Records = len(e.records)
	return nil
}

// record reads one, with the blob behind it.
func (e *export) record(at int64, id oid, size uint64) error {
	if err := e.admit(at, id, size); err != nil {
		return err
	}
	e.records[id] = true
	class, err := e.pickles(int64(size))
	if err != nil {
		return err
	}
	if len(e.records) == 1 {
		e.report.Root = class
	}
	marked, err := e.src.Begins(blobMark)
	if err != nil {
		return err
	}
	// Old readers look for the mark, new ones at the class.
	if isBlob := class == blobClass; marked != isBlob {
		return pickle.Refuse(pickle.Structure, e.src.Offset(), class.String(), "is a blob by its class or by its mark, but not by both")
	}
	if marked {
		return e.blob()
	}
	return nil
}

// admit looks at a record's header. The first record is the root of the export; an
// import ends at any other that nothing has referred to before.
func (e *export) admit(at int64, id oid, size uint64) error {
	switch {
	case e.records[id]:
		return pickle.Refuse(pickle.Structure, at, string(id[:]), "is the id of two records")
	case len(e.records) == maxRecords:
		return pickle.Refuse(pickle.Limit, at, "", "more than %d records", maxRecords)
	case len(e.records) > 0 && !e.referred[id]:
		return pickle.Refuse(pickle.Structure, at, string(id[:]), "is a record that none before it refers to")
	case size > maxSize || e.src.Offset()+int64(size) > maxSize:
		return pickle.Refuse(pickle.Limit, at, "", "a record of %d bytes", size)
	}
	return nil
}

// pickles reads the two of a record and gives the class that the first one names. They
// share one memo.
func (e *export) pickles(size int64) (Name, error) {
	outer := e.src.Rebound(pickle.Bound{
		At: e.src.Offset() + size, Code: pickle.Structure, Reason: "the record ends within a pickle",
	})
	m := &machine{export: e, Frame: pickle.Frame{Limit: maxStack, Memo: map[uint32]any{}}}
	description, err := m.run()
	if err != nil {
		return Name{}, err
	}
	class, err := m.class(description)
	if err != nil {
		return Name{}, err
	}
	if _, err := m.run(); err != nil {
		return Name{}, err
	}
	if !e.src.AtBound() {
		return Name{}, pickle.Refuse(pickle.Structure, e.src.Offset(), "", "something follows the second pickle of a record")
	}
	e.src.Rebound(outer)
	return class, nil
}

func (e *export) blob() error {
	at := e.src.Offset()
	var header [len(blobMark) + 8]byte
	if err := e.src.Fill(header[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint64(header[len(blobMark):])
	if size > maxSize {
		return pickle.Refuse(pickle.Limit, at, "", "a blob of %d bytes", size)
	}
	e.report.Blobs++
	return e.src.Copy(io.Discard, int64(size))
}

// refer notes that a state refers to an object.
func (e *export) refer(at int64, id oid) error {
	if len(e.referred) >= 2*maxRecords && !e.referred[id] {
		return pickle.Refuse(pickle.Limit, at, "", "references to more than %d objects", 2*maxRecords)
	}
	e.referred[id] = true
	return nil
}

// use holds the use of a global against the list.
func (e *export) use(at int64, n Name) error {
	if !n.valid() {
		return pickle.Refuse(pickle.Global, at, n.String(), "is no name of a class")
	}
	if e.allowed != nil && !e.allowed.names[n] {
		return pickle.Refuse(pickle.Global, at, n.String(), "is not on the site's list of permitted globals")
	}
	e.report.Names[n]++
	return nil
}

// call holds a call against the list.
func (e *export) call(at int64, n Name) error {
	if e.allowed != nil && !e.allowed.calls[n] {
		return pickle.Refuse(pickle.Call, at, n.String(), "may not be called, by the site's list of permitted globals")
	}
	e.report.Calls[n]++
	return nil
}
