//go:build unix

package folder

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
)

// TestFileThatIsBeingCutIsNotTakenForEmpty writes a file anew again and again, as editors
// do: cut it, then write it. On ext4 it is empty for a moment with the change time that it
// had when it was whole, and so looks as if it had been empty for long.
func TestFileThatIsBeingCutIsNotTakenForEmpty(t *testing.T) {
	root := newTree(t)
	name := filepath.Join(root, "f")
	data := bytes.Repeat([]byte("x"), 1<<20)
	var whole sync.Map // the change times at which the file was whole
	write := func() {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Error(err)
		}
		st, err := statAt(unix.AT_FDCWD, name)
		if err != nil {
			t.Error(err)
		}
		whole.Store(st.ctime, true)
	}
	write()
	src, err := OpenSource(Options{Path: root, Settle: 20 * time.Millisecond})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			time.Sleep(25 * time.Millisecond)
			write()
		}
	}()
	reads := 0
	for ctx.Err() == nil {
		for item, err := range src.List(t.Context()) {
			must(t, err)
			if n, ok := readWhole(t, src, item); ok {
				reads++
				if _, was := whole.Load(item.Handle.(stat).ctime); was && n != len(data) {
					t.Fatalf("%d bytes are said to be those of a moment at which there were %d", n, len(data))
				}
			}
		}
	}
	<-done
	if reads == 0 {
		t.Error("the file was never read")
	}
}

// readWhole reads the bytes of an object, unless it is, or turns out to have been, written.
func readWhole(t *testing.T, src content.Source, item content.Item) (n int, ok bool) {
	t.Helper()
	if item.Unsettled {
		return 0, false
	}
	snap, err := src.Read(t.Context(), item)
	if err != nil {
		return 0, false
	}
	for _, p := range snap.Parts {
		if p.Plugin == content.PluginFSS {
			b, err := io.ReadAll(p.Body)
			must(t, err)
			n = len(b)
		}
	}
	return n, snap.Close() == nil
}
