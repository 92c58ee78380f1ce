// Package fuzztest holds what reads foreign bytes to its bounds: whatever they are, an
// answer comes within a second and takes no more than 64 MiB for a megabyte of them.
package fuzztest

import (
	"bytes"
	"fmt"
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
	if problem := excess(size, read); problem != "" {
		t.Fatal(problem)
	}
}

// excess says what a reading took too much of, nothing when it kept within its bounds.
func excess(size int, read func()) string {
	var took time.Duration
	for range tries {
		before, start := reserved(), worked()
		read()
		took = worked() - start
		if n := reserved() - before; n > int64(base+each*size) {
			return fmt.Sprintf("%d bytes of memory were taken for %d bytes", n, size)
		}
		if took <= longest {
			return ""
		}
	}
	return fmt.Sprintf("%d bytes took %v", size, took)
}

// reserved is the memory that was ever asked for, and the stacks as they are now, which may
// be less than before.
func reserved() int64 {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64()) + int64(samples[1].Value.Uint64())
}

// worked is how long the processors have worked for this process.
func worked() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // it cannot fail for oneself
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
