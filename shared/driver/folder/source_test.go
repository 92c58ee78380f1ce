//go:build unix

package folder

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

func TestReadGivesModeAndTimeToTheBit(t *testing.T) {
	root := newTree(t)
	p := filepath.Join(root, "f")
	must(t, os.WriteFile(p, []byte("x"), 0o600))
	must(t, unix.Chmod(p, 0o6751))
	must(t, os.Chtimes(p, time.Time{}, time.Unix(-2, 123456789)))
	s := laterSource(t, root)
	snap, err := s.Read(t.Context(), list(t, s)["f"])
	must(t, err)
	got, err := io.ReadAll(snap.Parts[0].Body)
	must(t, errors.Join(err, snap.Close()))
	if want := `{"mode":"6751","mtime":"-2.123456789"}`; string(got) != want {
		t.Errorf("content payload %s, want %s", got, want)
	}
	st, err := parseState(got)
	must(t, err)
	if st != (state{mode: 0o6751, mtime: stamp{-2, 123456789}}) {
		t.Errorf("parsed as %+v", st)
	}
	if snap.Meta["size"] != int64(1) || snap.Meta["mode"] != "6751" || !snap.Meta["modified"].(time.Time).Equal(time.Unix(-2, 123456789)) {
		t.Errorf("meta %v", snap.Meta)
	}
}

func TestFreshFileIsUnsettledUntilItIsQuiet(t *testing.T) {
	root := newTree(t)
	must(t, os.WriteFile(filepath.Join(root, "f"), nil, 0o644))
	born := look(t, filepath.Join(root, "f")).ctime.time()
	now := born
	s := newSource(t, Options{Path: root, now: func() time.Time { return now }})
	for _, c := range []struct {
		at        time.Time
		unsettled bool
	}{{born.Add(99 * time.Millisecond), true}, {born.Add(100 * time.Millisecond), false}} {
		now = c.at
		if got := list(t, s)["f"].Unsettled; got != c.unsettled {
			t.Errorf("unsettled %v after %v", got, c.at.Sub(born))
		}
	}
}

func TestFileFromTheFutureSettlesByStayingTheSame(t *testing.T) {
	root := newTree(t)
	p := filepath.Join(root, "f")
	must(t, os.WriteFile(p, []byte("1"), 0o644))
	now := time.Now().Add(-time.Hour)
	s := newSource(t, Options{Path: root, now: func() time.Time { return now }})
	want := func(unsettled bool) {
		t.Helper()
		if got := list(t, s)["f"].Unsettled; got != unsettled {
			t.Errorf("unsettled %v, want %v", got, unsettled)
		}
	}
	want(true)
	now = now.Add(time.Second)
	want(false)
	time.Sleep(10 * time.Millisecond)
	must(t, os.WriteFile(p, []byte("2"), 0o644))
	want(true)
	now = now.Add(time.Second)
	want(false)
}

