package receiver

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"synchro.example/services/bridge/wire"
	"synchro.example/services/bridge/zexp"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// noForm is the fault of a change that no classic file can hold.
func noForm(format string, args ...any) error {
	return fault.Errorf(fault.Park, fault.Unsupported, format, args...)
}

// filesOfMove is the most that a change has.
const filesOfMove = 2

// files gives the classic form of a change: no file for a container that comes with its
// name only, which a classic site has to have, and two for a move.
func (t *Target) files(ctx context.Context, op *content.Op) ([]*zs.Change, error) {
	var files []*zs.Change
	if op.From != "" && op.From != op.To {
		if err := t.takes(content.PluginDelete); err != nil {
			return nil, err
		}
		files = append(files, deletion(op.Change, op.From))
	}
	if op.To == "" {
		return files, nil
	}
	parts, err := t.parts(ctx, op)
	switch {
	case err != nil:
		return nil, err
	case len(parts) > 0:
		return append(files, &zs.Change{Path: strings.Split(op.To, "/"), UID: wire.UID(op.Change), Parts: parts}), nil
	case op.Change.Object.Type == content.TypeFolder || len(op.Change.Payloads) == 0:
		if len(files) > 0 {
			return nil, noForm("%q was moved, and a classic queue cannot move a container without an export of it", op.From)
		}
		return nil, nil
	}
	return nil, noForm("%q has nothing but a %s payload, which has no form in a classic queue", op.To, op.Change.Payloads[0].Plugin)
}

func deletion(c *content.Change, at string) *zs.Change {
	ids := strings.Split(at, "/")
	return &zs.Change{Path: ids, UID: wire.UID(c), Parts: []zs.Part{{Kind: zs.Delete, ID: ids[len(ids)-1]}}}
}

func (t *Target) takes(plugin string) error {
	if slices.Contains(t.Accept, plugin) {
		return nil
	}
	return noForm("site %s takes no %s payloads; sites.%s.accept names %s", t.Site, plugin, t.Site, strings.Join(t.Accept, ", "))
}

// parts gives those that the payloads make. What content says beside others, such as a
// file's mode, is left out.
func (t *Target) parts(ctx context.Context, op *content.Op) ([]zs.Part, error) {
	var parts []zs.Part
	for i := range op.Change.Payloads {
		p := &op.Change.Payloads[i]
		if p.Plugin == content.PluginContent {
			continue
		}
		if err := t.takes(p.Plugin); err != nil {
			return nil, err
		}
		part, err := t.part(ctx, op, p)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(parts, func(other zs.Part) bool { return other.Kind == part.Kind }) {
			return nil, noForm("%q has two %s payloads, and a classic file has room for one", op.To, p.Plugin)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func (t *Target) part(ctx context.Context, op *content.Op, p *content.Payload) (zs.Part, error) {
	value := zs.Value{Size: p.Size, Open: func() (io.ReadCloser, error) { return op.Open(ctx, p) }}
	switch {
	case p.Plugin == content.PluginZEXP:
		return zs.Part{Kind: zs.ZEXP, Export: value}, t.check(value, op.To)
	case p.Plugin == content.PluginFSS && p.MediaType == wire.MediaFields:
		part, err := wire.Unpack(value)
		for i := range part.Fields {
			rebase(&part.Fields[i], op.To)
		}
		return part, err
	case p.Plugin == content.PluginFSS:
		id := path.Base(op.To)
		return zs.Part{Kind: zs.FSS, Fields: []zs.Field{field(id, p, value)}}, nil
	}
	return zs.Part{}, noForm("%q has a %s payload, which has no form in a classic queue", op.To, p.Plugin)
}

// rebase lets the path of a field begin with the id that the object has here.
func rebase(f *zs.Field, to string) {
	_, below, deeper := strings.Cut(f.Path, "/")
	f.Path = path.Base(to)
	if deeper {
		f.Path += "/" + below
	}
}

// field is the only one of an object.
func field(id string, p *content.Payload, value zs.Value) zs.Field {
	f := zs.Field{Path: id, Name: "file", Filename: id, MIMEType: p.MediaType, File: value}
	if len(p.Names) > 0 {
		f.Name = p.Names[0]
	}
	if len(p.Names) > 1 {
		f.Filename = p.Names[1]
	}
	f.Text = utf8.ValidString(f.Filename) && strings.ContainsFunc(f.Filename, func(r rune) bool { return r >= utf8.RuneSelf })
	return f
}

// check holds an export against the list of the site, before anything is written.
func (t *Target) check(v zs.Value, at string) error {
	r, err := v.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := zexp.Check(r, t.Allowed); err != nil {
		return fmt.Errorf("the export of %q: %w", at, err)
	}
	_, err = io.Copy(io.Discard, r) // the digest is checked at the end
	return err
}
