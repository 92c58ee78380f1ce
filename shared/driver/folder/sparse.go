//go:build unix

package folder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"sync"

	"synchro.example/shared/content"
)

const (
	// hole is the smallest run of zeros that is left out of a file.
	hole = 64 << 10
	// window is how much of a file is in memory at a time.
	window = 4 * hole
)

var (
	zeros   [hole]byte
	windows = sync.Pool{New: func() any { return new([window]byte) }}
)

// copySparse writes r to an empty file, leaving aligned blocks of zeros out, until
// r says that it is at its end. Errors of the file come as writeError.
func copySparse(ctx context.Context, f *os.File, r io.Reader) (size int64, err error) {
	buf := windows.Get().(*[window]byte)
	defer windows.Put(buf)
	for err == nil {
		if err := ctx.Err(); err != nil {
			return size, err
		}
		var n int
		n, err = fillUp(r, buf[:])
		if err != nil && !errors.Is(err, io.EOF) {
			return size, err
		}
		if werr := writeSparse(f, buf[:n], size); werr != nil {
			return size, writeError{werr}
		}
		size += int64(n)
	}
	if err := f.Truncate(size); err != nil {
		return size, writeError{err}
	}
	return size, nil
}

// writeError tells a file that could not be written from bytes that could not be read.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// fillUp reads until the buffer is full or r returns an error, which it passes on
// as it is: io.ReadFull would make an early end look like a proper one.
func fillUp(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// writeSparse writes the runs of blocks in b that are not all zeros.
func writeSparse(f *os.File, b []byte, at int64) error {
	start := 0
	for i := 0; i < len(b); i += hole {
		if i+hole > len(b) || !bytes.Equal(b[i:i+hole], zeros[:]) {
			continue
		}
		if err := writeAt(f, b[start:i], at+int64(start)); err != nil {
			return err
		}
		start = i + hole
	}
	return writeAt(f, b[start:], at+int64(start))
}

func writeAt(f *os.File, b []byte, at int64) error {
	if len(b) == 0 {
		return nil
	}
	_, err := f.WriteAt(b, at)
	return err
}

// sameBytes reads a file and compares it with what a payload announces.
func sameBytes(ctx context.Context, f io.Reader, p *content.Payload) (bool, error) {
	buf := windows.Get().(*[window]byte)
	defer windows.Put(buf)
	h := sha256.New()
	var err error
	for err == nil {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		var n int
		n, err = fillUp(f, buf[:])
		h.Write(buf[:n])
	}
	if !errors.Is(err, io.EOF) {
		return false, err
	}
	return content.Digest(h.Sum(nil)) == p.SHA256, nil
}
