package history

import (
	"fmt"
	"strings"
	"testing"
)

// hex writes text as the tracer does.
func hex(text string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, `\x%02x`, text[i])
	}
	return b.String()
}

func TestTraceShowsWhatWasNotOnTheDiskInTime(t *testing.T) {
	staged := fmt.Sprintf(`7 fsync(9<%s>) = 0`, hex("/stage/x"))
	rename := fmt.Sprintf(`7 renameat(8<%s>, "%s", 9<%s>, "%s") = 0`, hex("/stage"), hex("x"), hex("/site/d"), hex("a"))
	syncBegins := fmt.Sprintf(`8 fsync(9<%s> <unfinished ...>`, hex("/site/d"))
	syncEnds := `8 <... fsync resumed>) = 0`
	syncFails := `8 <... fsync resumed>) = -1 EIO (Input/output error)`
	told := fmt.Sprintf(`9 write(5<%s>, "%s", 30) = 30`, hex("socket:[1]"), hex("HPUB L.u1 r 1 2\r\n"))
	for _, c := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"all in order", []string{staged, rename, syncBegins, syncEnds, told}, 0},
		{"told while the sync goes on", []string{staged, rename, syncBegins, told, syncEnds}, 1},
		{"the sync begins before the rename", []string{staged, syncBegins, rename, syncEnds, told}, 1},
		{"the sync fails", []string{staged, rename, syncBegins, syncFails, told}, 1},
		{"bytes not synced", []string{rename, syncBegins, syncEnds, told}, 1},
		{"nothing synced", []string{rename, told}, 2},
		{"nothing told", []string{rename}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls, err := ReadTrace(strings.NewReader(strings.Join(c.lines, "\n")))
			if err != nil {
				t.Fatal(err)
			}
			found := JudgeTrace("s1", calls, "/site", "L.", func(uid string) []string { return []string{"d/a"} })
			if len(found) != c.want {
				t.Errorf("found %q, want %d", found, c.want)
			}
		})
	}
}
