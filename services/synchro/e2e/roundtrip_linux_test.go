package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestBytesComeBackFromAClassicQueueAsTheyWere sends files from a folder into a classic
// queue, carries them over to another one as somebody would by hand, and has a bridge send
// them on to another folder. Each service is a process of its own.
func TestBytesComeBackFromAClassicQueueAsTheyWere(t *testing.T) {
	w := newWorld(t)
	w.roundTrip()
	values := make([]byte, 256)
	for i := range values {
		values[i] = byte(i)
	}
	w.write("hq/empty", "")
	w.write("hq/one", "\x00")
	w.write("hq/a/b/all values", string(values))
	w.start("synchro", "broker")
	w.listens()
	services := []*process{
		w.start("synchro-exporter", "--site", "hq"), w.start("synchro-relay"), w.start("synchro-bridge", "--site", "there"),
		w.start("synchro-bridge", "--site", "back"), w.start("synchro-importer", "--site", "paris"),
	}
	w.comesBack("empty", "one", "a/b/all values")
	w.write("back/EXPORT/TO_PROCESS/README", "nobody reads me")
	w.eventually("status shows the queues", func() string {
		s := w.status()
		if there, back := s["there"], s["back"]; there.Folders["IMPORT/DONE"] != 3 || back.Folders["EXPORT/DONE"] != 3 || len(back.Odd) != 1 {
			return fmt.Sprintf("%v, %v %q", there.Folders, back.Folders, back.Odd)
		}
		return ""
	})
	if acceptance == "" {
		return
	}
	idle := map[*process]int{}
	for _, p := range services {
		idle[p] = p.peak()
	}
	start := time.Now()
	w.random("large", 300*mebibyte)
	w.comesBack("empty", "one", "a/b/all values", "large")
	figure(t, "300 MiB through two classic queues", "%.1f s with making and comparing it", time.Since(start).Seconds())
	for _, p := range services {
		figure(t, "peak memory of "+p.name, "%d MiB idle, %d MiB more while the file passed", idle[p], p.peak()-idle[p])
		if more := p.peak() - idle[p]; more > memoryBound {
			t.Errorf("%s takes %d MiB more than idle, want at most %d", p.name, more, memoryBound)
		}
	}
}

// roundTrip configures two folders and two queues, and what goes from the one to the other.
func (w *world) roundTrip() {
	w.t.Helper()
	w.write("synchro.yaml", fmt.Sprintf(`broker: {embedded: {dir: ./broker, listen: %q}}
sites:
  hq: {folder: {path: ./hq}}
  there: {queue: {path: ./there, rescan: 50ms}}
  back: {queue: {path: ./back, rescan: 50ms}}
  paris: {folder: {path: ./paris}}
channels:
  out: {from: hq, to: [there]}
  in: {from: back, to: [paris]}
`, w.listen))
	w.mkdir("paris")
	w.succeeds("queue", "create", "-d", w.path("there"))
	w.succeeds("queue", "create", "-d", w.path("back"))
}

// comesBack waits until the files have the same bytes at the end of the way.
func (w *world) comesBack(files ...string) {
	w.t.Helper()
	w.eventually("all has come back", func() string {
		w.carryOver()
		for _, name := range files {
			want, got := w.digest("hq", name), w.digest("paris", name)
			if got != want {
				return fmt.Sprintf("%s has %q, want %q; the queues have %v and %v", name, got, want, w.queued("there/IMPORT"), w.queued("back/EXPORT"))
			}
		}
		return ""
	})
	if left := w.queued("back/EXPORT"); left["ERROR"] > 0 {
		w.t.Errorf("the queue on the way back has %v", left)
	}
}

// carryOver does what the classic importer does with what has come, and puts a copy into the
// other queue.
func (w *world) carryOver() {
	w.t.Helper()
	came, err := filepath.Glob(w.path("there/IMPORT/TO_PROCESS/*.zs"))
	must(w.t, err)
	for _, file := range came {
		name := filepath.Base(file)
		must(w.t, os.Link(file, w.path("back/EXPORT/TO_PROCESS", name)))
		must(w.t, os.Rename(file, w.path("there/IMPORT/DONE", name)))
	}
}

func (w *world) digest(names ...string) string {
	w.t.Helper()
	f, err := os.Open(w.path(names...))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	must(w.t, err)
	return fmt.Sprintf("%d bytes, %x", n, h.Sum(nil)[:8])
}
