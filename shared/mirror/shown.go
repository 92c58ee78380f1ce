package mirror

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"synchro.example/shared/deadletter"
	"synchro.example/shared/version"
)

// State is a folder of a side.
type State string

// The states that a change can be in.
const (
	ToProcess  State = "TO_PROCESS"
	Processing State = "PROCESSING"
	Done       State = "DONE"
	Failed     State = "ERROR"
)

func states() []State { return []State{ToProcess, Processing, Done, Failed} }

// limit is how many files a folder has at most: those that are next in TO_PROCESS and
// PROCESSING, the latest in DONE and ERROR. How many changes there really are is in
// counts.json.
const limit = 1000

// file is one change in one of the folders.
type file struct {
	state State
	name  string
	// stamp differs when what the file says may differ.
	stamp string
	token string // of the object
	// version is that of the change; of a failed export it may be 0.
	version version.Version
	entry   *deadletter.Entry // of a failure
}

// shown is what belongs into the folders of a side.
type shown struct {
	files  []file
	counts map[State]int
}

// candidate is a change that could be shown.
type candidate struct {
	token   string
	version version.Version
	// at is when it took effect, in nanoseconds; 0 where that is not known.
	at int64
}

// add takes the first candidates of a folder, or the last.
func (s *shown) add(state State, list []candidate) {
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.version, b.version), strings.Compare(a.token, b.token))
	})
	s.counts[state] = len(list)
	if n := len(list) - limit; n > 0 && state == Done {
		list = list[n:]
	}
	for _, c := range list[:min(limit, len(list))] {
		s.files = append(s.files, file{state: state, name: nameOf(c.token, c.version), stamp: fmt.Sprint(c.version, c.at), token: c.token, version: c.version})
	}
}

// addFailed takes the latest failures.
func (s *shown) addFailed(failed map[string]*deadletter.Entry) {
	list := make([]file, 0, len(failed))
	for token, e := range failed {
		list = append(list, file{state: Failed, name: failedName(token, e), stamp: fmt.Sprint(e.Version, e.Attempts, e.Last.UnixNano()), token: token, version: e.Version, entry: e})
	}
	slices.SortFunc(list, func(a, b file) int {
		return cmp.Or(b.entry.Last.Compare(a.entry.Last), strings.Compare(a.token, b.token))
	})
	s.counts[Failed] = len(list)
	s.files = append(s.files, list[:min(limit, len(list))]...)
}

// nameOf names the file of a version of an object, in whatever folder: data_UID_TIME_NUMBER
// as in a classic queue, the time being that of the version. What the classic tools take for
// a change ends with .zs, so none of them takes this one.
func nameOf(token string, v version.Version) string {
	return fmt.Sprintf("data_%s_%s_%d.json", plain(token), seconds(v.Time()), uint16(v))
}

// failedName is nameOf, but for an export that failed, which may have no version, and of
// which each channel may have one.
func failedName(token string, e *deadletter.Entry) string {
	if e.Stage == deadletter.Import && e.Version > 0 {
		return nameOf(token, e.Version)
	}
	number := crc32.ChecksumIEEE([]byte(e.Channel+"/"+e.UID)) % 1_000_000
	return fmt.Sprintf("data_%s_%s_%d.json", plain(token), seconds(e.First), number)
}

func seconds(t time.Time) string { return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000) }

// plain gives a token without the underscores that part a file's name.
func plain(token string) string {
	digest, hashed := strings.CutPrefix(token, "_")
	if !hashed {
		return token
	}
	raw, err := base64.RawURLEncoding.DecodeString(digest)
	if err != nil {
		return strings.ReplaceAll(digest, "_", "-")
	}
	return hex.EncodeToString(raw[:min(16, len(raw))])
}
