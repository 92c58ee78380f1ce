//go:build unix

package folder

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/fault"
)

func TestModeAndTimeArriveToTheBit(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	for i, mode := range []uint32{0, 0o400, 0o644, 0o755, 0o4755, 0o2755, 0o1644, 0o7777} {
		for j, mtime := range []stamp{{0, 0}, {-5, 1}, {1e9, 999999999}, {4e9, 1}} {
			name := string(rune('a'+i)) + string(rune('a'+j))
			must(t, apply(t, target, entry{data: "x", mode: mode, mtime: mtime}.op("", name), entry{folder: true, mode: mode, mtime: mtime}.op("", name+"d")))
			for _, p := range []string{name, name + "d"} {
				if st := look(t, filepath.Join(root, p)); st.perm() != mode || st.mtime != mtime {
					t.Errorf("%s has mode %o and time %v, want %o and %v", p, st.perm(), st.mtime, mode, mtime)
				}
			}
		}
	}
}

func TestFolderTimesStayWhileTheirEntriesChange(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	must(t, apply(t, target, folderOf(0o755).op("", "a"), folderOf(0o755).op("", "b")))
	keeps := func(what string) {
		t.Helper()
		for _, p := range []string{"a", "b"} {
			if st := look(t, filepath.Join(root, p)); st.mtime != folderOf(0).mtime {
				t.Errorf("after %s folder %q has the time %v", what, p, st.mtime)
			}
		}
		if left := leftIn(t, root); left != "" {
			t.Errorf("after %s there is still %s", what, left)
		}
	}
	must(t, apply(t, target, file("1").op("", "a/f"), folderOf(0o755).op("", "a/d")))
	keeps("creating")
	must(t, apply(t, target, file("2").op("a/f", "a/f")))
	keeps("rewriting")
	move := file("2").op("a/f", "b/f")
	move.SameBytes = true
	must(t, apply(t, target, move, folderOf(0o755).op("a/d", "b/d")))
	keeps("moving")
	must(t, apply(t, target, removal("b/f", content.TypeFile), removal("b/d", content.TypeFolder)))
	keeps("removing")
	other := folderOf(0o700)
	other.mtime = stamp{2e9, 2}
	must(t, apply(t, target, folderOf(0o755).op("a", "a"), file("1").op("", "b/g"), other.op("b", "b")))
	if st := look(t, filepath.Join(root, "b")); st.mtime != other.mtime || st.perm() != 0o700 {
		t.Errorf("the folder's own change in the batch is lost: %v, %o", st.mtime, st.perm())
	}
}

// leftIn names what is in the default staging folder of a tree.
func leftIn(t testing.TB, root string) string {
	t.Helper()
	left, err := os.ReadDir(stagingPath(root, ""))
	must(t, err)
	var names []string
	for _, e := range left {
		if e.Name() == lockName {
			continue
		}
		names = append(names, e.Name())
	}
	return strings.Join(names, ", ")
}

func TestFoldersWithoutRightsAreFilledAllTheSame(t *testing.T) {
	if !unprivileged(t) {
		return
	}
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	for _, mode := range []uint32{0o555, 0o311, 0} {
		must(t, apply(t, target, folderOf(mode).op("", "d"), folderOf(0o755).op("", "e")))
		must(t, apply(t, target, file("1").op("", "d/f"), folderOf(0o555).op("", "d/sub"), folderOf(mode).op("", "d/deep")))
		must(t, apply(t, target, file("1").op("", "d/deep/g")))
		must(t, apply(t, target, file("2").op("d/f", "d/f"), folderOf(0o555).op("d/sub", "e/sub")))
		must(t, apply(t, target, folderOf(mode).op("d", "e/d")))
		for _, p := range []string{"e/d", "e/d/deep"} {
			h, err := openHandle(root)
			must(t, err)
			if st := statForced(t, root, p); st.perm() != mode || st.mtime != folderOf(0).mtime {
				t.Errorf("%q has mode %o and time %v, want %o", p, st.perm(), st.mtime, mode)
			}
			must(t, h.close())
		}
		must(t, apply(t, target, removal("e/d/deep/g", content.TypeFile), removal("e/d/f", content.TypeFile)))
		must(t, apply(t, target, removal("e/d/deep", content.TypeFolder), removal("e/sub", content.TypeFolder)))
		must(t, apply(t, target, removal("e/d", content.TypeFolder)))
		if left := leftIn(t, root); left != "" {
			t.Errorf("left in the staging folder: %s", left)
		}
	}
}

// statForced looks into folders that may not be searched.
func statForced(t *testing.T, root, p string) stat {
	t.Helper()
	up, _ := split(p)
	if up != "" {
		was := statForced(t, root, up)
		must(t, os.Chmod(filepath.Join(root, up), 0o700))
		defer func() { must(t, unix.Chmod(filepath.Join(root, up), was.perm())) }()
	}
	return look(t, filepath.Join(root, p))
}

