package queue

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

const (
	// maxUID keeps a name, with the .lock of a writer behind it, below 255 bytes.
	maxUID = 200
	// maxNumber is the largest number at the end of a name.
	maxNumber = 1_000_000
)

// Name is the name of a change's file, data_UID_TIME_NUMBER.zs.
type Name struct {
	// UID is the object's, "" when it has none.
	UID string
	// Time decides the order in which files are worked, in whole microseconds.
	Time time.Time
	// Number tells files of one object and time apart, 0 to 1,000,000.
	Number int
}

// The two patterns differ on purpose. What we write is narrow, so that every reader
// understands it; what the classic reader takes is wide: it asks only how a name
// begins, and for any character where the dot should be.
var (
	uidPattern     = regexp.MustCompile(`^[A-Za-z0-9-]*$`)
	writtenPattern = regexp.MustCompile(
		`^data_([A-Za-z0-9-]*)_(0|[1-9][0-9]{0,10})\.([0-9]{6})_(0|[1-9][0-9]{0,6})\.zs$`)
	classicPattern = regexp.MustCompile(`^data_([^_]*)_([^_]*)_([^.]*).zs`)
)

// maxSeconds is the last second that writtenPattern has room for, in the year 5138.
const maxSeconds = 99_999_999_999

// NewName makes a name that every reader accepts, its time cut to the microsecond.
func NewName(uid string, at time.Time, number int) (Name, error) {
	n := Name{UID: uid, Time: time.UnixMicro(at.UnixMicro()).UTC(), Number: number}
	switch {
	case !uidPattern.MatchString(uid):
		return Name{}, fmt.Errorf("uid %q: only letters, digits and - can be in a queue's file name", uid)
	case len(uid) > maxUID:
		return Name{}, fmt.Errorf("uid of %d bytes: at most %d fit into a file name", len(uid), maxUID)
	case at.Unix() < 0 || at.Unix() > maxSeconds:
		return Name{}, fmt.Errorf("time %s: cannot be written in a queue's file name", at)
	case number < 0 || number > maxNumber:
		return Name{}, fmt.Errorf("number %d: want 0 to %d", number, maxNumber)
	}
	return n, nil
}

// ParseName reads a name as String writes it and refuses every other, also such as the
// classic reader would take: a file still being written must not be mistaken for a whole one.
func ParseName(s string) (Name, error) {
	parts := writtenPattern.FindStringSubmatch(s)
	if parts == nil {
		return Name{}, fmt.Errorf("%q is not the name of a queue's file, data_UID_TIME_NUMBER.zs", s)
	}
	// The pattern bounds the digits, so that none of these can fail.
	seconds, _ := strconv.ParseInt(parts[2], 10, 64)
	micros, _ := strconv.ParseInt(parts[3], 10, 64)
	number, _ := strconv.Atoi(parts[4])
	return NewName(parts[1], time.Unix(seconds, micros*int64(time.Microsecond)), number)
}

// Matches tells whether the classic reader takes a file of this name for a change. It
// also takes NAME.zs.lock and NAME.zs123. Any other name in IMPORT/TO_PROCESS ends a
// classic import before its first file.
func Matches(name string) bool { return classicPattern.MatchString(name) }

// String gives the file's name.
func (n Name) String() string {
	return fmt.Sprintf("data_%s_%d.%06d_%d.zs", n.UID, n.Time.Unix(), n.Time.Nanosecond()/1000, n.Number)
}

// Compare orders names by time, as files are worked. The classic tool leaves equal
// times to chance; here number and uid decide, so that the order is always the same.
func (n Name) Compare(other Name) int {
	return cmp.Or(
		n.Time.Compare(other.Time),
		cmp.Compare(n.Number, other.Number),
		cmp.Compare(n.UID, other.UID),
	)
}
