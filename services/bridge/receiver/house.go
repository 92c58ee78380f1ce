package receiver

import (
	"errors"
	"strings"
	"time"

	"synchro.example/services/bridge/queue"
)

// Times of housekeeping.
const (
	houseEvery = time.Minute
	// slow is how long a file may be in PROCESSING before that is told: an importer that
	// died leaves it there for ever.
	slow = time.Hour
)

// keepHouse removes what has been in DONE for long, and tells what is odd in the queue.
func (t *Target) keepHouse() {
	told := map[string]bool{}
	for {
		if err := errors.Join(t.sweep(time.Now()), t.tellOdd(told, time.Now())); err != nil {
			t.Log.Warn("the queue cannot be looked after", "error", err)
		}
		select {
		case <-t.ended:
			return
		case <-time.After(houseEvery):
		}
	}
}

// sweep removes files that were made, and therefore done, long ago.
func (t *Target) sweep(now time.Time) error {
	if t.Keep <= 0 {
		return nil
	}
	end := now.Add(-t.Keep)
	if err := t.queue.Expire(queue.Import, queue.Done, end); err != nil {
		return err
	}
	return t.notes.forget(end, func(name string) bool {
		_, there, err := t.queue.Where(queue.Import, name)
		return err == nil && !there
	})
}

// tellOdd tells, once of each file, what the classic importer will trip over or has left.
func (t *Target) tellOdd(told map[string]bool, now time.Time) error {
	tell := func(name, text string) {
		if !told[name] {
			told[name] = true
			t.Log.Warn("a file in the queue needs somebody to look at it", "file", name, "why", text)
		}
	}
	waiting, err := t.queue.List(queue.Import, queue.ToProcess)
	if err != nil {
		return err
	}
	for _, name := range waiting.Others {
		switch {
		case !queue.Matches(name):
			tell(name, "a stray file in IMPORT/TO_PROCESS ends each run of the classic importer; move it away")
		case strings.Contains(name, ".lock"):
			tell(name, "a file in IMPORT/TO_PROCESS is being written, or its writer has died")
		}
	}
	busy, err := t.queue.List(queue.Import, queue.Processing)
	for _, name := range busy.Names {
		if now.Sub(name.Time) > slow {
			tell(name.String(), "a file is in IMPORT/PROCESSING for long; move it back to TO_PROCESS if no importer runs")
		}
	}
	return err
}
