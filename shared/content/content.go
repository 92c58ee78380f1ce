// Package content holds the words of the field: objects, changes, payloads, and
// the two ends of the road, sources and targets. It does no I/O and knows no
// driver, no broker and no service.
package content

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"synchro.example/shared/version"
)

// Kind says what happened to an object.
type Kind string

const (
	// Modified means created, edited or moved: the change carries the whole state.
	Modified Kind = "modified"
	// Removed means the object is gone from the source.
	Removed Kind = "removed"
)

// Plugin ids that are built in.
const (
	PluginContent = "content" // fields and metadata as JSON
	PluginFSS     = "fss"     // binary fields and files
	PluginZEXP    = "zexp"    // a ZODB export
	PluginDelete  = "delete"  // the id to delete
)

// IsBuiltIn tells whether drivers themselves make and apply the payloads of a plugin.
func IsBuiltIn(plugin string) bool {
	switch plugin {
	case PluginContent, PluginFSS, PluginZEXP, PluginDelete:
		return true
	}
	return false
}

// Types that the folder driver gives to its objects.
const (
	TypeFolder = "folder"
	TypeFile   = "file"
)

// Digest is a SHA-256.
type Digest [sha256.Size]byte

// Object is what is known of one content item besides its payloads.
type Object struct {
	// UID names the object for ever, unique within its source.
	UID string
	// ParentUID is the container's UID, empty at the site's root. Together with
	// Name it says where the object is: a container that moves takes along what
	// lies below it without another change.
	ParentUID string
	// Name is the last segment of the path: any bytes but '/' and NUL.
	Name string
	// Path is the slash-separated path below the site's root when the change was
	// captured. A container above may have moved since.
	Path string
	// Type is the driver's name for the kind of object, such as TypeFile.
	Type string
	// Meta is what expressions may read.
	Meta map[string]any
}

// Change is one new state of one object.
type Change struct {
	ID     string // UUIDv7, unique
	Source string // name of the site from whose log it comes
	// Origin is the site where this version was made, when that is another one than Source,
	// which passes it on.
	Origin string
	// Withdrawn says of a removal that the source still has the object, which only has left
	// the channel.
	Withdrawn  bool
	Kind       Kind
	Object     Object
	Version    version.Version // strictly rising per source
	Previous   version.Version // the version before, zero for the first
	CapturedAt time.Time
	// Digest covers the payloads by content, however they travel.
	Digest   Digest
	Payloads []Payload
}

// Payload is the part of a change that one plugin made. Its bytes are Inline, or
// lie in the blob store under Blob.
type Payload struct {
	Plugin    string
	MediaType string
	Names     []string // what the plugin calls the bytes: field, file name
	Inline    []byte
	Blob      *Blob
	// SHA256 and Size describe the bytes, inline or not.
	SHA256 Digest
	Size   int64
}

// Blob says how to find bytes in the blob store: an ordered list of chunks.
type Blob struct {
	// Depth 0: Chunks are the bytes. Depth n: Chunks, put together, are the list
	// of the chunk digests of depth n-1.
	Depth  int
	Chunks []Digest
}

// DigestOf gives the digest of payloads: over plugin, media type, names, size and
// SHA-256 of each, in order. It is the same for inline bytes and claim checks.
func DigestOf(payloads []Payload) Digest {
	h := sha256.New()
	var n [8]byte
	field := func(b []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	for _, p := range payloads {
		field([]byte(p.Plugin))
		field([]byte(p.MediaType))
		binary.BigEndian.PutUint64(n[:], uint64(len(p.Names)))
		h.Write(n[:])
		for _, name := range p.Names {
			field([]byte(name))
		}
		binary.BigEndian.PutUint64(n[:], uint64(p.Size))
		h.Write(n[:])
		h.Write(p.SHA256[:])
	}
	return Digest(h.Sum(nil))
}

// NamelessDigest is DigestOf whatever the bytes are called.
func NamelessDigest(payloads []Payload) Digest {
	payloads = slices.Clone(payloads)
	for i := range payloads {
		payloads[i].Names = nil
	}
	return DigestOf(payloads)
}

// MadeAt is the site where this version was made.
func (c *Change) MadeAt() string {
	if c.Origin != "" {
		return c.Origin
	}
	return c.Source
}

// Payload gives the first payload of a plugin, or nil.
func (c *Change) Payload(plugin string) *Payload {
	for i := range c.Payloads {
		if c.Payloads[i].Plugin == plugin {
			return &c.Payloads[i]
		}
	}
	return nil
}
