//go:build unix

package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// plan is one op on an object, to be made into ops on files.
type plan struct {
	root   *os.Root
	op     *content.Op
	have   *standing         // the object as it stands now; nil when it does not
	to     spot              // where it is to be
	want   *card             // what it is to be
	prints map[string]string // fingerprints of its files, by path
	claims map[string]string // what other ops of the batch are about to write, by path
	ops    []content.Op
}

// standing is an object as it is in the tree.
type standing struct {
	spot
	*card
}

// make gives the ops on files.
func (p *plan) make(ctx context.Context) ([]content.Op, error) {
	if err := p.find(); err != nil {
		return nil, err
	}
	if p.op.To == "" {
		err := p.remove()
		return p.ops, err
	}
	texts, err := p.parse(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.claim(); err != nil {
		return nil, err
	}
	err = p.place(texts)
	return p.ops, err
}

// find looks for the object where it was, and, after a crash, where it was to go. What has
// that place is the object's to replace.
func (p *plan) find() error {
	uid := p.op.Change.Object.UID
	for _, at := range []string{p.op.From, p.op.To} {
		if at == "" {
			continue
		}
		for _, s := range []spot{{at, false}, {at, true}} {
			c, err := readCard(p.root, s.card())
			if err != nil {
				return err
			}
			if c != nil && (c.uid == uid || c.uid == "" || at == p.op.To) {
				p.have = &standing{s, c}
				return nil
			}
		}
	}
	return nil
}

// readCard is nil where no card is that can be read: the files are written anew then.
func readCard(root *os.Root, at string) (*card, error) {
	b, err := readFile(root, at)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.Retry, fault.Unknown, fmt.Errorf("read the card %q: %w", at, err))
	}
	c, err := decode(b)
	if err != nil {
		return nil, nil
	}
	return c, nil
}

// parse reads the content payload and takes the texts out of it. They are given by field.
func (p *plan) parse(ctx context.Context) (map[string][]byte, error) {
	o := &p.op.Change.Object
	folderish, _ := o.Meta["is_folderish"].(bool)
	p.to = spot{p.op.To, folderish || o.Type == "Folder" || len(p.op.Change.Payloads) == 0}
	p.want = &card{uid: o.UID, typ: o.Type, bare: len(p.op.Change.Payloads) == 0}
	if p.want.bare {
		return nil, nil
	}
	payload := p.op.Change.Payload(content.PluginContent)
	if payload == nil {
		return nil, p.invalid("the change has no content payload")
	}
	b, err := p.bytes(ctx, payload)
	if err != nil {
		return nil, err
	}
	if p.want.payload, err = object(b); err != nil {
		return nil, p.invalid("read the content payload: %w", err)
	}
	if text(p.want.payload, keyType) != o.Type {
		return nil, p.invalid("the payload is of a %q, the change of a %q", text(p.want.payload, keyType), o.Type)
	}
	p.want.name(p.to)
	out := map[string][]byte{}
	for field, m := range texts(p.want.payload) {
		out[field] = []byte(text(m, keyData))
		delete(m, keyData)
	}
	return out, p.check()
}

func (p *plan) invalid(format string, args ...any) error {
	return fault.New(fault.Park, fault.Invalid, fmt.Errorf("place %q: %w", p.op.To, fmt.Errorf(format, args...)))
}

func (p *plan) bytes(ctx context.Context, payload *content.Payload) ([]byte, error) {
	if payload.Blob == nil {
		return payload.Inline, nil
	}
	r, err := p.op.Open(ctx, payload)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := readLimited(r)
	if err != nil {
		return nil, fmt.Errorf("place %q: %w", p.op.To, err)
	}
	return b, nil
}

// check refuses fields that cannot be part of a name, and files without bytes.
func (p *plan) check() error {
	for field, ending := range p.want.parts {
		if strings.ContainsAny(ending, "/\x00") {
			return p.invalid("the field %q cannot be part of a file's name", field)
		}
		if files(p.want.payload)[field] != nil && p.blob(field) == nil {
			return p.invalid("the bytes of %s are missing", field)
		}
	}
	return nil
}

// blob is the payload with the bytes of a field.
func (p *plan) blob(field string) *content.Payload {
	for i := range p.op.Change.Payloads {
		if b := &p.op.Change.Payloads[i]; b.Plugin == content.PluginFSS && len(b.Names) > 0 && b.Names[0] == field {
			return b
		}
	}
	return nil
}

// claim makes sure that no file of the object is one of another.
func (p *plan) claim() error {
	uid := p.op.Change.Object.UID
	for _, at := range p.want.paths(p.to) {
		owner, other, err := ownerOf(p.root, at)
		if err != nil {
			return err
		}
		if batch, ok := p.claims[at]; ok && owner == "" {
			owner = batch
		}
		if owner != "" && owner != uid && other != p.op.To {
			return fault.Errorf(fault.Park, fault.PathTaken, "place %q: its file %q belongs to another object, %q with the UID %s", p.op.To, at, other, owner)
		}
		p.claims[at] = uid
	}
	return nil
}

// paths are the card and the files of an object.
func (c *card) paths(s spot) []string {
	paths := []string{s.card()}
	for _, field := range slices.Sorted(maps.Keys(c.parts)) {
		paths = append(paths, s.file(c.parts[field]))
	}
	return paths
}

// ownerOf gives UID and path of the object that a path is a card or a file of, if any.
func ownerOf(root *os.Root, at string) (uid, objectPath string, err error) {
	candidates := []string{at + suffix}
	dir, name := spot{path: at}.dir(), path.Base(at)
	for i := range len(name) {
		if name[i] == '.' && i > 0 {
			candidates = append(candidates, join(dir, name[:i]+suffix))
		}
	}
	if strings.HasPrefix(name, containerStem) && dir != "" {
		candidates = append(candidates, join(dir, suffix))
	}
	if strings.HasSuffix(name, suffix) {
		candidates = append(candidates, at)
	}
	for _, p := range candidates {
		s, ok := spotOf(p)
		if !ok {
			continue
		}
		c, err := readCard(root, p)
		if err != nil {
			return "", "", err
		}
		if c != nil && slices.Contains(c.paths(s), at) {
			return c.uid, s.path, nil
		}
	}
	return "", "", nil
}
