package history

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Call is one system call of a trace, with what the tracer says of its arguments.
type Call struct {
	Name string
	Args []string // names of files for descriptors, text for strings
	// Begin and End are lines: what ends before another begins has happened before it.
	Begin, End int
	OK         bool
}

var (
	wholeCall   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+|\?)`)
	begunCall   = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumedCall = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|\?)`)
	argument    = regexp.MustCompile(`<((?:\\x[0-9a-f]{2})*)>|"((?:\\x[0-9a-f]{2})*)"`)
)

// ReadTrace reads what `strace -f -y -xx` wrote.
func ReadTrace(r io.Reader) ([]Call, error) {
	var calls []Call
	begun := map[string]Call{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if m := resumedCall.FindStringSubmatch(line); m != nil {
			c := begun[m[1]]
			delete(begun, m[1])
			c.Args = append(c.Args, arguments(m[3])...)
			c.End, c.OK = n, !strings.HasPrefix(m[4], "-") && m[4] != "?"
			calls = append(calls, c)
		} else if m := begunCall.FindStringSubmatch(line); m != nil {
			begun[m[1]] = Call{Name: m[2], Args: arguments(m[3]), Begin: n}
		} else if m := wholeCall.FindStringSubmatch(line); m != nil {
			calls = append(calls, Call{Name: m[2], Args: arguments(m[3]), Begin: n, End: n, OK: !strings.HasPrefix(m[4], "-") && m[4] != "?"})
		}
	}
	return calls, lines.Err()
}

func arguments(text string) (args []string) {
	for _, m := range argument.FindAllStringSubmatch(text, -1) {
		s, err := strconv.Unquote(`"` + m[1] + m[2] + `"`)
		if err != nil {
			s = ""
		}
		args = append(args, s)
	}
	return args
}

// entry is a change of a folder: the name, and what must reach the disk for it.
type entry struct {
	folder, path string
	staged       string // the file that was renamed into place, if one was
	end          int
}

// JudgeTrace tells whether an importer had everything on the disk when it told its
// ledger. paths gives the places that an object was written to; ledger is what begins the
// subject of a ledger entry. Calls that only failed are left out.
func JudgeTrace(site string, calls []Call, root, ledger string, paths func(uid string) []string) (found []Violation) {
	entries := entriesBelow(root, calls)
	for _, c := range calls {
		if c.Name != "write" || len(c.Args) < 2 {
			continue
		}
		for _, uid := range uidsIn(c.Args[1], ledger) {
			for _, p := range paths(uid) {
				if e, ok := lastBefore(entries, path.Join(root, p), c.Begin); ok {
					found = append(found, unsynced(site, calls, e, c, p)...)
				}
			}
		}
	}
	return found
}

func entriesBelow(root string, calls []Call) map[string][]entry {
	entries := map[string][]entry{}
	add := func(folder, name, staged string, end int) {
		p := path.Join(folder, name)
		if folder == root || strings.HasPrefix(folder, root+"/") {
			entries[p] = append(entries[p], entry{folder, p, staged, end})
		}
	}
	for _, c := range calls {
		switch {
		case !c.OK:
		case strings.HasPrefix(c.Name, "renameat") && len(c.Args) >= 4:
			add(c.Args[0], c.Args[1], "", c.End)
			staged := ""
			if !strings.HasPrefix(c.Args[0]+"/", root+"/") {
				staged = path.Join(c.Args[0], c.Args[1])
			}
			add(c.Args[2], c.Args[3], staged, c.End)
		case (c.Name == "mkdirat" || c.Name == "unlinkat") && len(c.Args) >= 2:
			add(c.Args[0], c.Args[1], "", c.End)
		}
	}
	return entries
}

func lastBefore(entries map[string][]entry, p string, line int) (last entry, ok bool) {
	for _, e := range entries[p] {
		if e.end < line {
			last, ok = e, true
		}
	}
	return last, ok
}

func unsynced(site string, calls []Call, e entry, told Call, p string) (found []Violation) {
	if !syncedBetween(calls, e.folder, e.end, told.Begin) {
		found = append(found, Violation{DurableWord, site, fmt.Sprintf("the ledger was told of %s before its folder was on the disk", p)})
	}
	if e.staged != "" && !syncedBetween(calls, e.staged, 0, e.end) {
		found = append(found, Violation{DurableWord, site, fmt.Sprintf("%s came into place before its bytes were on the disk", p)})
	}
	return found
}

func syncedBetween(calls []Call, file string, after, before int) bool {
	for _, c := range calls {
		if !c.OK || c.Begin <= after || c.End >= before || len(c.Args) == 0 {
			continue
		}
		if c.Name == "syncfs" || (c.Name == "fsync" || c.Name == "fdatasync") && c.Args[0] == file {
			return true
		}
	}
	return false
}

// uidsIn finds the subjects of ledger entries in what goes to the broker.
func uidsIn(text, ledger string) (uids []string) {
	for {
		_, rest, ok := strings.Cut(text, "HPUB "+ledger)
		if !ok {
			return uids
		}
		uid, _, _ := strings.Cut(rest, " ")
		uids = append(uids, uid)
		text = rest
	}
}
