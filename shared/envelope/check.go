package envelope

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/version"
)

// MaxBody is how many bytes an encoded envelope may have.
const MaxBody = 768 << 10

// Limits of one envelope.
const (
	maxDepth    = 8
	maxUID      = 1024
	maxName     = 4096
	maxPath     = 64 << 10
	maxPayloads = 16
	maxNames    = 16
	maxChunks   = 1024
	maxBlobDeep = 3
	maxToken    = 255
)

func invalid(format string, args ...any) error {
	return fault.Errorf(fault.Park, fault.Invalid, format, args...)
}

// check judges the parts of a change that other code relies on.
func check(c *content.Change) error {
	switch {
	case c.ID == "" || len(c.ID) > maxToken:
		return invalid("the change has no usable id")
	case c.Source == "" || len(c.Source) > maxToken || len(c.Origin) > maxToken:
		return invalid("change %s names no source", c.ID)
	case c.Kind != content.Modified && c.Kind != content.Removed:
		return invalid("change %s has the unknown kind %q", c.ID, c.Kind)
	case c.Withdrawn && c.Kind != content.Removed:
		return invalid("change %s withdraws an object and does not remove it", c.ID)
	case c.Object.UID == "" || len(c.Object.UID) > maxUID || len(c.Object.ParentUID) > maxUID:
		return invalid("change %s has no usable uid", c.ID)
	case c.Object.UID == c.Object.ParentUID:
		return invalid("object %q names itself as its container", c.Object.UID)
	case !validName(c.Object.Name):
		return invalid("object %q has the impossible name %q", c.Object.UID, c.Object.Name)
	case len(c.Object.Path) > maxPath || len(c.Object.Type) > maxToken:
		return invalid("object %q has a path or type that is too long", c.Object.UID)
	case c.Version == version.Version(0):
		return invalid("change %s has no version", c.ID)
	}
	return checkPayloads(c)
}

// validName tells whether a name can be one segment of a path.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= maxName && !strings.ContainsAny(name, "/\x00")
}

func checkPayloads(c *content.Change) error {
	if len(c.Payloads) > maxPayloads {
		return invalid("change %s has %d payloads, the limit is %d", c.ID, len(c.Payloads), maxPayloads)
	}
	inline := 0
	for i := range c.Payloads {
		p := &c.Payloads[i]
		if err := checkPayload(c.ID, p); err != nil {
			return err
		}
		inline += len(p.Inline)
	}
	if inline > InlineLimit {
		return invalid("change %s carries %d bytes inline, the limit is %d", c.ID, inline, InlineLimit)
	}
	if c.Digest != content.DigestOf(c.Payloads) {
		return invalid("the digest of change %s is not that of its payloads", c.ID)
	}
	return nil
}

func checkPayload(id string, p *content.Payload) error {
	if p.Plugin == "" || len(p.Plugin) > maxToken || len(p.MediaType) > maxToken || len(p.Names) > maxNames || p.Size < 0 {
		return invalid("change %s has a malformed payload", id)
	}
	if p.Blob == nil {
		if int64(len(p.Inline)) != p.Size || sha256.Sum256(p.Inline) != p.SHA256 {
			return invalid("the inline bytes of payload %q of change %s are not those that it announces", p.Plugin, id)
		}
		return nil
	}
	if p.Inline != nil || len(p.Blob.Chunks) == 0 || len(p.Blob.Chunks) > maxChunks || p.Blob.Depth < 0 || p.Blob.Depth > maxBlobDeep {
		return invalid("change %s has a malformed claim check", id)
	}
	return nil
}

// CheckShape walks over msgpack without building anything: one value, no deeper
// than maxDepth, no declared length beyond the bytes that are there. A decoder without it
// goes as deep as the bytes say.
func CheckShape(body []byte) error {
	if len(body) > MaxBody {
		return invalid("there are %d bytes, the limit is %d", len(body), MaxBody)
	}
	rest, ok := skip(body, maxDepth)
	if !ok {
		return invalid("it is no whole msgpack of at most %d levels", maxDepth)
	}
	if len(rest) != 0 {
		return invalid("%d bytes follow the end", len(rest))
	}
	return nil
}

// skip passes over one value (github.com/msgpack/msgpack, spec.md).
func skip(b []byte, depth int) ([]byte, bool) {
	if len(b) == 0 || depth == 0 {
		return nil, false
	}
	c := b[0]
	b = b[1:]
	switch {
	case c <= 0x7f || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3:
		return b, true
	case c <= 0x8f:
		return skipMany(b, 2*int(c&0x0f), depth)
	case c <= 0x9f:
		return skipMany(b, int(c&0x0f), depth)
	case c <= 0xbf:
		return skipBytes(b, int(c&0x1f))
	}
	return skipLong(c, b, depth)
}

func skipLong(c byte, b []byte, depth int) ([]byte, bool) {
	switch c {
	case 0xcc, 0xd0:
		return skipBytes(b, 1)
	case 0xcd, 0xd1:
		return skipBytes(b, 2)
	case 0xca, 0xce, 0xd2:
		return skipBytes(b, 4)
	case 0xcb, 0xcf, 0xd3:
		return skipBytes(b, 8)
	case 0xc4, 0xd9:
		return skipCounted(b, 1)
	case 0xc5, 0xda:
		return skipCounted(b, 2)
	case 0xc6, 0xdb:
		return skipCounted(b, 4)
	case 0xdc:
		return skipElements(b, 2, 1, depth)
	case 0xde:
		return skipElements(b, 2, 2, depth)
	case 0xdd:
		return skipElements(b, 4, 1, depth)
	case 0xdf:
		return skipElements(b, 4, 2, depth)
	case 0xd6:
		return skipBytes(b, 1+4) // a timestamp, extension type and value
	case 0xd7:
		return skipBytes(b, 1+8)
	case 0xc7:
		return skipBytes(b, 1+1+12)
	}
	return nil, false
}

func skipBytes(b []byte, n int) ([]byte, bool) {
	if n > len(b) {
		return nil, false
	}
	return b[n:], true
}

// number reads an unsigned big-endian number of width bytes.
func number(b []byte, width int) (n int, rest []byte, ok bool) {
	if width > len(b) {
		return 0, nil, false
	}
	var full [8]byte
	copy(full[8-width:], b)
	return int(binary.BigEndian.Uint64(full[:])), b[width:], true
}

func skipCounted(b []byte, width int) ([]byte, bool) {
	n, b, ok := number(b, width)
	if !ok {
		return nil, false
	}
	return skipBytes(b, n)
}

func skipElements(b []byte, width, each, depth int) ([]byte, bool) {
	n, b, ok := number(b, width)
	if !ok || n > len(b) {
		return nil, false
	}
	return skipMany(b, n*each, depth)
}

func skipMany(b []byte, n, depth int) ([]byte, bool) {
	ok := n <= len(b)
	for ; ok && n > 0; n-- {
		b, ok = skip(b, depth-1)
	}
	return b, ok
}
