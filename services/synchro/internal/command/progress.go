package command

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress shows on a terminal how far long work is, and nothing elsewhere.
type progress struct {
	out   io.Writer // nil: nobody looks
	what  string
	of    int
	shown time.Time
}

func (a *app) progress(what string, of int) *progress {
	p := &progress{what: what, of: of}
	if f, ok := a.err.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.out = f
		}
	}
	return p
}

func (p *progress) at(done int) {
	if p.out == nil || time.Since(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = time.Now()
	fmt.Fprintf(p.out, "\r%s %d of %d", p.what, done, p.of)
}

// end clears the line.
func (p *progress) end() {
	if p.out != nil && !p.shown.IsZero() {
		fmt.Fprint(p.out, "\r\033[K")
	}
}