func openFile(t *testing.T, p string) *os.File {
	f, err := os.Open(p)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestLinksInTheTreeLeadNowhere(t *testing.T) {
	root := newTree(t)
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "f"), []byte("dear"), 0o600))
	must(t, os.Mkdir(filepath.Join(root, "inner"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "inner", "f"), []byte("dear"), 0o600))
	target := newTarget(t, Options{Path: root})
	for _, to := range []string{outside, "inner", "../tree/inner", "loop"} {
		link := filepath.Join(root, "loop")
		must(t, os.Symlink(to, link))
		for _, op := range []content.Op{
			file("x").op("", "loop/f"), file("x").op("", "loop/new"), folderOf(0o755).op("", "loop/d"), folderOf(0o777).op("loop", "loop"),
			file("x").op("", "loop"), folderOf(0o700).op("inner", "loop/inner"),
		} {
			wantCode(t, apply(t, target, op), fault.PathTaken)
		}
		must(t, apply(t, target, removal("loop/f", content.TypeFile), removal("loop", content.TypeFile)))
		must(t, os.Remove(link))
	}
	for _, dir := range []string{outside, filepath.Join(root, "inner")} {
		entries, err := os.ReadDir(dir)
		must(t, err)
		b, err := os.ReadFile(filepath.Join(dir, "f"))
		must(t, err)
		if st := look(t, filepath.Join(dir, "f")); len(entries) != 1 || string(b) != "dear" || st.perm() != 0o600 {
			t.Errorf("%s was written to: %v %q", dir, entries, b)
		}
	}
}

func TestStagedFileReplacesALinkNowhere(t *testing.T) {
	root := newTree(t)
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("dear"), 0o600))
	must(t, os.Symlink(victim, filepath.Join(root, "f")))
	target := newTarget(t, Options{Path: root})
	wantCode(t, apply(t, target, file("x").op("f", "f")), fault.PathTaken)
	meta := file("dear").op("f", "f")
	meta.SameBytes = true
	wantCode(t, apply(t, target, meta), fault.PathTaken)
	if st := look(t, victim); st.perm() != 0o600 || st.size != 4 {
		t.Error("what the link points to was changed")
	}
}

func TestImpossibleNamesAreRefused(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	for _, name := range []string{"..", ".", "a/../b", "a//b", "/a", "a/", "x\x00y", "../out"} {
		wantCode(t, apply(t, target, file("x").op("", name)), fault.NameRefused)
		wantCode(t, apply(t, target, removal(name, content.TypeFile)), fault.NameRefused)
	}
	if f := wantCode(t, apply(t, target, file("x").op("", strings.Repeat("n", 256))), fault.NameTooLong); f.Class != fault.Park {
		t.Errorf("class %s", f.Class)
	}
	wantCode(t, apply(t, target, content.Op{Change: contenttest.Change("u", "p", "Document", nil), To: "p"}), fault.Unsupported)
}

func TestStagingIsRefusedWhereItCannotWork(t *testing.T) {
	root := newTree(t)
	open := func(opts Options) error {
		opts.Log = quietLog()
		target, err := OpenTarget(opts)
		if err == nil {
			must(t, target.Close())
		}
		return err
	}
	first := newTarget(t, Options{Path: root})
	if err := open(Options{Path: root}); !strings.Contains(wantCode(t, err, fault.Misconfigured).Error(), "in use") {
		t.Error(err)
	}
	must(t, first.Close())
	must(t, open(Options{Path: root}))
	wantCode(t, open(Options{Path: root, Staging: filepath.Join(root, "inside")}), fault.Misconfigured)
	wantCode(t, open(Options{Path: root, Staging: filepath.Dir(root)}), fault.Misconfigured)
	if look(t, root).dev != look(t, "/dev/shm").dev {
		elsewhere := "/dev/shm/synchro-staging-test"
		defer os.Remove(elsewhere)
		if err := open(Options{Path: root, Staging: elsewhere}); !strings.Contains(wantCode(t, err, fault.Misconfigured).Error(), "another file system") {
			t.Error(err)
		}
	}
	wantCode(t, open(Options{Path: filepath.Join(root, "no", "such")}), fault.TargetMissing)
}

func TestMissingRootIsNotMadeAnew(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	must(t, apply(t, target, file("1").op("", "f")))
	must(t, os.RemoveAll(root))
	f := wantCode(t, apply(t, target, file("1").op("", "g"), folderOf(0o755).op("", "d")), fault.TargetMissing)
	if !f.WholeSite || f.Class != fault.Retry {
		t.Errorf("%+v", f)
	}
	if _, err := os.Lstat(root); err == nil {
		t.Error("the receiving folder was made again")
	}
	must(t, os.Mkdir(root, 0o755))
	must(t, apply(t, target, file("1").op("", "g")))
}

