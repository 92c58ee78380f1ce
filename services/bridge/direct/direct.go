// Package direct imports a queue straight into a site, as the classic import_queue does,
// without a broker: the files of IMPORT/TO_PROCESS by their time, each into PROCESSING, and
// then to DONE, or to ERROR when it cannot be applied. Unlike there, a file is in DONE only
// when it has taken effect, and a name that is none stops nothing.
package direct

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/wire"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/version"
)

// Options are what an import needs.
type Options struct {
	// Queue is the queue's folder.
	Queue  string
	Target content.Target
	// Accept names the plugins whose data is applied.
	Accept []string
	Log    *slog.Logger
}

// Result counts files.
type Result struct{ Done, Failed int }

// Import applies what is in the queue now. What fails is in ERROR and no error here.
func Import(ctx context.Context, o Options) (Result, error) {
	q, err := queue.Open(o.Queue)
	if err != nil {
		return Result{}, err
	}
	i := &importer{Options: o, queue: q, here: map[string]bool{"": true}, clock: version.NewClock(0, nil)}
	err = i.run(ctx)
	return i.result, errors.Join(err, q.Close())
}

type importer struct {
	Options
	queue  *queue.Queue
	here   map[string]bool // paths that the site has
	clock  *version.Clock
	result Result
}

func (i *importer) run(ctx context.Context) error {
	for item, err := range i.Target.List(ctx) {
		if err != nil {
			return fmt.Errorf("list the site: %w", err)
		}
		i.here[item.Path] = true
	}
	found, err := i.queue.List(queue.Import, queue.ToProcess)
	if err != nil {
		return err
	}
	for _, name := range found.Others {
		i.Log.Warn("a file has no name of a queue's file, or is being written, and is left", "file", name)
	}
	for _, name := range found.Names {
		if err := i.file(ctx, name.String()); err != nil {
			return err
		}
	}
	return i.queue.Sync(queue.Import, queue.Done)
}

// file takes one file through the folders. An error is one of the queue, or of the site as
// a whole; the file is then back in TO_PROCESS.
func (i *importer) file(ctx context.Context, name string) error {
	err := i.queue.Move(queue.Import, name, queue.ToProcess, queue.Processing)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another importer has it
	}
	if err != nil {
		return err
	}
	err = i.apply(ctx, name)
	switch f := fault.Of(err); {
	case err == nil:
		i.result.Done++
		i.Log.Info("a file is imported", "file", name)
		return i.queue.Move(queue.Import, name, queue.Processing, queue.Done)
	case ctx.Err() != nil || f.WholeSite || f.Class == fault.Stop:
		return errors.Join(err, i.queue.Move(queue.Import, name, queue.Processing, queue.ToProcess))
	}
	i.result.Failed++
	i.Log.Error("a file cannot be imported", "file", name, "code", fault.Of(err).Code, "error", err)
	return i.queue.Move(queue.Import, name, queue.Processing, queue.Failed)
}

func (i *importer) apply(ctx context.Context, name string) error {
	f, err := i.queue.Open(queue.Import, queue.Processing, name)
	if err != nil {
		return err
	}
	c, err := zs.Decode(f, zs.Options{})
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return errors.Join(i.change(ctx, c), c.Close())
}

// change applies what a file says. As with the classic importer the container must be
// there, and the id need not be when it is deleted.
func (i *importer) change(ctx context.Context, c *zs.Change) error {
	at := strings.Join(c.Path, "/")
	for _, p := range c.Parts {
		if !slices.Contains(i.Accept, string(p.Kind)) {
			return fault.Errorf(fault.Park, fault.Unsupported, "%s: %s data is not accepted, only %s", at, p.Kind, strings.Join(i.Accept, ", "))
		}
	}
	if above := strings.Join(c.Path[:len(c.Path)-1], "/"); !i.here[above] {
		return fault.Errorf(fault.Park, fault.ParentMissing, "%s: the site has no %s", at, above)
	}
	if c.Part(zs.Delete) != nil {
		if !i.here[at] {
			return nil
		}
		return i.remove(ctx, at)
	}
	op, err := i.op(c, at)
	if err != nil {
		return err
	}
	if err := i.Target.Apply(ctx, []content.Op{op})[0]; err != nil {
		return err
	}
	i.here[at] = true
	return nil
}

// remove removes what lies below first.
func (i *importer) remove(ctx context.Context, at string) error {
	var all []string
	for p := range i.here {
		if p == at || strings.HasPrefix(p, at+"/") {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(b, a) })
	for _, p := range all {
		op := i.bare(p, content.Removed)
		op.From = p
		if err := i.Target.Apply(ctx, []content.Op{op})[0]; err != nil {
			return err
		}
		delete(i.here, p)
	}
	return nil
}

func (i *importer) bare(at string, kind content.Kind) content.Op {
	return content.Op{Note: &content.Note{}, Change: &content.Change{
		ID: uuid.NewString(), Source: "queue", Kind: kind, Version: i.clock.Next(), CapturedAt: time.Now().UTC(),
		Object: content.Object{UID: at, Name: path.Base(at), Path: at, Type: content.TypeFile},
	}}
}

func (i *importer) op(c *zs.Change, at string) (content.Op, error) {
	op := i.bare(at, content.Modified)
	op.To = at
	if i.here[at] {
		op.From = at
	}
	op.Change.Object.UID = c.UID
	var values []zs.Value
	for n := range c.Parts {
		p := &c.Parts[n]
		if p.Kind != zs.FSS || !wire.IsPlain(c, p) {
			return op, fault.Errorf(fault.Park, fault.Unsupported, "%s: %s data of this form cannot be imported directly; send the queue through the broker", at, p.Kind)
		}
		f := &p.Fields[0]
		payload, err := describe(f)
		if err != nil {
			return op, err
		}
		op.Change.Payloads = append(op.Change.Payloads, payload)
		values = append(values, f.File)
	}
	op.Change.Digest = content.DigestOf(op.Change.Payloads)
	op.Open = func(_ context.Context, p *content.Payload) (io.ReadCloser, error) {
		for n := range op.Change.Payloads {
			if &op.Change.Payloads[n] == p {
				return values[n].Open()
			}
		}
		return nil, errors.New("a payload of another change")
	}
	return op, nil
}

func describe(f *zs.Field) (content.Payload, error) {
	p := content.Payload{Plugin: content.PluginFSS, MediaType: f.MIMEType, Names: []string{f.Name, f.Filename}, Size: f.File.Size}
	r, err := f.File.Open()
	if err != nil {
		return p, err
	}
	h := sha256.New()
	_, err = io.Copy(h, r)
	p.SHA256 = content.Digest(h.Sum(nil))
	return p, errors.Join(err, r.Close())
}
