package command

import (
	"fmt"
	"io"
	"sync"
	"time"

	"synchro.example/shared/content"
)

// landings prints each change that has taken effect on a site, from the moment on
// that it is told to.
type landings struct {
	mu    sync.Mutex // importers tell from goroutines of their own
	out   io.Writer
	shown bool
	known map[landing]string // to the path where it was last
}

type landing struct{ site, uid string }

func newLandings(out io.Writer) *landings {
	return &landings{out: out, known: map[landing]string{}}
}

// show begins to print.
func (l *landings) show() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown = true
}

// announce prints a line of somebody else's between two landings.
func (l *landings) announce(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.out, text)
}

// tell has the form of landed.
func (l *landings) tell(site, path string, c *content.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := landing{site, c.Object.UID}
	was := l.known[id]
	kind := string(c.Kind)
	switch {
	case c.Kind == content.Removed:
		path = c.Object.Path // it has no place any more
		delete(l.known, id)
	case was == "":
		kind = "created"
		l.known[id] = path
	case was != path:
		kind = "moved"
		l.known[id] = path
	}
	if c.Object.Type == content.TypeFolder {
		path += "/"
	}
	if l.shown {
		fmt.Fprintf(l.out, "  %s  %-6s %-9s %s  (%d ms after capture)\n", time.Now().Format("15:04:05.000"),
			site, kind, printable(path), time.Since(c.CapturedAt).Milliseconds())
	}
}
