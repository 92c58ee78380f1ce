//go:build linux

package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// mountSmall mounts a file system of 1 MiB with room for 16 files.
func mountSmall(t *testing.T) string {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,nr_inodes=16"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestFullDiskPausesAndGoesOn(t *testing.T) {
	root := filepath.Join(mountSmall(t), "tree")
	target := newTarget(t, Options{Path: root})
	must(t, apply(t, target, file("old").op("", "f")))
	big := file(strings.Repeat("x", 900<<10))
	must(t, apply(t, target, big.op("", "big")))
	f := wantCode(t, apply(t, target, file(strings.Repeat("y", 300<<10)).op("f", "f")), fault.DiskFull)
	if f.Class != fault.Retry || !f.WholeSite {
		t.Errorf("a full disk is %+v", f)
	}
	if b, err := os.ReadFile(filepath.Join(root, "f")); err != nil || string(b) != "old" {
		t.Errorf("the old file is %q, %v", b, err)
	}
	if left := leftIn(t, root); left != "" {
		t.Errorf("left in the staging folder: %s", left)
	}
	must(t, apply(t, target, removal("big", content.TypeFile)))
	must(t, apply(t, target, file(strings.Repeat("y", 300<<10)).op("f", "f")))
}

func TestRemovalMakesRoomOnAFullDisk(t *testing.T) {
	root := filepath.Join(mountSmall(t), "tree")
	target := newTarget(t, Options{Path: root})
	var last int
	var err error
	for ; err == nil; last++ {
		err = apply(t, target, file("x").op("", fmt.Sprint(last)))
	}
	wantCode(t, err, fault.DiskFull)
	must(t, apply(t, target, removal("0", content.TypeFile)))
	must(t, apply(t, target, removal("1", content.TypeFile)))
	must(t, apply(t, target, file("x").op("", fmt.Sprint(last))))
}

func TestMountPointCannotBeItsOwnStagingNeighbour(t *testing.T) {
	dir := mountSmall(t)
	_, err := OpenTarget(Options{Path: dir, Log: quietLog()})
	if f := wantCode(t, err, fault.Misconfigured); f.Class != fault.Stop || !strings.Contains(f.Error(), "subfolder") {
		t.Error(f)
	}
	_ = os.Remove(stagingPath(dir, ""))
}

func TestUnmountedTreeIsMissing(t *testing.T) {
	mount := mountSmall(t)
	root := filepath.Join(mount, "tree")
	target := newTarget(t, Options{Path: root})
	must(t, apply(t, target, file("1").op("", "f")))
	must(t, unix.Unmount(mount, unix.MNT_DETACH))
	wantCode(t, apply(t, target, file("2").op("", "g")), fault.TargetMissing)
	if entries, err := os.ReadDir(mount); err != nil || len(entries) != 0 {
		t.Errorf("something was made below the mount point: %v %v", entries, err)
	}
}

func TestNoPermissionIsParkedAndTouchesNothingElse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make a folder that belongs to somebody else")
	}
	root := newTree(t)
	must(t, os.Mkdir(filepath.Join(root, "theirs"), 0o755))
	flags, err := unix.IoctlGetInt(int(openFile(t, filepath.Join(root, "theirs")).Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		t.Skip("the file system knows no immutable folders, which alone refuse root")
	}
	immutable := func(on int) {
		must(t, unix.IoctlSetPointerInt(int(openFile(t, filepath.Join(root, "theirs")).Fd()), unix.FS_IOC_SETFLAGS, flags|on))
	}
	immutable(0x10)
	defer immutable(0)
	target := newTarget(t, Options{Path: root})
	errs := target.Apply(t.Context(), []content.Op{file("1").op("", "theirs/f"), file("2").op("", "mine")})
	if f := wantCode(t, errs[0], fault.Permission); f.Class != fault.Park || f.WholeSite {
		t.Errorf("permission is %+v", f)
	}
	must(t, errs[1])
}

func TestSparseFilePassesInFlatMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("5 GiB take a few seconds")
	}
	const size = 5 << 30
	from, to := newTree(t), newTree(t)
	must(t, os.WriteFile(filepath.Join(from, "f"), []byte("begin"), 0o644))
	must(t, os.Truncate(filepath.Join(from, "f"), size))
	source, target := laterSource(t, from), newTarget(t, Options{Path: to})
	snap, err := source.Read(t.Context(), list(t, source)["f"])
	must(t, err)
	op := file("").op("", "f")
	op.Change.Payload(content.PluginFSS).Size = size
	op.Open = func(context.Context, *content.Payload) (io.ReadCloser, error) {
		return io.NopCloser(snap.Parts[1].Body), nil
	}
	peak := watchHeap(t)
	must(t, apply(t, target, op))
	must(t, snap.Close())
	if grown := peak(); grown > 16<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(to, "f"), &st))
	if st.Size != size || st.Blocks*512 > 1<<20 {
		t.Errorf("%d bytes in %d KiB on disk", st.Size, st.Blocks/2)
	}
}

// watchHeap gives the growth of the heap until it is asked.
func watchHeap(t *testing.T) func() uint64 {
	read := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	base, top := read(), uint64(0)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			top = max(top, read())
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() uint64 {
		stop()
		<-done
		return max(top, base) - base
	}
}

func TestHolesAreWhereZerosAre(t *testing.T) {
	zero, one := strings.Repeat("\x00", hole), strings.Repeat("1", hole)
	for name, data := range map[string]string{
		"nothing": "", "short": "abc", "short zeros": "\x00\x00", "zeros": zero + zero, "hole first": zero + one,
		"hole last": one + zero, "hole inside": one + zero + zero + one, "hole over two windows": one + one + one + zero + zero + one + "x",
		"unaligned zeros": "1" + zero + zero, "zeros and a bit": zero + "\x00\x00",
	} {
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		must(t, err)
		n, err := copySparse(t.Context(), f, strings.NewReader(data))
		must(t, errors.Join(err, f.Close()))
		b, err := os.ReadFile(f.Name())
		must(t, err)
		if n != int64(len(data)) || string(b) != data {
			t.Errorf("%s: %d bytes of %d, equal: %v", name, len(b), len(data), string(b) == data)
		}
	}
}

func TestBulkNeedsTwoSyncs(t *testing.T) {
	target := newTarget(t, Options{Path: newTree(t)})
	var ops []content.Op
	for i := range 256 {
		ops = append(ops, file("x").op("", fmt.Sprint(i)))
	}
	must(t, apply(t, target, ops...))
	if s := target.Stats(); s.Syncfs+s.Fsyncs > 2 || s.Files != 256 {
		t.Errorf("%+v", s)
	}
	one := newTarget(t, Options{Path: newTree(t)})
	must(t, apply(t, one, file("x").op("", "f")))
	if s := one.Stats(); s.Fsyncs != 2 || s.Syncfs != 0 {
		t.Errorf("%+v", s)
	}
}

// BenchmarkSmallFiles applies 2,000 files of 4 KiB in batches of the advised size.
func BenchmarkSmallFiles(b *testing.B) {
	data := strings.Repeat("x", 4096)
	var took time.Duration
	var syncs, files int64
	for b.Loop() {
		b.StopTimer()
		root := newTree(b)
		target := newTarget(b, Options{Path: root})
		var ops []content.Op
		for d := range 20 {
			must(b, apply(b, target, folderOf(0o755).op("", fmt.Sprint(d))))
			for i := range 100 {
				ops = append(ops, file(data).op("", fmt.Sprintf("%d/%d", d, i)))
			}
		}
		was := target.Stats()
		b.StartTimer()
		start := time.Now()
		for len(ops) > 0 {
			n := min(len(ops), target.Batch())
			must(b, errors.Join(target.Apply(b.Context(), ops[:n])...))
			ops = ops[n:]
		}
		is := target.Stats()
		took += time.Since(start)
		syncs += is.Fsyncs + is.Syncfs - was.Fsyncs - was.Syncfs
		files += is.Files
		must(b, target.Close())
	}
	b.ReportMetric(float64(files)/took.Seconds(), "files/s")
	b.ReportMetric(float64(syncs)/float64(files), "syncs/file")
}
