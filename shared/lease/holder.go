package lease

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nuid"
)

// Holder says who has a lease.
type Holder struct {
	ID   string `json:"id"` // of the lease in the process, random
	Host string `json:"host"`
	// Space names the set of processes in which PID has a meaning: a boot of a
	// machine, a container. Empty where the system has no such name.
	Space   string    `json:"space,omitempty"`
	PID     int       `json:"pid"`
	Started string    `json:"started,omitempty"` // tells processes of one PID apart
	Since   time.Time `json:"since"`
}

// String is for messages.
func (h Holder) String() string { return fmt.Sprintf("process %d on %s", h.PID, h.Host) }

func newHolder() Holder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	pid := os.Getpid()
	return Holder{
		ID: nuid.Next(), Host: host, Space: space(), PID: pid, Started: started(pid), Since: time.Now().UTC(),
	}
}

// dead tells whether the holder is known to have ended. That is the case only where
// its processes can be seen from here: nobody has to wait for the lease of a process
// that was killed on the same machine.
func (h *Holder) dead() bool {
	return h.Space != "" && h.Started != "" && h.Space == space() && started(h.PID) != h.Started
}

// space reads the boot and the process namespace of Linux.
func space() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + ns
}

// started gives the start time of a process as the kernel counts it (proc(5), stat,
// field 22), empty when there is no such process, or it has ended and only its parent
// has not taken notice.
func started(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, ok := strings.Cut(string(b), ") ") // the name before may hold anything
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}
