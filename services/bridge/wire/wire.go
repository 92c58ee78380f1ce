// Package wire says how the data of a classic file travels in a change, which both ends of
// a bridge have to agree on.
//
// One value of a field of the object itself is the payload's own bytes, as a folder site has
// them, so that sites of both kinds understand each other. Any other list of values, such as
// those of all that lies in a folder, is one payload of the type MediaFields: a .zs file of
// our own encoding with that list and nothing else.
package wire

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"synchro.example/services/bridge/zs"
	"synchro.example/shared/content"
)

const (
	// MediaFields is the type of a payload with many values.
	MediaFields = "application/x-synchro-fields"
	// MediaExport is that of a ZODB export.
	MediaExport = "application/x-zope-export"
	// MetaUID is the key in an object's metadata for the uid that its classic site gave it,
	// which need not be unique there.
	MetaUID = "classic_uid"
)

// UID gives the uid that a classic file names.
func UID(c *content.Change) string {
	if uid, ok := c.Object.Meta[MetaUID].(string); ok {
		return uid
	}
	return c.Object.UID
}

// IsPlain tells whether a part of fields travels as the bytes of its only value.
func IsPlain(c *zs.Change, p *zs.Part) bool {
	if len(p.Fields) != 1 || p.Fields[0].Path != c.Path[len(c.Path)-1] {
		return false
	}
	f := &p.Fields[0]
	isASCII := !strings.ContainsFunc(f.Filename, func(r rune) bool { return r >= utf8.RuneSelf })
	return isASCII || f.Text
}

// Pack gives a part of fields as bytes.
func Pack(c *zs.Change, p *zs.Part) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		w.CloseWithError(zs.Encode(w, &zs.Change{Path: c.Path, UID: c.UID, Parts: []zs.Part{*p}}))
	}()
	return r
}

// Unpack reads what Pack wrote. The values stay open until they are collected.
func Unpack(v zs.Value) (zs.Part, error) {
	r, err := v.Open()
	if err != nil {
		return zs.Part{}, err
	}
	c, err := zs.Decode(r, zs.Options{})
	if err := errors.Join(err, r.Close()); err != nil {
		return zs.Part{}, err
	}
	if p := c.Part(zs.FSS); p != nil {
		return *p, nil
	}
	return zs.Part{}, errors.Join(errors.New("a list of fields is empty"), c.Close())
}