func TestHardLinksShareNoIdentity(t *testing.T) {
	root := newTree(t)
	for _, d := range []string{"a", "b"} {
		must(t, os.Mkdir(filepath.Join(root, d), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(root, "b/x"), nil, 0o644))
	must(t, os.Link(filepath.Join(root, "b/x"), filepath.Join(root, "a/y")))
	must(t, os.Link(filepath.Join(root, "b/x"), filepath.Join(root, "z")))
	items := list(t, laterSource(t, root))
	if items["a/y"].Identity == "" || items["b/x"].Identity != "" || items["z"].Identity != "" {
		t.Errorf("identities %q, %q, %q", items["a/y"].Identity, items["b/x"].Identity, items["z"].Identity)
	}
}

func TestWhatCannotBeCarriedIsReportedOnceAndSkipped(t *testing.T) {
	root := newTree(t)
	var log bytes.Buffer
	must(t, os.Symlink("/etc", filepath.Join(root, "link")))
	must(t, os.Symlink("dir", filepath.Join(root, "inner")))
	must(t, os.Mkdir(filepath.Join(root, "dir"), 0o755))
	must(t, unix.Mkfifo(filepath.Join(root, "pipe"), 0o644))
	s := newSource(t, Options{Path: root, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		if items := list(t, s); len(items) != 1 {
			t.Fatalf("listed %v", items)
		}
	}
	for _, what := range []string{"path=link", "path=inner", "path=pipe"} {
		if n := strings.Count(log.String(), what+" "); n != 1 {
			t.Errorf("%s was reported %d times:\n%s", what, n, log.String())
		}
	}
}

func TestSwappedEntriesAreNotFollowed(t *testing.T) {
	root := newTree(t)
	outside := t.TempDir()
	for _, d := range []string{filepath.Join(root, "d"), filepath.Join(root, "other")} {
		must(t, os.Mkdir(d, 0o755))
		must(t, os.WriteFile(filepath.Join(d, "f"), []byte(d), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(outside, "f"), []byte("secret"), 0o644))
	s := laterSource(t, root)
	item := list(t, s)["d/f"]
	must(t, os.Rename(filepath.Join(root, "d"), filepath.Join(root, "was")))
	for _, to := range []string{outside, "other", "d"} {
		must(t, os.Symlink(to, filepath.Join(root, "d")))
		if _, err := s.Read(t.Context(), item); err == nil {
			t.Errorf("read through a link to %s", to)
		}
		if _, err := s.Read(t.Context(), content.Item{Path: "d/f"}); err == nil {
			t.Errorf("found through a link to %s", to)
		}
		if _, ok := list(t, s)["d/f"]; ok {
			t.Errorf("listed through a link to %s", to)
		}
		must(t, os.Remove(filepath.Join(root, "d")))
	}
	must(t, unix.Mkfifo(filepath.Join(root, "d"), 0o644))
	if _, err := s.Read(t.Context(), content.Item{Path: "d"}); err == nil {
		t.Error("read a pipe")
	}
}

func TestFolderOpenedThroughALinkIsRefused(t *testing.T) {
	root := newTree(t)
	must(t, os.Mkdir(filepath.Join(root, "real"), 0o755))
	must(t, os.Symlink("real", filepath.Join(root, "link")))
	h, err := openHandle(root)
	must(t, err)
	defer h.close()
	if _, err := h.child(h.top, "link"); !errors.Is(err, errNotFolder) {
		t.Errorf("opened a link: %v", err)
	}
	for _, p := range []string{"../tree", "a/../real", "", "a//b", "./real", "real/", "a\x00"} {
		wantCode(t, checkPath(p), fault.NameRefused)
	}
}

func TestHalfWrittenFileIsNotGivenOut(t *testing.T) {
	root := newTree(t)
	p := filepath.Join(root, "f")
	must(t, os.WriteFile(p, []byte("whole"), 0o644))
	s := laterSource(t, root)
	item := list(t, s)["f"]
	read := func() error {
		snap, err := s.Read(t.Context(), item)
		if err != nil {
			return err
		}
		_, err = io.ReadAll(snap.Parts[1].Body)
		must(t, err)
		time.Sleep(10 * time.Millisecond)
		must(t, os.WriteFile(filepath.Join(root, "new"), []byte("other"), 0o644))
		must(t, os.Rename(filepath.Join(root, "new"), p))
		return snap.Close()
	}
	wantCode(t, read(), fault.Unsettled) // replaced while it was read
	wantCode(t, read(), fault.Unsettled) // other than it was listed
}

func TestFileWhoseFolderIsReplacedWhileItIsReadIsUnsettled(t *testing.T) {
	for name, after := range map[string]func(root string){
		"gone": func(string) {},
		"replaced": func(root string) {
			must(t, os.Mkdir(filepath.Join(root, "d"), 0o755))
			must(t, os.WriteFile(filepath.Join(root, "d", "f"), []byte("1"), 0o644))
		},
	} {
		root := newTree(t)
		must(t, os.Mkdir(filepath.Join(root, "d"), 0o755))
		must(t, os.WriteFile(filepath.Join(root, "d", "f"), []byte("1"), 0o644))
		s := laterSource(t, root)
		snap, err := s.Read(t.Context(), list(t, s)["d/f"])
		must(t, err)
		must(t, os.Rename(filepath.Join(root, "d"), filepath.Join(root, "e")))
		after(root)
		t.Log(name)
		wantCode(t, snap.Close(), fault.Unsettled)
	}
}

func TestUnreadableIsUnsettledAndShieldsWhatItHolds(t *testing.T) {
	if !unprivileged(t) {
		return
	}
	root := newTree(t)
	must(t, os.MkdirAll(filepath.Join(root, "closed", "sub"), 0o755))
	must(t, os.MkdirAll(filepath.Join(root, "nosearch", "sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "secret"), nil, 0o644))
	must(t, os.Chmod(filepath.Join(root, "closed"), 0o311))
	must(t, os.Chmod(filepath.Join(root, "nosearch"), 0o644))
	must(t, os.Chmod(filepath.Join(root, "secret"), 0o200))
	t.Cleanup(func() {
		_ = os.Chmod(filepath.Join(root, "closed"), 0o755)
		_ = os.Chmod(filepath.Join(root, "nosearch"), 0o755)
	})
	s := laterSource(t, root)
	items := list(t, s)
	for _, p := range []string{"closed", "nosearch", "secret"} {
		if it, ok := items[p]; !ok || !it.Unsettled {
			t.Errorf("%q is %+v, listed: %v", p, it, ok)
		}
	}
	if len(items) != 3 {
		t.Errorf("listed %v", items)
	}
	_, err := s.Read(t.Context(), items["secret"])
	wantCode(t, err, fault.ReadFailed)
}

func TestReplacedRootIsSeen(t *testing.T) {
	root := newTree(t)
	s := laterSource(t, root)
	must(t, os.WriteFile(filepath.Join(root, "old"), nil, 0o644))
	list(t, s)
	must(t, os.RemoveAll(root))
	must(t, os.Mkdir(root, 0o755))
	must(t, os.WriteFile(filepath.Join(root, "new"), nil, 0o644))
	if _, ok := list(t, s)["new"]; !ok {
		t.Error("the old folder is still listed")
	}
	must(t, os.RemoveAll(root))
	must(t, os.WriteFile(root, nil, 0o644))
	for _, err := range s.List(t.Context()) {
		wantCode(t, err, fault.SourceMissing)
	}
}

func TestWatchFaultsSayWhatToRaise(t *testing.T) {
	for errno, what := range map[error]string{unix.ENOSPC: "fs.inotify.max_user_watches", unix.EMFILE: "fs.inotify.max_user_instances"} {
		err := watchFault(errno, "/tree", 17)
		if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "17 folders") {
			t.Errorf("%v", err)
		}
	}
}
