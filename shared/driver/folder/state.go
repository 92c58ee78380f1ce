//go:build unix

package folder

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"synchro.example/shared/content"
)

// Media types of the payloads.
const (
	MediaState = "application/json"
	MediaBytes = "application/octet-stream"
)

// maxState bounds the content payload of a file or folder.
const maxState = 64 << 10

// state is the content payload: what an object is besides its bytes.
type state struct {
	mode  uint32
	mtime stamp
}

// wireState travels as JSON. Mtime is seconds since 1970, rounded down, and always
// nine digits of a second to be added.
type wireState struct {
	Mode  string `json:"mode"`
	Mtime string `json:"mtime"`
}

func (s state) encode() []byte {
	b, err := json.Marshal(wireState{
		Mode:  fmt.Sprintf("%04o", s.mode),
		Mtime: fmt.Sprintf("%d.%09d", s.mtime.sec, s.mtime.nsec),
	})
	if err != nil {
		panic(err) // two strings
	}
	return b
}

// parseState reads what encode made; other keys are left for later versions.
func parseState(b []byte) (state, error) {
	var w wireState
	if err := json.Unmarshal(b, &w); err != nil {
		return state{}, fmt.Errorf("content payload: %w", err)
	}
	mode, err := strconv.ParseUint(w.Mode, 8, 32)
	if err != nil || mode > permBits {
		return state{}, fmt.Errorf("content payload: mode %q is not four octal digits", w.Mode)
	}
	mtime, err := parseStamp(w.Mtime)
	return state{mode: uint32(mode), mtime: mtime}, err
}

// bareState is that of a folder which comes with nothing but its name, because something
// below it is to be here and it is not.
func bareState(captured time.Time) state {
	return state{mode: 0o755, mtime: stamp{captured.Unix(), int64(captured.Nanosecond())}}
}

func parseStamp(s string) (stamp, error) {
	whole, rest, _ := strings.Cut(s, ".")
	sec, err1 := strconv.ParseInt(whole, 10, 64)
	nsec, err2 := strconv.ParseUint(rest, 10, 32)
	if err1 != nil || err2 != nil || len(rest) != 9 {
		return stamp{}, fmt.Errorf("content payload: mtime %q is not seconds, a point and nine digits", s)
	}
	return stamp{sec, int64(nsec)}, nil
}

// matches tells whether an entry has this state already.
func (s state) matches(st stat) bool { return st.perm() == s.mode && st.mtime == s.mtime }

func metaOf(st stat) map[string]any {
	m := map[string]any{"mode": fmt.Sprintf("%04o", st.perm()), "modified": st.mtime.time()}
	if st.isRegular() {
		m["size"] = st.size
	}
	return m
}

func typeOf(st stat) string {
	if st.isDir() {
		return content.TypeFolder
	}
	return content.TypeFile
}
