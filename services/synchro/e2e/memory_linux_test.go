package e2e

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

const mebibyte = 1 << 20

// peak gives the most memory that a process has had resident, in MiB.
func (p *process) peak() int {
	p.w.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(p.w.t, err)
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	var kib int
	_, err = fmt.Sscan(rest, &kib)
	must(p.w.t, err)
	return kib / 1024
}

func TestALargeFilePassesWithFlatMemory(t *testing.T) {
	long(t)
	w := newWorld(t, "paris", "lyon")
	w.small()
	f := commands(w)
	services := []string{"broker", "exporter", "relay", "paris", "lyon"}
	f.up(services...)
	f.becomesEqual(w.receivers...)
	idle := map[string]int{}
	for _, name := range services {
		idle[name] = f.alive[name].peak()
	}

	size := pick(int64(128), 1024) * mebibyte
	start := time.Now()
	w.random("large.bin", size)
	f.becomesEqual(w.receivers...)
	figure(t, fmt.Sprintf("file of %d MiB to two receivers", size/mebibyte), "%.1f s with making and comparing it", time.Since(start).Seconds())
	for _, name := range services {
		more := f.alive[name].peak() - idle[name]
		figure(t, "peak memory of "+name, "%d MiB idle, %d MiB more while the file passed", idle[name], more)
		if more > memoryBound {
			t.Errorf("%s takes %d MiB more than idle, want at most %d", name, more, memoryBound)
		}
	}
}

// random writes a file that cannot be compressed or told apart by holes.
func (w *world) random(name string, size int64) {
	w.t.Helper()
	file, err := os.Create(w.path(source, name))
	must(w.t, err)
	_, err = io.CopyN(file, rand.Reader, size)
	must(w.t, err)
	must(w.t, file.Close())
}

func TestASparseFileStaysSparse(t *testing.T) {
	long(t)
	w := newWorld(t, "paris")
	w.small()
	size := pick(int64(256), 5*1024) * mebibyte
	file, err := os.Create(w.path(source, "sparse.img"))
	must(t, err)
	_, err = file.WriteAt([]byte("the end"), size-7)
	must(t, err)
	must(t, file.Close())

	start := time.Now()
	w.once()
	took := time.Since(start)
	w.equal("paris")
	figure(t, fmt.Sprintf("sparse file of %d MiB", size/mebibyte), "%.1f s, %d KiB on the source's disk and %d on the receiver's, broker's store %d KiB",
		took.Seconds(), w.onDisk(source), w.onDisk("paris"), w.onDisk("broker"))
	if used := w.onDisk("paris") + w.onDisk("broker"); used > 16*1024 {
		t.Errorf("the zeros take %d KiB", used)
	}
}
