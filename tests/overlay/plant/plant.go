// Package plant is what patched code calls: planted bugs, points of death, and a scripted
// target. It does nothing until the environment of the process says what.
package plant

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/nats-io/nats.go/jetstream"
)

// The variables that wake it.
const (
	BugVariable    = "SYNCHRO_PLANTED" // the name of one bug
	PointVariable  = "SYNCHRO_POINT"   // NAME:N, to die there at the N-th time
	ScriptVariable = "SYNCHRO_SCRIPT"  // the file of a Script
)

var bug = os.Getenv(BugVariable)

// On tells whether a bug is planted in this process.
func On(name string) bool { return bug == name }

var (
	pointName, pointNth = parsePoint(os.Getenv(PointVariable))
	pointHits           atomic.Int64
)

func parsePoint(s string) (name string, nth int64) {
	name, n, ok := strings.Cut(s, ":")
	if !ok {
		return "", 0
	}
	nth, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		panic(PointVariable + " is NAME:N")
	}
	return name, nth
}

// Point kills the process here, when that was asked for.
func Point(name string) {
	if name != pointName || pointHits.Add(1) != pointNth {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing must happen between the signal and the end
}

// Sequence is the place of a message in its stream.
func Sequence(m jetstream.Msg) uint64 {
	meta, err := m.Metadata()
	if err != nil {
		return 0
	}
	return meta.Sequence.Stream
}
