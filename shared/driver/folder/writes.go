//go:build unix

package folder

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"synchro.example/shared/content"
)

// effect names what was done to the tree.
type effect string

const (
	effectCreate  effect = "create"
	effectRewrite effect = "rewrite"
	effectMeta    effect = "meta"
	effectMove    effect = "move"
	effectRemove  effect = "remove"
	effectMkdir   effect = "mkdir"
)

// Stats counts what a target did since it was opened.
type Stats struct {
	Files  int64 // files staged
	Bytes  int64 // bytes read for them
	Fsyncs int64 // calls of fsync, for files and folders
	Syncfs int64 // calls of syncfs

	Created   int64 // files and folders made
	Rewritten int64 // files replaced by others
	MetaOnly  int64 // only mode or time set
	Moved     int64
	Removed   int64
	Skipped   int64 // found as they should be
}

type counters struct {
	files, bytes, fsyncs, syncfs, skipped atomic.Int64

	created, rewritten, meta, moved, removed atomic.Int64
}

func (c *counters) read() Stats {
	return Stats{
		Files: c.files.Load(), Bytes: c.bytes.Load(), Fsyncs: c.fsyncs.Load(), Syncfs: c.syncfs.Load(),
		Created: c.created.Load(), Rewritten: c.rewritten.Load(), MetaOnly: c.meta.Load(),
		Moved: c.moved.Load(), Removed: c.removed.Load(), Skipped: c.skipped.Load(),
	}
}

func (c *counters) count(e effect) {
	switch e {
	case effectCreate, effectMkdir:
		c.created.Add(1)
	case effectRewrite:
		c.rewritten.Add(1)
	case effectMeta:
		c.meta.Add(1)
	case effectMove:
		c.moved.Add(1)
	case effectRemove:
		c.removed.Add(1)
	}
}

// writeLog is the record of effects on the tree, for whoever wants to see that
// nothing is done twice. It is not synced and nothing is read from it.
type writeLog struct {
	mu sync.Mutex
	f  *os.File
}

type writeLine struct {
	Time    time.Time `json:"time"`
	Op      effect    `json:"op"`
	UID     string    `json:"uid"`
	Version string    `json:"version"`
	Path    string    `json:"path"`
	// Raw has the path in base64 when Path cannot hold its bytes.
	Raw []byte `json:"raw,omitempty"`
}

func openWriteLog(path string) (*writeLog, error) {
	if path == "" {
		return &writeLog{}, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, misconfigured("open the log of writes: %w", err)
	}
	return &writeLog{f: f}, nil
}

func (l *writeLog) add(e effect, c *content.Change, path string) error {
	if l.f == nil {
		return nil
	}
	line := writeLine{Time: time.Now().UTC(), Op: e, UID: c.Object.UID, Version: c.Version.String(), Path: path}
	if !utf8.ValidString(path) {
		line.Raw = []byte(path)
	}
	b, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("log of writes: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.f.Write(append(b, '\n'))
	return err
}

func (l *writeLog) close() error {
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}
