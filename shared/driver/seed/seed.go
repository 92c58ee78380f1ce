// Package seed is the driver for exports of a Plone site in files: what plone.exportimport
// writes, as a folder or a zip, and the JSON that collective.exportimport writes on older
// sites, 4.3 and later. An export is a source only.
//
// It is read piece by piece, whatever its size: the listing keeps where each object lies,
// and bytes go from the export to whoever reads them.
//
// Not read: users, comments, portlets, sharing, redirects, default pages, versions.
package seed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"sync"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Options say where an export lies.
type Options struct {
	// Path is a folder or a zip of plone.exportimport, a JSON file of
	// collective.exportimport, or a folder with such files.
	Path string
	// Log gets what was left out and why; nil means slog.Default.
	Log *slog.Logger
}

// OpenSource makes a source of an export. It need not be there yet.
func OpenSource(o Options) (content.Source, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &source{opts: o, reported: map[string]string{}}, nil
}

// source keeps the index of the export as it was when it was last listed.
type source struct {
	opts Options

	mu       sync.Mutex
	files    *files
	old      []*files // what reads may still be going on in
	index    *index
	reported map[string]string // why, by path
}

var _ content.Source = (*source)(nil)

// Close ends all reading.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range append(s.old, s.files) {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	s.files, s.old = nil, nil
	return errors.Join(errs...)
}

// List yields the objects of the export, containers first.
func (s *source) List(ctx context.Context) iter.Seq2[content.Item, error] {
	return func(yield func(content.Item, error) bool) {
		x, err := s.look(ctx)
		if err != nil {
			yield(content.Item{}, s.listFault(ctx, err))
			return
		}
		for _, e := range x.entries {
			if err := ctx.Err(); err != nil {
				yield(content.Item{}, err)
				return
			}
			if !yield(e.item(x), nil) {
				return
			}
		}
	}
}

func (s *source) listFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("read the export %q: %w", s.opts.Path, err)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.OfSite(fault.Retry, fault.SourceMissing, err)
	}
	return fault.OfSite(fault.Retry, fault.ReadFailed, err)
}

// look reads the export anew when it is another one.
func (s *source) look(ctx context.Context) (*index, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark, err := markOf(s.opts.Path)
	if err != nil {
		return nil, err
	}
	if s.index != nil && s.files.mark == mark {
		return s.index, nil
	}
	f, err := openFiles(s.opts.Path, mark)
	if err != nil {
		return nil, err
	}
	x, err := s.read(ctx, f)
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	if s.files != nil {
		s.old = append(s.old, s.files)
	}
	s.files, s.index = f, x
	return x, nil
}

func (s *source) read(ctx context.Context, f *files) (*index, error) {
	x := newIndex(f, s.report)
	if err := x.scan(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(x.entries, func(a, b *entry) int { return cmp.Compare(a.path, b.path) })
	s.clean(x)
	x.arrange()
	return x, nil
}

// clean leaves out what cannot be carried, and says so.
func (s *source) clean(x *index) {
	there := map[string]bool{"": true}
	uids := map[string]bool{}
	x.entries = slices.DeleteFunc(x.entries, func(e *entry) bool {
		why := ""
		switch {
		case e.path == "" || slices.Contains(skippedTypes, e.typ):
			return true
		case !there[parentOf(e.path)]:
			why = "its container is not in the export"
		case there[e.path]:
			why = "the export has another object at its path"
		case uids[e.uid]:
			why = "the export has another object with its UID"
		}
		if why != "" {
			s.report(e.path, why)
			return true
		}
		there[e.path], uids[e.uid] = true, true
		return false
	})
}

func (s *source) report(path, why string) {
	const most = 1000
	if s.reported[path] != "" || len(s.reported) > most {
		return
	}
	s.reported[path] = why
	s.opts.Log.Warn("skipped", "path", path, "why", why)
}

// Watch ends with its context: an export does not change from moment to moment, and a
// later listing finds another one.
func (s *source) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}
