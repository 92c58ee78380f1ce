package zs

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"synchro.example/services/bridge/pickle"
)

const (
	// inline is the size up to which a string stays in memory: names do, files do not.
	inline = maxName
	// maxInline is how much may stay in memory altogether.
	maxInline = 16 << 20
)

// spool keeps large strings, one behind the other, in a file that is made when the
// first one comes and that has no name from then on.
type spool struct {
	dir   string
	file  *os.File
	w     *bufio.Writer
	size  int64
	small int // bytes of strings in memory
}

func (s *spool) Write(b []byte) (int, error) {
	if s.file == nil {
		if err := s.open(); err != nil {
			return 0, err
		}
	}
	n, err := s.w.Write(b)
	s.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("keep the content of a .zs file: %w", err)
	}
	return n, nil
}

func (s *spool) open() error {
	f, err := os.CreateTemp(s.dir, "zs-*.spool")
	if err != nil {
		return fmt.Errorf("keep the content of a .zs file: %w", err)
	}
	_ = os.Remove(f.Name()) // where an open file cannot be removed, close removes it
	s.file, s.w = f, bufio.NewWriterSize(f, 64<<10)
	return nil
}

func (s *spool) flush() error {
	if s.file == nil {
		return nil
	}
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("keep the content of a .zs file: %w", err)
	}
	return nil
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if gone := os.Remove(s.file.Name()); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// sink takes one string: into memory as long as it is short, else into the spool.
type sink struct {
	spool *spool
	src   *pickle.Source
	limit int64
	small []byte
	begin int64 // in the spool
	size  int64
	one   [1]byte // for WriteByte, which else would reserve memory for each
}

func (k *sink) Write(b []byte) (int, error) {
	if k.size+int64(len(b)) > k.limit {
		return 0, pickle.Refuse(pickle.Limit, k.src.Offset(), "", "a string of more than %d bytes", k.limit)
	}
	spooled := k.spooled()
	k.size += int64(len(b))
	if !spooled && k.size <= inline && k.spool.small+int(k.size) <= maxInline {
		k.small = append(k.small, b...)
		return len(b), nil
	}
	if !spooled {
		k.begin = k.spool.size
		if _, err := k.spool.Write(k.small); err != nil {
			return 0, err
		}
		k.small = nil
	}
	return k.spool.Write(b)
}

// WriteByte makes it a pickle.Sink.
func (k *sink) WriteByte(c byte) error {
	k.one[0] = c
	_, err := k.Write(k.one[:])
	return err
}

func (k *sink) spooled() bool { return k.size > int64(len(k.small)) }
