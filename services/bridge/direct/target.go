package direct

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"synchro.example/services/bridge/zs"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/version"
)

// site applies changes to a target as the classic importer does to its site.
type site struct {
	target content.Target
	here   map[string]bool // paths that the site has
	clock  *version.Clock
	log    *slog.Logger
}

// To gives the way to apply changes to a target, which is listed first.
func To(ctx context.Context, target content.Target, log *slog.Logger) (func(context.Context, *zs.Change) error, error) {
	s := &site{target: target, here: map[string]bool{"": true}, clock: version.NewClock(0, nil), log: log}
	for item, err := range target.List(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list the site: %w", err)
		}
		s.here[item.Path] = true
	}
	return s.apply, nil
}

// apply does what a file says. As with the classic importer the container must be there,
// and the id need not be when it is deleted.
func (s *site) apply(ctx context.Context, c *zs.Change) error {
	at := strings.Join(c.Path, "/")
	if c.Part(zs.ZEXP) != nil {
		return fault.Errorf(fault.Park, fault.Unsupported, "%s: an export (zexp) can be loaded by a Zope only; the site must be a classic queue, with a Zope behind it that imports", at)
	}
	above := strings.Join(c.Path[:len(c.Path)-1], "/")
	if !s.here[above] {
		return fault.Errorf(fault.Park, fault.ParentMissing, "%s: the site has no %s", at, above)
	}
	if c.Part(zs.Delete) != nil {
		return s.remove(ctx, at)
	}
	p := c.Part(zs.FSS)
	if p == nil {
		return fault.Errorf(fault.Park, fault.Invalid, "%s: the file has no plugin's data", at)
	}
	return s.fields(ctx, c, p, above)
}

// fields sets the values of the object and of those below it. One that the site does not
// have is passed over, as the classic importer does, unless it is the object itself.
func (s *site) fields(ctx context.Context, c *zs.Change, p *zs.Part, above string) error {
	for n := range p.Fields {
		f := &p.Fields[n]
		if slices.ContainsFunc(p.Fields[:n], func(g zs.Field) bool { return g.Path == f.Path }) {
			return fault.Errorf(fault.Park, fault.Unsupported, "%s has values of several fields, and an object here has one", f.Path)
		}
	}
	for n := range p.Fields {
		f := &p.Fields[n]
		at := path.Join(above, f.Path)
		if !s.here[at] && f.Path != c.Path[len(c.Path)-1] {
			s.log.Info("a value is passed over: the site has no such object", "object", at)
			continue
		}
		if err := s.set(ctx, c, f, at); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

// set gives an object its one value.
func (s *site) set(ctx context.Context, c *zs.Change, f *zs.Field, at string) error {
	payload, err := describe(f)
	if err != nil {
		return err
	}
	op := s.op(at, content.Modified)
	op.To = at
	if s.here[at] {
		op.From = at
	}
	if c.UID != "" && f.Path == c.Path[len(c.Path)-1] {
		op.Change.Object.UID = c.UID
	}
	op.Change.Payloads = []content.Payload{payload}
	op.Change.Digest = content.DigestOf(op.Change.Payloads)
	op.Open = func(context.Context, *content.Payload) (io.ReadCloser, error) { return f.File.Open() }
	if err := s.target.Apply(ctx, []content.Op{op})[0]; err != nil {
		return err
	}
	s.here[at] = true
	return nil
}

// remove removes an object, what lies below it first.
func (s *site) remove(ctx context.Context, at string) error {
	var all []string
	for p := range s.here {
		if p == at || strings.HasPrefix(p, at+"/") {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(b, a) })
	for _, p := range all {
		op := s.op(p, content.Removed)
		op.From = p
		if err := s.target.Apply(ctx, []content.Op{op})[0]; err != nil {
			return err
		}
		delete(s.here, p)
	}
	return nil
}

func (s *site) op(at string, kind content.Kind) content.Op {
	return content.Op{Note: &content.Note{}, Change: &content.Change{
		ID: uuid.NewString(), Source: "queue", Kind: kind, Version: s.clock.Next(), CapturedAt: time.Now().UTC(),
		Object: content.Object{UID: at, Name: path.Base(at), Path: at, Type: content.TypeFile},
	}}
}

func describe(f *zs.Field) (content.Payload, error) {
	p := content.Payload{Plugin: content.PluginFSS, MediaType: f.MIMEType, Names: []string{f.Name, f.Filename}, Size: f.File.Size}
	r, err := f.File.Open()
	if err != nil {
		return p, err
	}
	defer r.Close()
	h := sha256.New()
	_, err = io.Copy(h, r)
	p.SHA256 = content.Digest(h.Sum(nil))
	return p, err
}
