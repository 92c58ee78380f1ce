// Package census tells what lies in a classic queue: how many files in each folder, and
// which of them nobody takes, or somebody should look at. It changes nothing.
package census

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"synchro.example/services/bridge/queue"
)

// Long is how long a file may be written, or be imported, before that is odd: whoever does
// so has died.
const Long = time.Hour

const lockSuffix = ".lock"

// Odd is a file that is not as those of a queue are.
type Odd struct {
	File string // with its folder
	Why  string
}

func (o Odd) String() string { return o.File + ": " + o.Why }

// Count counts the files in each folder, by the folder's name such as EXPORT/DONE.
func Count(q *queue.Queue) (map[string]int, error) {
	counts := map[string]int{}
	for _, side := range []queue.Side{queue.Export, queue.Import} {
		for _, state := range []queue.State{queue.ToProcess, queue.Processing, queue.Done, queue.Failed} {
			n, err := q.Count(side, state)
			if err != nil {
				return nil, err
			}
			counts[queue.Folder(side, state)] = n
		}
	}
	return counts, nil
}

// Find gives what is odd on a side.
func Find(q *queue.Queue, side queue.Side, now time.Time) ([]Odd, error) {
	waiting, err := q.List(side, queue.ToProcess)
	if err != nil {
		return nil, err
	}
	odd := OfWaiting(q, side, waiting, now)
	if side == queue.Export {
		return odd, nil // what is left in PROCESSING is sent
	}
	busy, err := q.List(side, queue.Processing)
	for _, name := range busy.Names {
		if now.Sub(name.Time) > Long {
			odd = append(odd, oddIn(side, queue.Processing, name.String(), "is being imported for long; move it back to TO_PROCESS if no importer runs"))
		}
	}
	return odd, err
}

// OfWaiting gives what is odd in TO_PROCESS, which has been listed.
func OfWaiting(q *queue.Queue, side queue.Side, waiting queue.Listing, now time.Time) (odd []Odd) {
	for _, name := range waiting.Others {
		if why := stray(q, side, name, now); why != "" {
			odd = append(odd, oddIn(side, queue.ToProcess, name, why))
		}
	}
	for i := 1; i < len(waiting.Names); i++ {
		if a, b := waiting.Names[i-1], waiting.Names[i]; a.Time.Equal(b.Time) {
			odd = append(odd, oddIn(side, queue.ToProcess, b.String(), fmt.Sprintf("has the time of %s; the classic tool works them in any order, Synchro by their numbers", a)))
		}
	}
	return odd
}

func oddIn(side queue.Side, state queue.State, name, why string) Odd {
	return Odd{queue.Folder(side, state) + "/" + name, why}
}

// stray says why a file that has not the name of a change is odd, empty when it is not.
func stray(q *queue.Queue, side queue.Side, name string, now time.Time) string {
	if strings.HasSuffix(name, lockSuffix) {
		age, err := q.Age(side, queue.ToProcess, name, now)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && age < Long:
			return "" // it is being written
		case side == queue.Import:
			return "is being written for long, and the classic importer takes it all the same; move it away if its writer has died"
		}
		return "is being written for long; remove it if its writer has died"
	}
	parts := strings.Split(name, "_")
	switch {
	case len(parts) > 4 && parts[0] == "data" && strings.HasSuffix(name, ".zs"):
		return "has a uid with _ in its name, which no reader takes; rename it"
	case side == queue.Import && !queue.Matches(name):
		return "is no file of a queue, and ends each run of the classic importer; move it away"
	}
	return "is no file of a queue, data_UID_TIME_NUMBER.zs, and is not taken"
}

// News gives those that have not been told yet, and remembers them as long as they are odd.
func News(told map[string]bool, odd []Odd) (news []Odd) {
	still := map[string]bool{}
	for _, o := range odd {
		still[o.File] = true
		if !told[o.File] {
			news = append(news, o)
		}
	}
	clear(told)
	for file := range still {
		told[file] = true
	}
	return slices.Clip(news)
}
