//go:build unix

package sidecar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// place makes the ops that bring the object to its place and state: first what makes
// room and moves a container, then its files, the card, and what is left over.
func (p *plan) place(texts map[string][]byte) error {
	if p.have != nil && p.have.container != p.to.container {
		if p.have.uid != p.want.uid {
			return fault.Errorf(fault.Park, fault.PathTaken, "place %q: the %s with the UID %s stands there", p.op.To, p.have.typ, p.have.uid)
		}
		if err := p.removeHave(p.have.container); err != nil {
			return err
		}
		p.have = nil
	}
	if p.to.container {
		p.add(content.TypeFolder, p.folderFrom(), p.to.path, nil, nil)
	}
	for _, field := range slices.Sorted(maps.Keys(p.want.parts)) {
		p.placePart(field, texts)
	}
	b, err := p.want.encode(p.to.container)
	if err != nil {
		return err
	}
	p.placeBytes(p.haveCard(), p.to.card(), b)
	p.removeStale()
	return nil
}

// folderFrom is where a container's folder is now, if anywhere.
func (p *plan) folderFrom() string {
	if p.have != nil {
		return p.have.path
	}
	if p.isFolder(p.op.From) {
		return p.op.From
	}
	return ""
}

// now gives where a file of the object is, once a container has moved with it.
func (p *plan) now(ending string) string {
	if p.have == nil {
		return ""
	}
	if p.to.container {
		return p.to.file(ending)
	}
	return p.have.file(ending)
}

func (p *plan) haveCard() string {
	switch {
	case p.have == nil:
		return ""
	case p.to.container:
		return p.to.card()
	}
	return p.have.spot.card()
}

func (p *plan) placePart(field string, texts map[string][]byte) {
	to, from := p.to.file(p.want.parts[field]), ""
	if p.have != nil {
		if ending, ok := p.have.parts[field]; ok {
			from = p.now(ending)
		}
	}
	if b, ok := texts[field]; ok {
		p.placeBytes(from, to, b)
		return
	}
	if p.op.SameBytes && from == to && p.movesAlong(to) {
		return
	}
	payload := p.blob(field)
	p.add(content.TypeFile, p.staged(from, to), to, payload, p.op.Open)
}

// movesAlong tells whether a file is at its place as soon as its container has moved.
func (p *plan) movesAlong(to string) bool {
	if !p.moves() {
		return false
	}
	info, err := p.root.Lstat(p.before(to))
	return err == nil && info.Mode().IsRegular()
}

// moves tells whether the object is a container on its way.
func (p *plan) moves() bool { return p.to.container && p.have != nil && p.have.path != p.to.path }

// before gives where a file is before the container moves.
func (p *plan) before(to string) string { return p.have.path + strings.TrimPrefix(to, p.to.path) }

// staged gives the place that a file moves from. In a container that moves there is none
// when files are staged: it is made anew.
func (p *plan) staged(from, to string) string {
	if p.moves() {
		return ""
	}
	return from
}

// placeBytes writes a small file, unless it stands as it should.
func (p *plan) placeBytes(from, to string, b []byte) {
	at := from
	if p.moves() && from != "" {
		at = p.before(from)
	}
	same := false
	if at != "" {
		old, err := readFile(p.root, at)
		same = err == nil && bytes.Equal(old, b)
	}
	if same && p.moves() && from == to {
		return
	}
	payload := &content.Payload{Plugin: content.PluginFSS, Inline: b, SHA256: sha256.Sum256(b), Size: int64(len(b))}
	p.add(content.TypeFile, p.staged(from, to), to, payload, func(context.Context, *content.Payload) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	})
	p.ops[len(p.ops)-1].SameBytes = same && p.staged(from, to) != ""
}

type opener func(context.Context, *content.Payload) (io.ReadCloser, error)

// add makes an op on one file or folder.
func (p *plan) add(typ, from, to string, payload *content.Payload, open opener) {
	c := *p.op.Change
	c.Object.Type, c.Object.Path, c.Object.Name = typ, to, path.Base(to)
	c.CapturedAt, c.Payloads = p.modified(), nil
	if to == "" {
		c.Kind = content.Removed
	}
	op := content.Op{Change: &c, From: from, To: to, SameBytes: p.op.SameBytes, Open: open, Applied: func(print string) { p.prints[to] = print }}
	if payload != nil {
		c.Payloads = []content.Payload{*payload}
	}
	p.ops = append(p.ops, op)
}

// undated is the date of the files of an object that has none: always the same, so that
// what is written again is the same.
var undated = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// modified is the date that the files get: that of the object.
func (p *plan) modified() time.Time {
	s, _ := p.op.Change.Object.Meta["modified"].(string)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t
	}
	return undated
}

// removeStale takes away the files that the object does not have any more.
func (p *plan) removeStale() {
	if p.have == nil {
		return
	}
	keep := p.want.paths(p.to)
	for _, ending := range p.have.parts {
		if at := p.now(ending); !slices.Contains(keep, at) && !p.movedFrom(at) {
			p.add(content.TypeFile, at, "", nil, nil)
		}
	}
}

// movedFrom tells whether an op takes a file from a path.
func (p *plan) movedFrom(at string) bool {
	return slices.ContainsFunc(p.ops, func(op content.Op) bool { return op.From == at && op.To != "" })
}

// remove takes the object away.
func (p *plan) remove() error {
	if p.have != nil {
		return p.removeHave(p.have.container)
	}
	if p.isFolder(p.op.From) {
		p.add(content.TypeFolder, p.op.From, "", nil, nil)
	}
	return nil
}

func (p *plan) isFolder(at string) bool {
	if at == "" {
		return false
	}
	info, err := p.root.Lstat(at)
	return err == nil && info.IsDir()
}

// removeHave takes the files away, the card last, and the folder of a container that
// holds nothing else.
func (p *plan) removeHave(container bool) error {
	paths := p.have.paths(p.have.spot)
	if container {
		if err := p.onlyHolds(paths); err != nil {
			return err
		}
	}
	for _, at := range slices.Backward(paths) {
		p.add(content.TypeFile, at, "", nil, nil)
	}
	if container {
		p.add(content.TypeFolder, p.have.path, "", nil, nil)
	}
	return nil
}

func (p *plan) onlyHolds(own []string) error {
	d, err := p.root.Open(p.have.path)
	if err != nil {
		return fault.New(fault.Retry, fault.Unknown, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return fault.New(fault.Retry, fault.Unknown, err)
	}
	for _, name := range names {
		if at := join(p.have.path, name); !slices.Contains(own, at) {
			return fault.Errorf(fault.Retry, fault.NotEmpty, "remove %q: it holds %q", p.have.path, name)
		}
	}
	return nil
}

// applied tells the fingerprint that the object has now, if all of it is known.
func (p *plan) applied() {
	if p.op.Applied == nil || p.op.To == "" {
		return
	}
	h := handle{spot: p.to, card: content.Item{Fingerprint: p.prints[p.to.card()]}, parts: map[string]content.Item{}}
	for field, ending := range p.want.parts {
		h.parts[field] = content.Item{Fingerprint: p.prints[p.to.file(ending)]}
	}
	for _, at := range p.want.paths(p.to) {
		if p.prints[at] == "" {
			return
		}
	}
	p.op.Applied(h.fingerprint())
}
