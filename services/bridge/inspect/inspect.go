// Package inspect looks into single classic files for a person: a .zs file with the
// export in it, or an export alone. It changes nothing and keeps nothing.
package inspect

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"unicode/utf8"

	"synchro.example/services/bridge/pickle"
	"synchro.example/services/bridge/zexp"
	"synchro.example/services/bridge/zs"
)

// File is what is in a file.
type File struct {
	// Name is the file's, as it was asked for.
	Name string `json:"file"`
	// Refusal is set where a bridge would not take the file.
	Refusal *Refusal `json:"refusal"`
	Path    string   `json:"path"`
	UID     string   `json:"uid"`
	Parts   []Part   `json:"parts"`
	// Leaked counts values of other objects that are left out.
	Leaked int `json:"leaked"`
}

// Refusal says why.
type Refusal struct {
	// In is "zs" for the file's own pickle and "zexp" for the export in it; Offset is
	// counted from the beginning of that.
	In     string      `json:"in"`
	Code   pickle.Code `json:"code"`
	Offset int64       `json:"offset"`
	Name   string      `json:"name"`
	Reason string      `json:"reason"`

	text string
}

func (r *Refusal) String() string {
	if r.In == "zexp" {
		return "in the ZODB export, " + r.text
	}
	return r.text
}

// Part is one plugin's data.
type Part struct {
	Kind zs.Kind `json:"kind"`
	// Size is that of a zexp in bytes; Export is set where it is not refused.
	Size   int64        `json:"size,omitempty"`
	Export *zexp.Report `json:"export,omitempty"`
	Fields []Field      `json:"fields,omitempty"`
	ID     string       `json:"id,omitempty"`
}

// Field is one value of a fss part.
type Field struct {
	Path     string `json:"path"`
	Name     string `json:"name"`
	Size     int64  `json:"size"`
	Filename string `json:"filename"`
	MIMEType string `json:"mimetype"`
}

// Options say what is taken.
type Options struct {
	// Allowed are the globals of exports, nil for the built-in list.
	Allowed *zexp.List
	// Tolerant also takes pickles of protocols 1 and 2.
	Tolerant bool
}

// Open looks into the file of a name. A refusal is no error: it is part of the answer.
func Open(name string, o Options) (*File, error) {
	allowed := o.Allowed
	if allowed == nil {
		allowed = zexp.Default()
	}
	return look(name, o.Tolerant, func(r io.Reader) (*zexp.Report, error) { return zexp.Check(r, allowed) })
}

// Learn is Open for files that are trusted: every global of an export is permitted.
func Learn(name string) (*File, error) { return look(name, true, zexp.Learn) }

// examine reads an export.
type examine func(io.Reader) (*zexp.Report, error)

func look(name string, tolerant bool, do examine) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file := &File{Name: name, Parts: []Part{}}
	r := bufio.NewReader(f)
	if begin, _ := r.Peek(len(zexp.Magic)); string(begin) == zexp.Magic {
		err = file.exportAlone(f, r, do)
	} else {
		err = file.change(r, tolerant, do)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return file, nil
}

func (f *File) change(r io.Reader, tolerant bool, do examine) error {
	c, err := zs.Decode(r, zs.Options{Tolerant: tolerant})
	if err != nil {
		return f.refused("zs", err)
	}
	defer c.Close()
	f.Path, f.UID, f.Leaked = text(path.Join(c.Path...)), text(c.UID), c.Leaked
	for i := range c.Parts {
		if err := f.part(&c.Parts[i], do); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) part(p *zs.Part, do examine) error {
	if p.Kind == zs.ZEXP {
		r, err := p.Export.Open()
		if err != nil {
			return err
		}
		return errors.Join(f.export(r, p.Export.Size, do), r.Close())
	}
	found := Part{Kind: p.Kind, ID: text(p.ID)}
	for _, field := range p.Fields {
		found.Fields = append(found.Fields, Field{
			Path: text(field.Path), Name: text(field.Name), Size: field.File.Size,
			Filename: text(field.Filename), MIMEType: text(field.MIMEType),
		})
	}
	f.Parts = append(f.Parts, found)
	return nil
}

func (f *File) export(r io.Reader, size int64, do examine) error {
	report, err := do(r)
	f.Parts = append(f.Parts, Part{Kind: zs.ZEXP, Size: size, Export: report})
	return f.refused("zexp", err)
}

func (f *File) exportAlone(file *os.File, r io.Reader, do examine) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return f.export(r, info.Size(), do)
}

// refused keeps a refusal and gives back every other error.
func (f *File) refused(in string, err error) error {
	r, ok := pickle.AsRefusal(err)
	if ok {
		f.Refusal = &Refusal{In: in, Code: r.Code, Offset: r.Offset, Name: text(r.Name), Reason: r.Reason, text: r.Error()}
		return nil
	}
	return err
}

// text makes bytes fit for JSON: those that are no UTF-8 are taken for Latin-1, as each
// byte of that is a character.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, 0, len(s))
	for _, c := range []byte(s) {
		runes = append(runes, rune(c))
	}
	return string(runes)
}