func TestWritesAreLoggedOnceEach(t *testing.T) {
	root := newTree(t)
	log := filepath.Join(t.TempDir(), "writes")
	target := newTarget(t, Options{Path: root, Writes: log})
	bad := "n\xff"
	must(t, apply(t, target, folderOf(0o755).op("", "d"), file("1").op("", bad)))
	must(t, apply(t, target, folderOf(0o755).op("d", "d"), file("1").op(bad, bad)))
	must(t, apply(t, target, file("2").op(bad, bad), folderOf(0o700).op("d", "d")))
	must(t, apply(t, target, file("2").op(bad, "m"))) // as it is after a crash in the middle of the next
	must(t, apply(t, target, file("3").op("m", bad), removal("d", content.TypeFolder)))
	must(t, target.Close())
	f := openFile(t, log)
	var ops []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var line writeLine
		must(t, json.Unmarshal(sc.Bytes(), &line))
		ops = append(ops, string(line.Op))
		if line.Op == effectCreate && string(line.Raw) != bad {
			t.Errorf("raw path %q", line.Raw)
		}
	}
	if got := strings.Join(ops, " "); got != "mkdir create rewrite meta move rewrite move remove" {
		t.Errorf("effects: %s", got)
	}
	if s := target.Stats(); s.Skipped != 2 || s.Created != 2 || s.Rewritten != 2 || s.MetaOnly != 1 || s.Moved != 2 || s.Removed != 1 {
		t.Errorf("%+v", s)
	}
}

func TestUnchangedBytesAreNotRead(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	must(t, apply(t, target, file("same").op("", "f")))
	ino := look(t, filepath.Join(root, "f")).ino
	other := file("same")
	other.mode = 0o600
	op := other.op("f", "g")
	op.SameBytes, op.Open = true, contenttest.OpenNever
	must(t, apply(t, target, op))
	if st := look(t, filepath.Join(root, "g")); st.ino != ino || st.perm() != 0o600 {
		t.Errorf("inode %d and mode %o, want %d and 600", st.ino, st.perm(), ino)
	}
}

func TestBytesThatWereChangedLocallyAreNotTakenForTheSame(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	must(t, apply(t, target, file("right").op("", "f")))
	must(t, os.WriteFile(filepath.Join(root, "f"), []byte("wrong"), 0o644))
	op := file("right").op("f", "g")
	op.SameBytes = true
	must(t, apply(t, target, op))
	if b, err := os.ReadFile(filepath.Join(root, "g")); err != nil || string(b) != "right" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestAFolderThatCouldNotBeSetBackIsSetBackLater(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	must(t, apply(t, target, folderOf(0o755).op("", "d")))
	before := look(t, filepath.Join(root, "d"))
	k := target.live.keeper
	d, err := target.live.tree.walk("d")
	must(t, err)
	h, err := k.enter("d", func() (stat, error) { return d.at(".") })
	must(t, err)
	must(t, os.WriteFile(filepath.Join(root, "d", "f"), []byte("x"), 0o644))
	must(t, d.close())
	if err := k.leave(h, d); err == nil {
		t.Fatal("a folder that is closed was set back")
	}
	if left := leftIn(t, root); left == "" {
		t.Error("the note about it is gone")
	}
	must(t, apply(t, target, folderOf(0o755).op("", "elsewhere")))
	if after := look(t, filepath.Join(root, "d")); after.mtime != before.mtime {
		t.Errorf("the folder is of %v, want %v", after.mtime, before.mtime)
	}
	if left := leftIn(t, root); left != "" {
		t.Errorf("left in the staging folder: %s", left)
	}
}

func TestANoteThatCouldNotBeDroppedIsDroppedLater(t *testing.T) {
	target := newTarget(t, Options{Path: newTree(t)})
	k := target.live.keeper
	note := filepath.Join(target.live.staging.path, "synchro-note-x")
	must(t, os.Mkdir(note, 0o755)) // which is not removed as a note is
	k.dropNote(&hold{note: filepath.Base(note)})
	must(t, os.Remove(note))
	must(t, os.Symlink("1 0 755 1 d", note))
	must(t, apply(t, target, folderOf(0o755).op("", "d")))
	if _, err := os.Lstat(note); err == nil {
		t.Error("the note is still there")
	}
}

func TestAFileThatIsNotAsExpectedIsLeftAsItStands(t *testing.T) {
	root := newTree(t)
	target := newTarget(t, Options{Path: root})
	must(t, apply(t, target, file("edited").op("", "a"), file("other").op("", "b")))
	a, b := look(t, filepath.Join(root, "a")), look(t, filepath.Join(root, "b"))
	for name, op := range map[string]content.Op{
		"newer":    file("newer").op("a", "a"),
		"moved":    file("edited").op("a", "c"),
		"replaced": file("other").op("b", "a"),
		"removed":  removal("a", content.TypeFile),
	} {
		var asked []string
		op.Found = func(path, fingerprint string) error {
			asked = append(asked, path)
			if want := map[string]string{"a": a.fingerprint(), "b": b.fingerprint()}[path]; fingerprint != want {
				t.Errorf("%s: %s is said to be %q, and is %q", name, path, fingerprint, want)
			}
			if path == "a" {
				return fault.Errorf(fault.Retry, fault.Edited, "it was edited")
			}
			return nil
		}
		wantCode(t, apply(t, target, op), fault.Edited)
		if len(asked) == 0 || look(t, filepath.Join(root, "a")) != a || look(t, filepath.Join(root, "b")) != b {
			t.Errorf("%s: what stands there is another one than before", name)
		}
	}
}
