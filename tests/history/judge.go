package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Invariant names one clause of the promise. docs/reliability.md has the list.
type Invariant string

// The invariants that this suite judges.
const (
	NoneLost     Invariant = "I1 none lost"
	NoneTwice    Invariant = "I2 none twice"
	Order        Invariant = "I3 order"
	FromNowhere  Invariant = "I4 nothing from nowhere"
	Unauthorised Invariant = "I5 no unauthorised write"
	Whole        Invariant = "I6 whole or nothing"
	Convergence  Invariant = "I7 convergence"
	DurableWord  Invariant = "I8 durable word"
	Bounded      Invariant = "I9 bounded"
	Told         Invariant = "I10 told"
	ReplaySafe   Invariant = "I11 replay safe"
)

// Violation is one broken promise.
type Violation struct {
	Invariant Invariant
	Site      string
	Text      string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s", v.Invariant, v.Site, v.Text)
}

// Write is one effect on a site, as the site's driver logs it.
type Write struct {
	Time    time.Time `json:"time"`
	Op      string    `json:"op"`
	UID     string    `json:"uid"`
	Version string    `json:"version"`
	Path    string    `json:"path"`
}

// ReadWrites reads a driver's log of writes. A last line that a kill cut off is left out,
// a file that is not there yet is empty.
func ReadWrites(file string) ([]Write, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseWrites(f)
}

func parseWrites(r io.Reader) ([]Write, error) {
	var list []Write
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var w Write
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			if !lines.Scan() {
				break
			}
			return nil, fmt.Errorf("line %d of the log of writes: %w", n, err)
		}
		list = append(list, w)
	}
	return list, lines.Err()
}

// makes are the effects that bring an object's bytes, or a folder: one version of an
// object has one of them.
var makes = []string{"create", "rewrite", "mkdir"}

type effect struct{ uid, version, op, path string }

// JudgeWrites finds effects that were made twice, or out of order. published gives the
// newest version of an object that its source has published, as far as that is known:
// nothing above it can have come from there.
func JudgeWrites(site string, writes []Write, published func(uid string) (version string, known bool)) (found []Violation) {
	newest := map[string]Write{}
	seen := map[effect]bool{}
	say := func(i Invariant, format string, args ...any) {
		found = append(found, Violation{i, site, fmt.Sprintf(format, args...)})
	}
	for _, w := range writes {
		if last, ok := newest[w.UID]; ok && w.Version < last.Version {
			say(Order, "%s %s has version %s, after %s at %s", w.Op, w.Path, w.Version, last.Version, last.Path)
			continue
		}
		newest[w.UID] = w
		if e := effectOf(w); seen[e] {
			say(NoneTwice, "%s %s, version %s, was done twice", w.Op, w.Path, w.Version)
		} else {
			seen[e] = true
		}
	}
	for uid, w := range newest {
		if v, known := published(uid); known && w.Version > v {
			say(FromNowhere, "%s %s has version %s, and the source has published %s at most", w.Op, w.Path, w.Version, v)
		}
	}
	return found
}

// effectOf tells effects apart. A move has its place with it: an object that breaks a
// ring of moves makes two of them in one version.
func effectOf(w Write) effect {
	if slices.Contains(makes, w.Op) {
		return effect{uid: w.UID, version: w.Version, op: "make"}
	}
	return effect{w.UID, w.Version, w.Op, w.Path}
}
