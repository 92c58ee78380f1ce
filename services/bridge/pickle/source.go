package pickle

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// bufferSize is also the longest line that Line can be asked for.
const bufferSize = 64 << 10

// Bound is an offset that must not be read over, and how going further is refused.
type Bound struct {
	At     int64
	Code   Code
	Reason string
}

// Source reads bytes and counts them. It never reads beyond its bound and reserves no
// memory that a file asks for.
type Source struct {
	r     *bufio.Reader
	at    int64
	bound Bound
	// scratch takes pieces of decoded text; it is kept from one to the next.
	scratch []byte
}

// NewSource reads from r up to the bound.
func NewSource(r io.Reader, b Bound) *Source {
	return &Source{r: bufio.NewReaderSize(r, bufferSize), bound: b}
}

// Offset is where the next byte lies.
func (s *Source) Offset() int64 { return s.at }

// Rebound sets another bound and gives the one that was in force.
func (s *Source) Rebound(b Bound) Bound {
	previous := s.bound
	s.bound = b
	return previous
}

// AtBound tells whether everything before the bound has been read.
func (s *Source) AtBound() bool { return s.at == s.bound.At }

// AtEnd tells whether there is no further byte. It looks beyond the bound.
func (s *Source) AtEnd() (bool, error) {
	_, err := s.r.Peek(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// window shows what is buffered, at least one byte and none beyond the bound. It is
// valid until the next call.
func (s *Source) window() ([]byte, error) {
	left := s.bound.At - s.at
	if left <= 0 {
		return nil, Refuse(s.bound.Code, s.at, "", "%s", s.bound.Reason)
	}
	if _, err := s.r.Peek(1); err != nil {
		return nil, s.failed(err)
	}
	w, _ := s.r.Peek(s.r.Buffered())
	return w[:min(int64(len(w)), left)], nil
}

func (s *Source) failed(err error) error {
	if errors.Is(err, io.EOF) {
		return Refuse(Truncated, s.at, "", "the file ends here")
	}
	return err
}

// Begins tells whether the next bytes are those of a word, without reading them. What
// lies beyond the bound counts as well.
func (s *Source) Begins(word string) (bool, error) {
	w, err := s.r.Peek(len(word))
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return string(w) == word, nil
}

func (s *Source) skip(n int) {
	_, _ = s.r.Discard(n) // n bytes are buffered, so this cannot fail
	s.at += int64(n)
}

// Byte reads one byte.
func (s *Source) Byte() (byte, error) {
	if s.at >= s.bound.At {
		return 0, Refuse(s.bound.Code, s.at, "", "%s", s.bound.Reason)
	}
	c, err := s.r.ReadByte()
	if err != nil {
		return 0, s.failed(err)
	}
	s.at++
	return c, nil
}

// Fill reads as many bytes as p holds.
func (s *Source) Fill(p []byte) error {
	for n := 0; n < len(p); {
		w, err := s.window()
		if err != nil {
			return err
		}
		copied := copy(p[n:], w)
		s.skip(copied)
		n += copied
	}
	return nil
}

// Copy hands n bytes on in pieces.
func (s *Source) Copy(w io.Writer, n int64) error {
	for n > 0 {
		piece, err := s.window()
		if err != nil {
			return err
		}
		piece = piece[:min(int64(len(piece)), n)]
		if _, err := w.Write(piece); err != nil {
			return err
		}
		s.skip(len(piece))
		n -= int64(len(piece))
	}
	return nil
}

// Uint reads a number of n bytes, at most 8, the lowest first.
func (s *Source) Uint(n int) (uint64, error) {
	var b [8]byte
	if err := s.Fill(b[:n]); err != nil {
		return 0, err
	}
	var v uint64
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return v, nil
}

// Line reads up to a line feed, which is not part of the result. A line of more than
// limit bytes is refused.
func (s *Source) Line(limit int) (string, error) {
	var line []byte
	start := s.at
	for {
		w, err := s.window()
		if err != nil {
			return "", err
		}
		piece, _, whole := bytes.Cut(w, []byte{'\n'})
		if len(line)+len(piece) > limit {
			return "", Refuse(Limit, start, "", "a line of more than %d bytes", limit)
		}
		line = append(line, piece...)
		s.skip(len(piece))
		if whole {
			s.skip(1)
			return string(line), nil
		}
	}
}
