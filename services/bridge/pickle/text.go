package pickle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Sink takes the bytes of a string while it is read.
type Sink interface {
	io.Writer
	io.ByteWriter
}

// Repr reads a byte string as Python 2 prints one, quotes and line feed included. It
// takes what Python writes and nothing more: two readers that differ about an escape
// would see two different files.
func (s *Source) Repr(to Sink) error {
	start := s.at
	quote, err := s.Byte()
	if err != nil {
		return err
	}
	if quote != '\'' && quote != '"' {
		return Refuse(Syntax, start, "", "a string must begin with a quote")
	}
	for {
		special, err := s.plain(to, quote)
		if err != nil {
			return err
		}
		switch special {
		case quote:
			return s.lineEnd()
		case '\\':
			err = s.escape(to)
		default:
			err = Refuse(Syntax, s.at-1, string([]byte{special}), "must be written as an escape in a string")
		}
		if err != nil {
			return err
		}
	}
}

// plain hands on what stands for itself and reads the byte behind it, which does not.
// Bytes written as \xHH are most of a binary file, so it takes those along where they lie
// whole in the buffer; the others come to escape.
func (s *Source) plain(to Sink, quote byte) (byte, error) {
	for {
		w, err := s.window()
		if err != nil {
			return 0, err
		}
		out, n := s.scratch[:0], 0
		for n < len(w) {
			if c := w[n]; c >= ' ' && c < 0x7f && c != quote && c != '\\' {
				out = append(out, c)
				n++
			} else if b, ok := hexEscape(w[n:]); ok {
				out = append(out, b)
				n += 4
			} else {
				break
			}
		}
		s.scratch = out
		if _, err := to.Write(out); err != nil {
			return 0, err
		}
		if n < len(w) {
			special := w[n]
			s.skip(n + 1)
			return special, nil
		}
		s.skip(n)
	}
}

// hexEscape reads one at the beginning of w.
func hexEscape(w []byte) (byte, bool) {
	if len(w) < 4 || w[0] != '\\' || w[1] != 'x' {
		return 0, false
	}
	high, low := hexDigits[w[2]], hexDigits[w[3]]
	return byte(high<<4 | low), high|low >= 0
}

func (s *Source) lineEnd() error {
	at := s.at
	c, err := s.Byte()
	if err == nil && c != '\n' {
		return Refuse(Syntax, at, "", "a line feed must follow the string's last quote")
	}
	return err
}

func (s *Source) escape(to Sink) error {
	at := s.at - 1
	c, err := s.Byte()
	if err != nil {
		return err
	}
	switch c {
	case '\\', '\'':
		return to.WriteByte(c)
	case 'n':
		return to.WriteByte('\n')
	case 'r':
		return to.WriteByte('\r')
	case 't':
		return to.WriteByte('\t')
	case 'x':
		return s.hexByte(to, at)
	}
	return Refuse(Syntax, at, string([]byte{'\\', c}), "is not an escape that Python writes")
}

func (s *Source) hexByte(to Sink, at int64) error {
	var digits [2]byte
	if err := s.Fill(digits[:]); err != nil {
		return err
	}
	high, low := hexDigits[digits[0]], hexDigits[digits[1]]
	if high|low < 0 {
		return Refuse(Syntax, at, `\x`+string(digits[:]), "is not an escape that Python writes")
	}
	return to.WriteByte(byte(high<<4 | low))
}

// hexDigits has the value of each byte as a digit, below zero for what is none.
var hexDigits = func() (table [256]int8) {
	for i := range table {
		table[i] = -1
	}
	for i, c := range []byte("0123456789abcdef") {
		table[c] = int8(i)
		table[strings.ToUpper(string(c))[0]] = int8(i)
	}
	return table
}()

// RawUnicode reads a text line as Python 2 writes unicode into a pickle: Latin-1 bytes
// for themselves, all else as \uXXXX or \UXXXXXXXX. A narrow Python writes a character
// above U+FFFF as two halves, which become one here; half a character is refused.
func (s *Source) RawUnicode(limit int) (string, error) {
	start := s.at
	line, err := s.Line(limit)
	if err != nil {
		return "", err
	}
	text, ok := decodeRaw(line)
	if !ok {
		return "", Refuse(Syntax, start, line, "is not unicode text as Python writes it")
	}
	return text, nil
}

func decodeRaw(line string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(line); {
		r, n := rawRune(line[i:])
		if n > 0 && utf16.IsSurrogate(r) {
			second, more := rawRune(line[i+n:])
			if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
				return "", false
			}
			n += more
		}
		if n == 0 {
			return "", false
		}
		b.WriteRune(r)
		i += n
	}
	return b.String(), true
}

// rawRune reads one character, or half of one, and says how long it was: 0 for what is
// not written as Python writes it.
func rawRune(s string) (rune, int) {
	switch {
	case s == "":
		return 0, 0
	case s[0] != '\\':
		return rune(s[0]), 1
	case len(s) >= 6 && s[1] == 'u':
		return rawEscape(s[2:6])
	case len(s) >= 10 && s[1] == 'U':
		return rawEscape(s[2:10])
	}
	return 0, 0
}

func rawEscape(digits string) (rune, int) {
	var value int64
	for _, c := range []byte(digits) {
		d := hexDigits[c]
		if d < 0 {
			return 0, 0
		}
		value = value<<4 | int64(d)
	}
	if value > utf8.MaxRune {
		return 0, 0
	}
	return rune(value), 2 + len(digits)
}

// reprOf has each byte as WriteRepr writes it: printable ASCII for itself, so that
// every reader of every Python agrees about it.
var reprOf = func() (table [256]string) {
	for i := range table {
		switch {
		case i == '\\' || i == '\'':
			table[i] = `\` + string(rune(i))
		case i >= ' ' && i < 0x7f:
			table[i] = string(rune(i))
		default:
			table[i] = fmt.Sprintf(`\x%02x`, i)
		}
	}
	return table
}()

// WriteRepr writes what r yields as a byte string, quotes and line feed included, and
// gives the number of bytes that r had. Errors of w come out when it is flushed.
func WriteRepr(w *bufio.Writer, r io.Reader) (int64, error) {
	buffer := make([]byte, bufferSize)
	var total int64
	_ = w.WriteByte('\'')
	for {
		n, err := r.Read(buffer)
		total += int64(n)
		for _, c := range buffer[:n] {
			if _, err := w.WriteString(reprOf[c]); err != nil {
				return total, err
			}
		}
		if errors.Is(err, io.EOF) {
			_, err = w.WriteString("'\n")
			return total, err
		}
		if err != nil {
			return total, err
		}
	}
}

// RawUnicodeOf gives text as RawUnicode reads it, in printable ASCII.
func RawUnicodeOf(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r >= ' ' && r < 0x7f && r != '\\':
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// Digits reads a line with a number such as a memo's: decimal, without sign, of at most
// 31 bits. One with leading zeros is refused: readers differ about what it names.
func (s *Source) Digits() (uint32, error) {
	start := s.at
	line, err := s.Line(maxDigits)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(line, 10, 31)
	if err != nil || len(line) > 1 && line[0] == '0' {
		return 0, Refuse(Syntax, start, line, "is not a number of at most 31 bits")
	}
	return uint32(n), nil
}

// maxDigits has room for a number of 31 bits.
const maxDigits = 10
