// Package workload makes content that changes, and looks at trees that should hold the
// same. Every file says in its first line whose it is and how often that was changed, and
// the rest follows from these, so that a reader who has nothing but the file can tell
// whether it is whole, how old it is, and whether anybody ever wrote it.
package workload

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
)

// Stamp is the first line of a file.
type Stamp struct {
	Key  int // of the file, for ever
	Rev  int // how often it was changed
	Size int // of the whole file
}

const stampFormat = "synchro-test key=%d rev=%d size=%d\n"

// Bytes makes the content that a stamp announces.
func (s Stamp) Bytes() []byte {
	b := make([]byte, 0, s.Size)
	b = fmt.Appendf(b, stampFormat, s.Key, s.Rev, s.Size)
	rnd := rand.NewChaCha8([32]byte{byte(s.Key), byte(s.Key >> 8), byte(s.Key >> 16), byte(s.Rev), byte(s.Rev >> 8)})
	rest := make([]byte, max(s.Size-len(b), 0))
	_, _ = rnd.Read(rest)
	return append(b, rest...)
}

// minSize holds any first line.
const minSize = 64

var errPartial = errors.New("it is not whole")

// Check reads the stamp of a file and tells whether the rest is as it says.
func Check(data []byte) (Stamp, error) {
	var s Stamp
	if _, err := fmt.Sscanf(string(data[:min(len(data), minSize)]), stampFormat, &s.Key, &s.Rev, &s.Size); err != nil {
		return s, fmt.Errorf("%w: there is no stamp in %d bytes", errPartial, len(data))
	}
	if len(data) != s.Size || !bytes.Equal(data, s.Bytes()) {
		return s, fmt.Errorf("%w: %d bytes are not those of key %d, revision %d", errPartial, len(data), s.Key, s.Rev)
	}
	return s, nil
}
