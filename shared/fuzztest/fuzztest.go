// Package fuzztest holds what reads foreign bytes to its bounds: whatever they are, an
// answer comes within a second and takes no more than 64 MiB for a megabyte of them.
package fuzztest

import (
	"bytes"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"
)

const (
	// longest is how long one reading may take.
	longest = time.Second
	// tries are how often a reading that took longer is looked at again: the collector may
	// have had work of another one.
	tries = 3
	// base and each are how many bytes of memory a reading may take, and for each byte that
	// is read. Together they are 64 MiB for 1 MiB.
	base = 4 << 20
	each = 60
)

// Within fails the test when read, which reads a number of bytes, takes too much time or
// memory. It may run it more than once. The time is that of the processor, as the machine may
// have other work.
func Within(t testing.TB, size int, read func()) {
	t.Helper()
	var took time.Duration
	for range tries {
		before, start := reserved(), worked(t)
		read()
		took = worked(t) - start
		if n := reserved() - before; n > base+each*uint64(size) {
			t.Fatalf("%d bytes of memory were taken for %d bytes", n, size)
		}
		if took <= longest {
			return
		}
	}
	t.Fatalf("%d bytes took %v", size, took)
}

// reserved is the memory that was ever asked for, and the stacks as they are.
func reserved() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() + samples[1].Value.Uint64()
}

// worked is how long the processors have worked for this process.
func worked(t testing.TB) time.Duration {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Mega is a megabyte, for Long.
const Mega = 1 << 20

// Long makes so many bytes of a piece that is repeated between a head and a tail: what is
// harmless once may cost the square of its number.
func Long(size int, head, piece, tail []byte) []byte {
	piece = piece[:min(len(piece), size)]
	whole := bytes.Clone(head)
	if len(piece) > 0 {
		whole = append(whole, bytes.Repeat(piece, size/len(piece))...)
	}
	return append(whole, tail...)
}
