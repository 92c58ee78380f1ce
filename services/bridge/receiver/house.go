package receiver

import (
	"errors"
	"time"

	"synchro.example/services/bridge/census"
	"synchro.example/services/bridge/queue"
)

const houseEvery = time.Minute

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

// sweep removes files that were made, and therefore done, long ago, or given up.
func (t *Target) sweep(now time.Time) error {
	if t.Keep <= 0 {
		return nil
	}
	end := now.Add(-t.Keep)
	if err := errors.Join(t.queue.Expire(queue.Import, queue.Done, end), queue.ExpireDiscarded(t.Path, end)); err != nil {
		return err
	}
	return t.notes.forget(end, func(name string) bool {
		_, there, err := t.queue.Where(queue.Import, name)
		return err == nil && !there
	})
}

// tellOdd tells, once of each file, what the classic importer will trip over or has left.
func (t *Target) tellOdd(told map[string]bool, now time.Time) error {
	odd, err := census.Find(t.queue, queue.Import, now)
	if err != nil {
		return err
	}
	for _, o := range census.News(told, odd) {
		t.Log.Warn("a file in the queue needs somebody to look at it", "file", o.File, "why", o.Why)
	}
	return nil
}
