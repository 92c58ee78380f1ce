package envelope

import (
	"encoding/hex"
	"fmt"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/content"
	"synchro.example/shared/signature"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// Head is what the headers beside an envelope say.
type Head struct {
	UID, ParentUID, Name, Type string
	Kind                       content.Kind
	Version                    version.Version
	Digest                     content.Digest
	// Read is the digest of what the driver has read, before plugins changed it.
	Read                  content.Digest
	Fingerprint, Identity string // of the source's driver; in an export log only
	HasBlobs              bool
	// Origin is the site where this version was made, empty for that of the log; and
	// Withdrawn is as in content.Change.
	Origin    string
	Withdrawn bool
	// Of is the version of the source whose whole state the envelope has: Version, unless
	// the relay made the envelope; 0 for a bare container and for the removal of what the
	// source still has.
	Of version.Version
}

// Message makes the message of a change on a subject. fingerprint and identity are
// the driver's and may be empty.
func Message(subj string, c *content.Change, fingerprint, identity string) (*nats.Msg, error) {
	body, err := Encode(c)
	if err != nil {
		return nil, err
	}
	m := nats.NewMsg(subj)
	m.Data = body
	set := m.Header.Set
	set(nats.MsgIdHdr, c.ID)
	set(subject.HeaderUID, subject.Quote(c.Object.UID))
	set(subject.HeaderParent, subject.Quote(c.Object.ParentUID))
	set(subject.HeaderName, subject.Quote(c.Object.Name))
	set(subject.HeaderType, subject.Quote(c.Object.Type))
	set(subject.HeaderKind, string(c.Kind))
	set(subject.HeaderVersion, c.Version.String())
	set(subject.HeaderDigest, hex.EncodeToString(c.Digest[:]))
	if c.Origin != "" {
		set(subject.HeaderOrigin, c.Origin)
	}
	if c.Withdrawn {
		set(subject.HeaderWithdrawn, "1")
	}
	if fingerprint != "" {
		set(subject.HeaderFingerprint, subject.Quote(fingerprint))
	}
	if identity != "" {
		set(subject.HeaderIdentity, subject.Quote(identity))
	}
	if len(Blobs(c)) > 0 {
		set(subject.HeaderBlobs, "1")
	}
	return m, nil
}

// Forward makes the message that passes an envelope on under another subject: the
// same bytes, without what only the export log needs, unless that is signed as well.
func Forward(subj string, header nats.Header, body []byte) *nats.Msg {
	m := nats.NewMsg(subj)
	m.Data = body
	for _, key := range []string{
		nats.MsgIdHdr, subject.HeaderUID, subject.HeaderParent, subject.HeaderName, subject.HeaderType,
		subject.HeaderKind, subject.HeaderVersion, subject.HeaderDigest, subject.HeaderBlobs,
		subject.HeaderOrigin, subject.HeaderWithdrawn,
	} {
		if v := header.Get(key); v != "" {
			m.Header.Set(key, v)
		}
	}
	signature.Carry(m.Header, header)
	return m
}

// ParseHead reads the headers of a stored envelope.
func ParseHead(h nats.Header) (Head, error) {
	get := func(key string) string { return subject.Unquote(h.Get(key)) }
	head := Head{
		UID: get(subject.HeaderUID), ParentUID: get(subject.HeaderParent), Name: get(subject.HeaderName),
		Type: get(subject.HeaderType), Kind: content.Kind(h.Get(subject.HeaderKind)),
		Fingerprint: get(subject.HeaderFingerprint), Identity: get(subject.HeaderIdentity),
		HasBlobs: h.Get(subject.HeaderBlobs) != "", Origin: h.Get(subject.HeaderOrigin), Withdrawn: h.Get(subject.HeaderWithdrawn) != "",
	}
	if head.UID == "" {
		return head, invalid("a stored message has no header %s", subject.HeaderUID)
	}
	var err error
	if head.Version, err = version.Parse(h.Get(subject.HeaderVersion)); err != nil {
		return head, invalid("object %q: %w", head.UID, err)
	}
	head.Of = head.Version
	if of := h.Get(subject.HeaderOf); of != "" {
		if head.Of, err = version.Parse(of); err != nil {
			return head, invalid("object %q: header %s: %w", head.UID, subject.HeaderOf, err)
		}
	}
	sum, err := hex.DecodeString(h.Get(subject.HeaderDigest))
	if err != nil {
		return head, invalid("object %q: header %s: %w", head.UID, subject.HeaderDigest, err)
	}
	if head.Digest, err = toDigest(sum); err != nil {
		return head, fmt.Errorf("object %q: %w", head.UID, err)
	}
	head.Read = head.Digest
	if read, err := hex.DecodeString(h.Get(subject.HeaderRead)); err == nil && len(read) == len(head.Read) {
		head.Read = content.Digest(read) // else it counts as unchanged, which costs a reading
	}
	if h.Get(nats.MsgIdHdr) == "" {
		return head, invalid("object %q: there is no header %s", head.UID, nats.MsgIdHdr)
	}
	return head, nil
}

// Blobs gives the claim checks of a change.
func Blobs(c *content.Change) []*content.Blob {
	var blobs []*content.Blob
	for i := range c.Payloads {
		if b := c.Payloads[i].Blob; b != nil {
			blobs = append(blobs, b)
		}
	}
	return blobs
}
