//go:build unix

package folder

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/fault"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code fault.Code) *fault.Error {
	t.Helper()
	if err == nil || fault.Of(err).Code != code {
		t.Fatalf("got %v, want a fault with code %s", err, code)
	}
	return fault.Of(err)
}

// entry is an object for a target, with mode and time to the bit.
type entry struct {
	folder bool
	data   string
	mode   uint32
	mtime  stamp
}

func (e entry) change(uid, path string) *content.Change {
	typ := content.TypeFolder
	ps := []content.Payload{contenttest.Payload(content.PluginContent, MediaState, nil, state{mode: e.mode, mtime: e.mtime}.encode())}
	if !e.folder {
		typ = content.TypeFile
		_, name := split(path)
		ps = append(ps, contenttest.Payload(content.PluginFSS, MediaBytes, []string{"file", name}, []byte(e.data)))
	}
	return contenttest.Change(uid, path, typ, ps)
}

func (e entry) op(from, to string) content.Op {
	return content.Op{Change: e.change(to, to), From: from, To: to, Open: contenttest.OpenInline}
}

func removal(path, typ string) content.Op {
	return content.Op{Change: contenttest.Removal(path, path, typ), From: path}
}

func file(data string) entry { return entry{data: data, mode: 0o644, mtime: stamp{1e9, 5}} }
func folderOf(mode uint32) entry {
	return entry{folder: true, mode: mode, mtime: stamp{1e9 + 1, 7}}
}

// apply gives all results joined.
func apply(t testing.TB, target content.Target, ops ...content.Op) error {
	t.Helper()
	return errors.Join(target.Apply(t.Context(), ops)...)
}

func look(t testing.TB, path string) stat {
	t.Helper()
	h, err := openHandle(filepath.Dir(path))
	must(t, err)
	defer h.close()
	st, err := h.top.at(filepath.Base(path))
	must(t, err)
	return st
}

// list gives all items by path.
func list(t testing.TB, s interface{ content.Source }) map[string]content.Item {
	t.Helper()
	items := map[string]content.Item{}
	for it, err := range s.List(t.Context()) {
		must(t, err)
		items[it.Path] = it
	}
	return items
}

// laterSource is a source for which everything is long settled.
func laterSource(t testing.TB, root string) content.Source {
	return newSource(t, Options{Path: root, now: func() time.Time { return time.Now().Add(time.Hour) }})
}

const nobody = 65534

// unprivileged runs the calling test again as nobody when it runs as root, whom no
// permission stops. It is true in the process that is to do the work.
func unprivileged(t *testing.T) bool {
	if os.Getuid() != 0 {
		return true
	}
	dir, err := os.MkdirTemp("", "synchro-nobody-") //nolint:usetesting // nobody may not enter what t.TempDir makes
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	self, err := os.Executable()
	must(t, err)
	binary, err := os.ReadFile(self)
	must(t, err)
	again := filepath.Join(dir, "again.test")
	must(t, os.WriteFile(again, binary, 0o755))
	must(t, os.Chmod(again, 0o755))
	cmd := exec.CommandContext(t.Context(), again, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir, "PATH=/nonexistent", "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("this root may not become another user, who is needed to be refused anything")
	}
	if err != nil {
		t.Fatalf("as nobody: %v\n%s", err, out)
	}
	return false
}
