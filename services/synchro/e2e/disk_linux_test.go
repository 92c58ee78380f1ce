package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// onDisk gives how many KiB the files of a folder take.
func (w *world) onDisk(name string) int64 {
	w.t.Helper()
	var blocks int64
	err := filepath.WalkDir(w.path(name), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			blocks += info.Sys().(*syscall.Stat_t).Blocks
		}
		return err
	})
	must(w.t, err)
	return blocks / 2
}

func TestAFullDiskPausesItsSiteUntilThereIsRoom(t *testing.T) {
	w := newWorld(t, "paris", "lyon")
	w.mount("disk", "size=4m")
	w.mkdir("disk", "paris")
	w.configure("path: ./paris,", "path: ./disk/paris,")
	must(t, os.Remove(w.path("paris")))
	must(t, os.Symlink("disk/paris", w.path("paris"))) // for looking at it
	w.small()
	w.start(synchro, "up")
	w.becomesEqual("lyon")

	for _, name := range []string{"a", "b", "c", "d"} {
		w.random(name+".bin", 3*mebibyte)
	}
	reason := w.becomes("paris", "paused")
	if !strings.Contains(reason, "no space left") {
		t.Errorf("the reason is %q", reason)
	}
	w.becomesEqual("lyon")
	if n := *w.status()["paris"].Errors; n > 0 {
		t.Errorf("a full disk makes %d failures of objects", n)
	}
	must(t, syscall.Mount("", w.path("disk"), "", syscall.MS_REMOUNT, "size=64m"))
	w.becomesEqual("paris", "lyon")
}

// mount gives a folder a file system of its own.
func (w *world) mount(name, options string) {
	w.t.Helper()
	if os.Getuid() != 0 {
		w.t.Skip("needs root, to mount a small file system")
	}
	w.mkdir(name)
	if err := syscall.Mount("tmpfs", w.path(name), "tmpfs", 0, options); err != nil {
		w.t.Skipf("cannot mount a small file system: %v", err)
	}
	w.t.Cleanup(func() {
		for _, p := range w.processes {
			p.kill()
		}
		if err := syscall.Unmount(w.path(name), 0); err != nil {
			w.t.Error(err)
		}
	})
}
