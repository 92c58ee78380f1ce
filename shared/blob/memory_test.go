package blob

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/stream"
)

// Environment of TestMemoryStaysFlat: what makes a child the broker, and how many MiB
// pass, 64 when it is not set.
const (
	envBroker = "SYNCHRO_TEST_BROKER"
	envMiB    = "SYNCHRO_TEST_MIB"
)

// mostHeap is what a Put and a reader may take together: their windows of chunks, the
// buffers of a connection, and as much again until the collector runs.
const mostHeap = 40 << 20

// The broker runs in a process of its own here, because its caches are as large as
// they like.
func TestMemoryStaysFlat(t *testing.T) {
	if dir := os.Getenv(envBroker); dir != "" {
		serveBroker(t, dir)
		return
	}
	mib, err := strconv.ParseInt(os.Getenv(envMiB), 10, 64)
	if err != nil {
		mib = 64
	}
	nc := brokerProcess(t)
	b := &bench{t: t, Store: New(brokertest.JetStream(t, nc))}
	if err := stream.Ensure(t.Context(), b.js, stream.Blobs()); err != nil {
		t.Fatal(err)
	}
	b.inline = 16 // so that there are lists of lists
	stop := make(chan struct{})
	peak := watchHeap(stop)
	start := time.Now()
	r, err := b.Put(t.Context(), io.LimitReader(rand.NewChaCha8([32]byte{1}), mib<<20), nil)
	if err != nil {
		t.Fatal(err)
	}
	put := time.Since(start)
	rd, err := b.Open(t.Context(), payload(r))
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	if n, err := io.Copy(io.Discard, rd); err != nil || n != mib<<20 {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	close(stop)
	grown := <-peak
	t.Logf("%d MiB: put in %v, read in %v, the heap grew by %d KiB", mib, put.Round(time.Millisecond), (time.Since(start) - put).Round(time.Millisecond), grown/kib)
	if grown > mostHeap {
		t.Errorf("the heap grew by %d KiB", grown/kib)
	}
}

func watchHeap(stop <-chan struct{}) <-chan uint64 {
	result := make(chan uint64, 1)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	start, peak := m.HeapAlloc, m.HeapAlloc
	go func() {
		for {
			select {
			case <-stop:
				result <- peak - start
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	return result
}

// brokerProcess runs this test's binary once more, as a broker, and connects to it.
func brokerProcess(t *testing.T) *nats.Conn {
	t.Helper()
	child := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^TestMemoryStaysFlat$")
	child.Env = append(os.Environ(), envBroker+"="+t.TempDir())
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = child.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "broker "); ok {
			nc, err := nats.Connect(url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			return nc
		}
	}
	t.Fatal("the broker's process says nothing")
	return nil
}

// serveBroker is what the child does, until its input ends.
func serveBroker(t *testing.T, dir string) {
	s := brokertest.StartWith(t, embedded.Options{Dir: dir, Listen: "127.0.0.1:0", NoSync: true})
	fmt.Println("broker " + s.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
}
