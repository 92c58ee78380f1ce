//go:build unix

package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is what must arrive of a file or a folder.
type entry struct {
	mode   fs.FileMode
	mtime  time.Time
	size   int64
	digest [sha256.Size]byte
}

// look reads the tree of a site; without bytes, files have no digest.
func (w *world) look(name string, bytes bool) map[string]entry {
	w.t.Helper()
	tree := map[string]entry{}
	root, err := filepath.EvalSymlinks(w.path(name))
	must(w.t, err)
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it is being worked on
		}
		if err != nil || p == root {
			return err
		}
		e, err := lookAt(p, d, bytes)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		tree[p[len(root)+1:]] = e
		return err
	})
	must(w.t, err)
	return tree
}

func lookAt(p string, d fs.DirEntry, bytes bool) (entry, error) {
	info, err := d.Info()
	if err != nil {
		return entry{}, err
	}
	e := entry{mode: info.Mode(), mtime: info.ModTime()}
	if info.Mode().IsRegular() {
		e.size = info.Size()
		if bytes {
			e.digest, err = digest(p)
		}
	}
	return e, err
}

func digest(file string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}

// differences says in what two trees differ, "" when in nothing.
func differences(want, got map[string]entry) string {
	var found []string
	for p, e := range want {
		switch g, ok := got[p]; {
		case !ok:
			found = append(found, p+" is missing")
		case g != e:
			found = append(found, fmt.Sprintf("%s is %v instead of %v", p, g, e))
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			found = append(found, p+" should not be there")
		}
	}
	if len(found) == 0 {
		return ""
	}
	slices.Sort(found)
	return fmt.Sprintf("%d differences: %s", len(found), strings.Join(found[:min(5, len(found))], "; "))
}

func (e entry) String() string {
	return fmt.Sprintf("{%v %s %d %x}", e.mode, e.mtime.UTC().Format(time.RFC3339Nano), e.size, e.digest[:4])
}

// fill copies parts of Go's source tree into the source: the normal form, or all of it.
func (w *world) fill(normal ...string) {
	w.t.Helper()
	from := goSource(w.t)
	args := []string{"-a"}
	for _, dir := range pick(normal, []string{"."}) {
		args = append(args, from+"/"+dir) // Join would drop the dot that stands for what is inside
	}
	out, err := exec.CommandContext(w.t.Context(), "cp", append(args, w.path(source))...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("copy: %v: %s", err, out)
	}
}

// normalParts is the content of most tests in their normal form: about 1,500 files.
var normalParts = []string{"net", "image", "time", "go", "text", "os"}

// edits is what an editing did to the source.
type edits struct{ moved, changed, removed, added int }

func (e edits) all() int { return e.moved + e.changed + e.removed + e.added }

// edit renames the folder net to net2, changes 100 files elsewhere, deletes the folder
// image, and adds 500 files in 5 folders.
func (w *world) edit() edits {
	w.t.Helper()
	e := edits{moved: 1, removed: len(w.look(source+"/image", false)) + 1}
	w.rename(source+"/net", source+"/net2")
	must(w.t, os.RemoveAll(w.path(source, "image")))
	e.changed = w.change(100, "a change")
	e.added = w.add("new", 500)
	return e
}

// change appends a line to n files that have not just moved.
func (w *world) change(n int, line string) int {
	w.t.Helper()
	done := 0
	files := w.look(source, false)
	for _, p := range sortedKeys(files) {
		if done == n || !files[p].mode.IsRegular() || strings.HasPrefix(p, "net") {
			continue
		}
		f, err := os.OpenFile(w.path(source, p), os.O_APPEND|os.O_WRONLY, 0)
		must(w.t, err)
		_, err = f.WriteString("// " + line + "\n")
		must(w.t, errors.Join(err, f.Close()))
		done++
	}
	if done != n {
		w.t.Fatalf("there are only %d files to change", done)
	}
	return done
}

// add makes n files in 5 folders and gives the number of objects.
func (w *world) add(folder string, n int) int {
	w.t.Helper()
	for i := range n {
		w.write(fmt.Sprintf("%s/%s/%d/page-%d.html", source, folder, i%5, i), fmt.Sprintf("<p>page %d of %s</p>\n", i, folder))
	}
	return n + 5 + 1
}
