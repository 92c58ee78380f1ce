package seed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// maxObject bounds the JSON of one object, without what is lifted out of it.
	maxObject = 32 << 20
	// liftFrom is the length from which a text under the key "data" is not taken into
	// memory: it may be the bytes of a large file.
	liftFrom = 64 << 10
)

// liftKey marks the place of what was left out: its offset, its length, and how many
// characters of base64 it has.
const liftKey = "\u0000lifted"

// found is one object of a file.
type found struct {
	off, n int64
	json   []byte // with what was lifted left out
	large  bool   // there is too much of it
}

// scanner cuts a file with an array of objects, or one object, into objects. It takes in
// no more than one of them at a time, and of that only what is not lifted.
type scanner struct {
	r   *bufio.Reader
	at  int64 // of the next byte
	buf []byte
	big bool

	depth int
	// key is the last one that was read, value that a value of it comes next.
	key   string
	value bool
}

// scan calls each for each object. base is where r begins in its file.
func scan(r io.Reader, base int64, each func(found) error) error {
	s := &scanner{r: bufio.NewReaderSize(r, 1<<18), at: base}
	array, some := false, false
	for {
		c, err := s.next()
		switch {
		case errors.Is(err, io.EOF) && !array:
			return nil
		case err != nil:
			return s.broken(err)
		case isSpace(c), c == ',' && array && some:
		case c == '[' && !array && !some:
			array = true
		case c == ']' && array:
			array, some = false, true
		case c == '{':
			some = true
			o, err := s.object()
			if err != nil {
				return s.broken(err)
			}
			if err := each(o); err != nil {
				return err
			}
		default:
			return s.broken(fmt.Errorf("%q is not the beginning of an object", c))
		}
	}
}

func (s *scanner) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("at byte %d: %w", s.at, err)
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0xEF || c == 0xBB || c == 0xBF
}

func (s *scanner) next() (byte, error) {
	c, err := s.r.ReadByte()
	s.at++
	return c, err
}

func (s *scanner) keep(b ...byte) {
	if len(s.buf)+len(b) > maxObject {
		s.big = true
		return
	}
	s.buf = append(s.buf, b...)
}

// object reads one object whose first brace has been read.
func (s *scanner) object() (found, error) {
	o := found{off: s.at - 1}
	s.buf, s.big, s.depth, s.key, s.value = append(s.buf[:0], '{'), false, 1, "", false
	for s.depth > 0 {
		c, err := s.next()
		if err != nil {
			return o, err
		}
		if c == '"' {
			if err := s.text(); err != nil {
				return o, err
			}
			continue
		}
		s.keep(c)
		switch c {
		case '{', '[':
			s.depth++
			s.value = false
		case '}', ']':
			s.depth--
		case ':':
			s.value = true
		case ',':
			s.value = false
		}
	}
	o.n, o.json, o.large = s.at-o.off, s.buf, s.big
	return o, nil
}

// skip passes over what is buffered of a string up to something that has to be looked at,
// and counts its characters of base64.
func (s *scanner) skip() int64 {
	b, _ := s.r.Peek(s.r.Buffered())
	if i := bytes.IndexAny(b, `"\`); i >= 0 {
		b = b[:i]
	}
	n := len(b)
	chars := n - bytes.Count(b, []byte("="))
	_, _ = s.r.Discard(n) // it is buffered
	s.at += int64(n)
	return int64(chars)
}

// text reads a string whose first quote has been read, and lifts it if it is long.
func (s *scanner) text() error {
	begin, start := len(s.buf), s.at-1
	liftable := s.value && s.key == "data"
	lifted, escaped, chars := false, false, int64(0)
	s.keep('"')
	for {
		if lifted && !escaped {
			chars += s.skip()
		}
		c, err := s.next()
		if err != nil {
			return err
		}
		if !lifted {
			s.keep(c)
		}
		if escaped {
			if escaped = false; c == '/' {
				chars++
			}
			continue
		}
		if c == '\\' {
			escaped = true
			continue
		}
		if c == '"' {
			break
		}
		if c != '=' {
			chars++
		}
		if liftable && !lifted && s.at-start > liftFrom {
			lifted, s.buf = true, s.buf[:begin]
		}
	}
	switch {
	case lifted:
		s.keep(fmt.Appendf(nil, `{"\u0000lifted":[%d,%d,%d]}`, start, s.at-start, chars)...)
	case !s.value:
		s.key = ""
		if n := len(s.buf); begin+1 < n && n-begin < 64 {
			s.key = string(s.buf[begin+1 : n-1])
		}
	}
	s.value = false
	return nil
}
