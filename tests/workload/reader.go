package workload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"synchro.example/tests/history"
)

// Reader reads the files of a receiving site while they are being written, as a web
// server would, and notes what no reader should ever see.
type Reader struct {
	site, root string
	written    func(key int) int
	ignore     func(path string) bool

	mu    sync.Mutex
	seen  map[int]int // newest revision by key
	reads int
	found []history.Violation
}

// NewReader makes a reader of a site. written tells the newest revision that the source
// has of a key, ignore the paths that are none of the workload's; it may be nil.
func NewReader(site, root string, written func(int) int, ignore func(string) bool) *Reader {
	return &Reader{site: site, root: root, written: written, ignore: ignore, seen: map[int]int{}}
}

// Run reads everything again and again until ctx ends. pause is the time between two
// files: readers must not take the machine from those whom they watch.
func (r *Reader) Run(ctx context.Context, pause time.Duration) {
	for ctx.Err() == nil {
		_ = filepath.WalkDir(r.root, func(name string, entry fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil && entry.Type().IsRegular() {
				r.read(name)
				sleep(ctx, pause)
			}
			return nil
		})
		sleep(ctx, 10*pause)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (r *Reader) read(name string) {
	rel, err := filepath.Rel(r.root, name)
	if err != nil || r.ignore != nil && r.ignore(rel) {
		return
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.say(history.Whole, "%s cannot be read: %v", rel, err)
		return
	}
	stamp, err := Check(data)
	if err != nil {
		r.say(history.Whole, "%s: %v", rel, err)
		return
	}
	r.judge(rel, stamp)
}

func (r *Reader) judge(rel string, s Stamp) {
	if most := r.written(s.Key); s.Rev > most {
		r.say(history.FromNowhere, "%s has revision %d of key %d, the source wrote %d", rel, s.Rev, s.Key, most)
	}
	r.mu.Lock()
	r.reads++
	before := r.seen[s.Key]
	r.seen[s.Key] = max(before, s.Rev)
	r.mu.Unlock()
	if s.Rev < before {
		r.say(history.Order, "%s shows revision %d of key %d, and has shown %d", rel, s.Rev, s.Key, before)
	}
}

func (r *Reader) say(i history.Invariant, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.found) < 20 {
		r.found = append(r.found, history.Violation{Invariant: i, Site: r.site, Text: "a reader: " + fmt.Sprintf(format, args...)})
	}
}

// Found gives what was seen that must not be, and how many files were read.
func (r *Reader) Found() (found []history.Violation, reads int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]history.Violation(nil), r.found...), r.reads
}
