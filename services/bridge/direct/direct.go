// Package direct imports a queue straight into a site, as the classic import_queue does,
// without a broker: the files of IMPORT/TO_PROCESS by their time, each into PROCESSING, and
// then to DONE, or to ERROR when it cannot be applied. Unlike there, a file is in DONE only
// when it has taken effect, a name that is none stops nothing, and what a run that died has
// left in PROCESSING is done by the next one.
package direct

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/fault"
)

// Options are what an import needs. The caller holds the lock that keeps other importers
// away.
type Options struct {
	// Queue is the queue's folder.
	Queue string
	// Apply brings what a file says to the site. Errors are faults.
	Apply func(context.Context, *zs.Change) error
	Log   *slog.Logger
}

// Result counts files.
type Result struct{ Done, Failed int }

// Import applies what is in the queue now. What fails is in ERROR and no error here.
func Import(ctx context.Context, o Options) (Result, error) {
	q, err := queue.Open(o.Queue)
	if err != nil {
		return Result{}, err
	}
	i := &importer{Options: o, queue: q}
	err = i.run(ctx)
	return i.result, errors.Join(err, q.Close())
}

type importer struct {
	Options
	queue  *queue.Queue
	result Result
}

func (i *importer) run(ctx context.Context) error {
	left, err := i.queue.List(queue.Import, queue.Processing)
	if err != nil {
		return err
	}
	for _, name := range left.Names {
		if err := i.file(ctx, name); err != nil {
			return err
		}
	}
	found, err := i.queue.List(queue.Import, queue.ToProcess)
	if err != nil {
		return err
	}
	for _, name := range found.Others {
		i.Log.Warn("a file has no name of a queue's file, or is being written, and is left", "file", name)
	}
	for _, name := range found.Names {
		err := i.queue.Move(queue.Import, name.String(), queue.ToProcess, queue.Processing)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another importer has it
		}
		if err == nil {
			err = i.file(ctx, name)
		}
		if err != nil {
			return err
		}
	}
	return i.queue.Sync(queue.Import, queue.Done)
}

// file applies a file in PROCESSING and moves it on. An error is one of the queue, or of the
// site as a whole; the file is then back in TO_PROCESS.
func (i *importer) file(ctx context.Context, name queue.Name) error {
	err := i.apply(ctx, name.String())
	f := fault.Of(err)
	switch {
	case err == nil:
		i.result.Done++
		i.Log.Info("a file is imported", "file", name)
		return i.move(name, queue.Done)
	case errors.Is(err, errTaken):
		return nil
	case ctx.Err() != nil || f.WholeSite || f.Class == fault.Stop:
		return errors.Join(err, i.move(name, queue.ToProcess))
	}
	i.result.Failed++
	i.Log.Error("a file cannot be imported", "file", name, "code", f.Code, "error", err)
	if err := queue.Explain(i.Queue, queue.Import, name, f); err != nil {
		return err
	}
	return i.move(name, queue.Failed)
}

// errTaken is the end for a file that another importer has moved on.
var errTaken = errors.New("another importer has the file")

func (i *importer) move(name queue.Name, to queue.State) error {
	err := i.queue.Move(queue.Import, name.String(), queue.Processing, to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (i *importer) apply(ctx context.Context, name string) error {
	f, err := i.queue.Open(queue.Import, queue.Processing, name)
	if errors.Is(err, fs.ErrNotExist) {
		return errTaken
	}
	if err != nil {
		return err
	}
	c, err := zs.Decode(f, zs.Options{})
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return errors.Join(i.Apply(ctx, c), c.Close())
}
