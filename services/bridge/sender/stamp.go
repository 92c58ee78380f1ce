package sender

import (
	"cmp"
	"fmt"

	"synchro.example/services/bridge/queue"
)

// stamp is what a file's name says of when its object was so: the classic tool's clock ticks
// a hundred times a second, and may give one time to several files of an object. Their
// numbers put them in an order then, which is that of queue.Name.
type stamp struct {
	micros int64 // since 1970
	number int
}

func stampOf(n queue.Name) stamp { return stamp{n.Time.UnixMicro(), n.Number} }

func (s stamp) after(other stamp) bool {
	return cmp.Or(cmp.Compare(s.micros, other.micros), cmp.Compare(s.number, other.number)) > 0
}

// String is empty where no file has come.
func (s stamp) String() string {
	if s.micros == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d", s.micros, s.number)
}

// parseStamp reads what String wrote. What it cannot read is older than any file.
func parseStamp(text string) (s stamp) {
	if _, err := fmt.Sscanf(text, "%d.%d", &s.micros, &s.number); err != nil {
		return stamp{}
	}
	return s
}
