//go:build unix

// Package folder is the driver for a folder tree: every regular file and folder
// below a path is an object with content, permission bits and modification time.
//
// Symbolic links, devices, sockets and pipes are reported and left alone, never
// followed. Owners, access lists, extended attributes and hard links are not
// carried. Whether and when to export or import is for the services to say.
package folder

import (
	"log/slog"
	"time"

	"synchro.example/shared/content"
)

// DefaultSettle is how long a file must have been quiet before it is read.
const DefaultSettle = 100 * time.Millisecond

// minSettle lies above the tick of the coarsest file clock, so that a write after
// a read always shows in the file's times.
const minSettle = 20 * time.Millisecond

// Options says which tree a driver serves, and how.
type Options struct {
	// Path is the root of the tree. The root itself is not an object.
	Path string
	// Staging is where a target makes files before they are renamed into place:
	// on the file system of the tree and outside it. Empty means a hidden folder
	// beside the tree. No two targets may share it.
	Staging string
	// Owner names whose the tree is to write to, if anybody's. A target takes the tree
	// from a process that opened it with the same owner and hangs; without an owner,
	// or with another one, it is refused.
	Owner string
	// Settle is how long a file must have been quiet before a source reads it;
	// zero means DefaultSettle, and less than 20 ms means that.
	Settle time.Duration
	// Writes names a file to which a target adds a line of JSON for each effect on
	// the tree. Empty means none.
	Writes string
	// Log gets what was skipped and why; nil means slog.Default.
	Log *slog.Logger

	now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Settle == 0 {
		o.Settle = DefaultSettle
	}
	o.Settle = max(o.Settle, minSettle)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.now == nil {
		o.now = time.Now
	}
	return o
}

// OpenSource makes a source of a tree. The tree need not be there yet: List and
// Read say so in a fault each time.
func OpenSource(opts Options) (content.Source, error) {
	o := opts.withDefaults()
	if o.Path == "" {
		return nil, misconfigured("a folder site needs a path")
	}
	return &source{opts: o, reports: newReports(o.Log), settler: newSettler(o.Settle, o.now)}, nil
}
