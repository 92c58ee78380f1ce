//go:build linux

package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/fault"
)

// traced are the system calls of the child of TestKilledAtAnyMoment.
func traced(t *testing.T) []string {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace to see the order of system calls")
	}
	self, err := os.Executable()
	must(t, err)
	out := filepath.Join(t.TempDir(), "trace")
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-o", out,
		"-e", "trace=openat,write,fsync,syncfs,renameat,renameat2,unlinkat,mkdirat", self, "-test.run=^TestCrashChild$")
	cmd.Env = append(os.Environ(), "FOLDER_CRASH_TREE="+newTree(t))
	if msg, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(msg), "ptrace") {
			t.Skipf("may not trace: %s", msg)
		}
		t.Fatalf("%v: %s", err, msg)
	}
	b, err := os.ReadFile(out)
	must(t, err)
	_, b2, _ := strings.Cut(string(b), `"begin\n"`)
	return strings.Split(b2, "\n")
}

// TestBytesAreOnDiskBeforeTheirNameAndNamesBeforeTheResult holds for every batch:
// between making a file and renaming it there is a sync, and between the last
// effect and the result another.
func TestBytesAreOnDiskBeforeTheirNameAndNamesBeforeTheResult(t *testing.T) {
	unsynced, pending, placed, batches := false, false, 0, 0
	for _, line := range traced(t) {
		switch {
		case strings.Contains(line, " resumed>"):
		case strings.Contains(line, "sync(") || strings.Contains(line, "syncfs("):
			unsynced, pending = false, false
		case strings.Contains(line, "O_EXCL") && strings.Contains(line, stagedPrefix):
			unsynced = true
		case strings.Contains(line, "renameat") && strings.Contains(line, stagedPrefix):
			if placed++; unsynced {
				t.Errorf("renamed before a sync: %s", line)
			}
			pending = true
		case strings.Contains(line, "renameat"), strings.Contains(line, "mkdirat"),
			strings.Contains(line, "unlinkat") && !strings.Contains(line, "synchro-"):
			pending = true
		case strings.Contains(line, `"done\n"`):
			if batches++; pending {
				t.Errorf("batch %d is done before a sync", batches)
			}
		}
	}
	if placed != 80 || batches != len(crashOps()) {
		t.Errorf("saw %d files placed and %d batches", placed, batches)
	}
}

func TestFoundAsItShouldBeIsSyncedAllTheSame(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	must(t, apply(t, target, file("1").op("", "f"), folderOf(0o755).op("", "d")))
	was := target.Stats()
	must(t, apply(t, target, file("1").op("", "f")))
	// An earlier process may have died between the rename and the sync.
	if is := target.Stats(); is.Fsyncs-was.Fsyncs != 2 || is.Skipped != was.Skipped+1 {
		t.Errorf("%+v after %+v", is, was)
	}
}

func TestTreeThatIsMovedAwayWhileItIsWrittenToIsMissing(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	op := file("1").op("", "f")
	op.Open = func(ctx context.Context, p *content.Payload) (io.ReadCloser, error) {
		must(t, os.Rename(root, root+".away"))
		return contenttest.OpenInline(ctx, p)
	}
	wantCode(t, apply(t, target, op), fault.TargetMissing)
}

func TestTreeThatIsMovedAwayWhileItIsListedIsMissing(t *testing.T) {
	root := newTree(t)
	must(t, os.WriteFile(filepath.Join(root, "a"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(root, "b"), nil, 0o644))
	s := laterSource(t, root)
	var last error
	for it, err := range s.List(t.Context()) {
		if last = err; it.Path == "a" {
			must(t, os.Rename(root, root+".away"))
		}
	}
	wantCode(t, last, fault.SourceMissing)
}

func TestZerosTakeNoRoom(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	must(t, apply(t, target, file("x"+strings.Repeat("\x00", 8<<20)+"x").op("", "f")))
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(root, "f"), &st))
	if st.Size != 8<<20+2 || st.Blocks*512 > 1<<20 {
		t.Errorf("%d bytes take %d KiB", st.Size, st.Blocks/2)
	}
}

// TestOneBadFileInABulkLeavesNothingBehind fails every third of many files.
func TestOneBadFileInABulkLeavesNothingBehind(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	broken := errors.New("broken")
	var ops []content.Op
	for i := range 60 {
		op := file("x").op("", fmt.Sprint(i))
		if i%3 == 0 {
			op.Open = func(context.Context, *content.Payload) (io.ReadCloser, error) { return nil, broken }
		}
		ops = append(ops, op)
	}
	for i, err := range target.Apply(t.Context(), ops) {
		if (i%3 == 0) != errors.Is(err, broken) {
			t.Errorf("op %d gave %v", i, err)
		}
	}
	if left := leftIn(t, root); left != "" || len(list(t, laterSource(t, root))) != 40 {
		t.Errorf("left in the staging folder: %s", left)
	}
}
