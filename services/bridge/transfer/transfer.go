// Package transfer moves what a queue's EXPORT side has into the IMPORT side of a queue on
// another machine, over SFTP, as the classic synchronize_queue does: the same folders, the
// same names, the same lock. Files that were sent and not noted so, because a run was
// killed, are found on the other side and are not sent again.
package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/sync/errgroup"

	"synchro.example/services/bridge/queue"
	"synchro.example/shared/fault"
)

const (
	// sessions is how many SFTP servers are asked for: each works on one request after the
	// other. OpenSSH gives ten on a connection.
	sessions = 9
	// ahead is how many files are on their way at the same time, so that no server waits for
	// the next request.
	ahead = 48
)

const lockSuffix = ".lock"

// Options are what a transfer needs.
type Options struct {
	// Source is the queue here, Dest the folder of the queue there.
	Source, Dest string
	Log          *slog.Logger
}

// Run moves all files that are in the queue now, oldest first, and gives their number. The
// caller holds the lock that keeps other senders away, so that what lies in
// PROCESSING was left there by a run that died.
func Run(ctx context.Context, clients []*sftp.Client, o Options) (int, error) {
	q, err := queue.Open(o.Source)
	if err != nil {
		return 0, err
	}
	t := &transfer{Options: o, client: clients[0], clients: clients, queue: q, staging: path.Clean(o.Dest) + ".synchro/arriving"}
	n, err := t.run(ctx)
	return n, errors.Join(err, q.Close())
}

type transfer struct {
	Options
	client  *sftp.Client
	clients []*sftp.Client // of which client is the first
	queue   *queue.Queue
	staging string
	there   map[string]bool // names that the other side has
}

// file is one on its way.
type file struct {
	name queue.Name
	old  string     // what it is called in PROCESSING
	sent chan error // that it lies whole in the other side's staging folder
}

func (t *transfer) run(ctx context.Context) (int, error) {
	if err := t.prepare(); err != nil {
		return 0, err
	}
	files, err := t.claim()
	if err != nil {
		return 0, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(ahead + 1)
	moved := 0
	g.Go(func() (err error) {
		moved, err = t.commit(ctx, files)
		return err
	})
	for n, f := range files {
		g.Go(func() error {
			f.sent <- t.upload(ctx, t.carrier(n), f)
			return nil
		})
	}
	err = g.Wait()
	return moved, errors.Join(err, t.queue.Sync(queue.Export, queue.Done))
}

// carrier gives the client for an upload. The first one is left to the renames, which would
// wait for the disk with the uploads.
func (t *transfer) carrier(n int) *sftp.Client {
	if len(t.clients) == 1 {
		return t.client
	}
	return t.clients[1+n%(len(t.clients)-1)]
}

// prepare looks whether the other side is a queue, and what it has.
func (t *transfer) prepare() error {
	t.there = map[string]bool{}
	for _, state := range []queue.State{queue.ToProcess, queue.Processing, queue.Done, queue.Failed} {
		found, err := t.client.ReadDir(path.Join(t.Dest, queue.Folder(queue.Import, state)))
		if err != nil {
			return fmt.Errorf("the queue %s of the other side: %s: %w", t.Dest, queue.Folder(queue.Import, state), err)
		}
		for _, info := range found {
			t.there[info.Name()] = true
		}
	}
	if err := t.client.MkdirAll(t.staging); err != nil {
		return fmt.Errorf("make %s on the other side: %w", t.staging, err)
	}
	return nil
}

// claim takes whole files into PROCESSING, and gives all that lie there, oldest first.
func (t *transfer) claim() ([]*file, error) {
	waiting, err := t.queue.List(queue.Export, queue.ToProcess)
	if err != nil {
		return nil, err
	}
	for _, name := range waiting.Names {
		err := t.queue.Move(queue.Export, name.String(), queue.ToProcess, queue.Processing)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for _, other := range waiting.Others {
		t.Log.Debug("a file is left where it is", "file", other)
	}
	found, err := t.queue.List(queue.Export, queue.Processing)
	if err != nil {
		return nil, err
	}
	var files []*file
	for _, name := range found.Names {
		files = append(files, newFile(name, name.String()))
	}
	for _, other := range found.Others {
		if name, err := queue.ParseName(strings.TrimSuffix(other, lockSuffix)); err == nil {
			files = append(files, newFile(name, other))
		}
	}
	slices.SortFunc(files, func(a, b *file) int { return cmp.Or(a.name.Compare(b.name), cmp.Compare(a.old, b.old)) })
	// A .lock beside the file of its name stays.
	return slices.CompactFunc(files, func(a, b *file) bool { return a.name == b.name }), nil
}

func newFile(name queue.Name, old string) *file {
	return &file{name: name, old: old, sent: make(chan error, 1)}
}

// upload brings a file beside the other queue: half a file in it would be imported.
func (t *transfer) upload(ctx context.Context, c *sftp.Client, f *file) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if t.there[f.name.String()] {
		return nil
	}
	from, err := t.queue.Open(queue.Export, queue.Processing, f.old)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := c.Create(path.Join(t.staging, f.name.String()))
	if err != nil {
		return fmt.Errorf("send %s: %w", f.name, err)
	}
	_, err = to.ReadFrom(from)
	if _, can := c.HasExtension("fsync@openssh.com"); can && err == nil {
		err = to.Sync()
	}
	if err := errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("send %s: %w", f.name, err)
	}
	return nil
}

// commit puts files into the other queue in their order, and then to DONE here.
func (t *transfer) commit(ctx context.Context, files []*file) (moved int, err error) {
	for _, f := range files {
		select {
		case err = <-f.sent:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err == nil {
			err = t.place(f)
		}
		if err != nil {
			return moved, fault.New(fault.Retry, fault.Unknown, fmt.Errorf("%d of %d files are moved: %w", moved, len(files), err))
		}
		moved++
		t.Log.Debug("a file is moved", "file", f.name)
	}
	return moved, nil
}

func (t *transfer) place(f *file) error {
	name := f.name.String()
	if !t.there[name] {
		to := path.Join(t.Dest, queue.Folder(queue.Import, queue.ToProcess), name)
		if err := t.client.PosixRename(path.Join(t.staging, name), to); err != nil {
			return fmt.Errorf("place %s: %w", name, err)
		}
	}
	return t.queue.Rename(queue.Export, f.old, queue.Processing, name, queue.Done)
}
