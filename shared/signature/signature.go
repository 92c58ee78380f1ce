// Package signature says who wrote a change, so that somebody who can write into the broker
// cannot pass for a source. It signs messages of the logs: their subject, the headers that
// readers decide by, and the bytes of the body; docs/protocol.md describes the form. It does
// not keep anybody from reading, removing or repeating what was signed.
package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/subject"
)

// payloadType keeps the signed text from being taken for anything else that a key signs.
const payloadType = "application/vnd.synchro.change"

// text gives what is signed: the pre-authentication encoding of DSSE (protocol.md of
// github.com/secure-systems-lab/dsse) over the subject and the headers. The body is in it by
// its digest, so that who reads headers alone can check them.
func text(subj string, h nats.Header) ([]byte, error) {
	var b strings.Builder
	b.WriteString(subj + "\n")
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if !isSigned(name) {
			continue
		}
		value := h.Get(name)
		switch {
		case len(h[name]) > 1:
			return nil, fmt.Errorf("header %q is there more than once", name)
		case strings.ContainsAny(name+value, "\r\n"):
			return nil, fmt.Errorf("header %q has a line end", name)
		case value != "": // else it is the same as none
			b.WriteString(name + ": " + value + "\n")
		}
	}
	said := b.String()
	return []byte("DSSEv1 " + strconv.Itoa(len(payloadType)) + " " + payloadType + " " + strconv.Itoa(len(said)) + " " + said), nil
}

// isSigned tells whether a header is part of what is signed: all of Synchro's own are. Those
// of the broker say how it is to keep a message, and may change on the way.
func isSigned(name string) bool {
	return strings.HasPrefix(name, subject.HeaderPrefix) && name != subject.HeaderSignature
}

// Carry copies to a message what a signature covers, if there is one. The message can be
// checked as long as its body is the same.
func Carry(to, from nats.Header) {
	if from.Get(subject.HeaderSignature) == "" {
		return
	}
	for name, values := range from {
		if strings.HasPrefix(name, subject.HeaderPrefix) {
			to[name] = slices.Clone(values)
		}
	}
}

func bodyDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
