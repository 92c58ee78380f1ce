//go:build unix

package folder

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/content"
)

// crashOps are the batches that the process which is killed carries out, and that
// the next one is asked for again.
func crashOps() [][]content.Op {
	var files, rewrites, moves []content.Op
	for i := range 40 {
		p := fmt.Sprintf("d/f%d", i)
		files = append(files, file(crashData(i, 'a')).op("", p))
		rewrites = append(rewrites, file(crashData(i, 'b')).op(p, p))
		if i < 10 {
			moves = append(moves, file(crashData(i, 'b')).op(p, fmt.Sprintf("e/m%d", i)))
			moves[i].SameBytes = true
		}
	}
	return [][]content.Op{
		{folderOf(0o755).op("", "d"), folderOf(0o555).op("", "e")},
		files, rewrites, moves,
		{removal("d/f39", content.TypeFile), folderOf(0o755).op("d", "dd")},
	}
}

func crashData(i int, what byte) string { return strings.Repeat(string(what), 1000+i*997) }

// TestCrashChild is the process that is killed. It says when it begins.
func TestCrashChild(t *testing.T) {
	root := os.Getenv("FOLDER_CRASH_TREE")
	if root == "" {
		t.Skip("only runs within TestKilledAtAnyMoment")
	}
	target := newTarget(t, Options{Path: root})
	fmt.Println("begin")
	for _, ops := range crashOps() {
		must(t, errors.Join(target.Apply(t.Context(), ops)...))
		fmt.Println("done")
	}
}

func TestKilledAtAnyMoment(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	_, took := crashOnce(t, newTree(t), time.Hour)
	for range rounds {
		root := newTree(t)
		done, _ := crashOnce(t, root, time.Duration(rnd.Int64N(int64(took))))
		noPartial(t, root)
		target := newTarget(t, Options{Path: root})
		timesKept(t, root)
		for _, ops := range crashOps()[done:] {
			must(t, errors.Join(target.Apply(t.Context(), ops)...))
		}
		afterCrash(t, root)
		must(t, target.Close())
	}
}

// crashOnce starts the child and kills it some time after it began. It gives how
// many batches were reported done, and how long the child worked.
func crashOnce(t *testing.T, root string, after time.Duration) (done int, took time.Duration) {
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestCrashChild$")
	cmd.Env = append(os.Environ(), "FOLDER_CRASH_TREE="+root)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	said := bufio.NewScanner(out)
	if !said.Scan() {
		t.Fatal("the child said nothing")
	}
	start := time.Now()
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	for said.Scan() {
		if said.Text() == "done" {
			done++
		}
	}
	_ = cmd.Wait()
	return done, time.Since(start)
}

func noPartial(t *testing.T, root string) {
	t.Helper()
	for p, it := range list(t, laterSource(t, root)) {
		if it.Type == content.TypeFolder {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, p))
		must(t, err)
		st := look(t, filepath.Join(root, p))
		if len(b) == 0 || strings.Trim(string(b), string(b[0])) != "" || st.perm() != 0o644 || st.mtime != file("").mtime {
			t.Errorf("%q is a partial file: %d bytes, mode %o, time %v", p, len(b), st.perm(), st.mtime)
		}
		var i int
		if _, err := fmt.Sscanf(filepath.Base(p), "f%d", &i); err == nil && len(b) != 1000+i*997 {
			t.Errorf("%q has %d bytes", p, len(b))
		}
	}
}

// timesKept checks what the notes are for: folders are as their changes said,
// although the process died while it worked in them. A folder whose own change
// was under way is done again anyway.
func timesKept(t *testing.T, root string) {
	t.Helper()
	for _, p := range []string{"d", "e", "dd"} {
		_, err := os.Lstat(filepath.Join(root, p, "f1"))
		_, err2 := os.Lstat(filepath.Join(root, p, "m1"))
		if err != nil && err2 != nil {
			continue
		}
		if st := look(t, filepath.Join(root, p)); st.mtime != folderOf(0).mtime {
			t.Errorf("folder %q has the time %v after the start that mends it", p, st.mtime)
		}
	}
	if left := leftIn(t, root); left != "" {
		t.Errorf("left in the staging folder: %s", left)
	}
}

func afterCrash(t *testing.T, root string) {
	t.Helper()
	items := list(t, laterSource(t, root))
	if len(items) != 41 {
		t.Errorf("%d objects, want 41", len(items))
	}
	for i := range 39 {
		p := fmt.Sprintf("dd/f%d", i)
		if i < 10 {
			p = fmt.Sprintf("e/m%d", i)
		}
		if b, err := os.ReadFile(filepath.Join(root, p)); err != nil || string(b) != crashData(i, 'b') {
			t.Errorf("%q has %d bytes, %v", p, len(b), err)
		}
	}
	for p, mode := range map[string]uint32{"dd": 0o755, "e": 0o555} {
		if st := look(t, filepath.Join(root, p)); st.mtime != folderOf(0).mtime || st.perm() != mode {
			t.Errorf("folder %q has mode %o and time %v", p, st.perm(), st.mtime)
		}
	}
}

func TestNotesOfADeadProcessAreCarriedOut(t *testing.T) {
	root := newTree(t)
	name := "d\n x"
	must(t, os.Mkdir(filepath.Join(root, name), 0o755))
	target := newTarget(t, Options{Path: root})
	was := look(t, filepath.Join(root, name))
	was.mtime, was.mode = stamp{-3, 4}, was.mode&^permBits|0o511
	_, err := target.live.keeper.enter(name, func() (stat, error) { return was, nil })
	must(t, err)
	_, err = target.live.keeper.enter("gone", func() (stat, error) { return was, nil })
	must(t, err)
	must(t, os.WriteFile(filepath.Join(stagingPath(root, ""), stagedPrefix+"77"), []byte("half"), 0o600))
	must(t, os.WriteFile(filepath.Join(stagingPath(root, ""), "foreign"), []byte("keep"), 0o600))
	must(t, target.Close())
	newTarget(t, Options{Path: root})
	if st := look(t, filepath.Join(root, name)); st.mtime != was.mtime || st.perm() != 0o511 {
		t.Errorf("the folder has mode %o and time %v", st.perm(), st.mtime)
	}
	if left := leftIn(t, root); left != "foreign" {
		t.Errorf("left in the staging folder: %s", left)
	}
}
