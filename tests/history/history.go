// Package history keeps what happened in a run, as lines of JSON with the time since its
// start, and judges from that, and from what the sites logged of their writes, whether
// the promises were kept. It runs nothing and asks nobody, so that a history can be
// judged again after the judge was mended.
package history

import (
	"encoding/json"
	"maps"
	"os"
	"sync"
	"time"
)

// Event is one line of a history.
type Event struct {
	// T is the time since the run began.
	T time.Duration `json:"t"`
	// Kind says what it is: "run", "op", "fault", "heal", "exit", "count", "note".
	Kind string `json:"kind"`
	What string `json:"what"`
	// Of is what it was done to: a process, an object, a stream.
	Of string `json:"of,omitempty"`
	// More holds whatever else belongs to it.
	More any `json:"more,omitempty"`
}

// History is the record of one run. Its methods may be called from several goroutines.
type History struct {
	start time.Time

	mu     sync.Mutex
	f      *os.File
	counts map[string]int
}

// New begins a history in a file.
func New(file string) (*History, error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	return &History{start: time.Now(), f: f, counts: map[string]int{}}, nil
}

// Add writes one event.
func (h *History) Add(kind, what, of string, more any) {
	line, err := json.Marshal(Event{T: time.Since(h.start), Kind: kind, What: what, Of: of, More: more})
	if err != nil {
		panic(err) // a test wrote what no JSON can hold
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.f != nil {
		_, _ = h.f.Write(append(line, '\n'))
	}
}

// Count adds to one of the numbers that a run ends with, and notes it.
func (h *History) Count(what string, n int) {
	if n == 0 {
		return
	}
	h.mu.Lock()
	h.counts[what] += n
	h.mu.Unlock()
	h.Add("count", what, "", n)
}

// Counts gives the numbers so far.
func (h *History) Counts() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.counts)
}

// Since is the time of the run.
func (h *History) Since() time.Duration { return time.Since(h.start) }

// Close ends the history. What is added later is lost.
func (h *History) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.f.Close()
	h.f = nil
	return err
}
