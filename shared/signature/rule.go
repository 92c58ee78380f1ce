package signature

import (
	"crypto/ed25519"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

// Rule says who must have signed what lies in a log. A nil rule takes everything.
type Rule struct {
	keys map[string]ed25519.PublicKey // by what others know them by
	// signed gives the subject under which the change of an object was signed.
	signed func(uid string) string
}

// OfSource is the rule for what a site has sent, wherever it lies; nil without keys.
func OfSource(site string, keys []string) *Rule {
	return newRule(keys, func(uid string) string { return subject.ExportToProcess(site, uid) })
}

// OfChannel is the rule for the log of a channel: its relay has signed what lies there when
// the channel has keys; else it is as the source has signed it.
func OfChannel(channel, from string, keys, sourceKeys []string) *Rule {
	if len(keys) == 0 {
		return OfSource(from, sourceKeys)
	}
	return newRule(keys, func(uid string) string { return subject.ImportToProcess(channel, uid) })
}

func newRule(keys []string, signed func(uid string) string) *Rule {
	r := &Rule{keys: map[string]ed25519.PublicKey{}, signed: signed}
	for _, key := range keys {
		if raw, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(key)); err == nil && len(raw) == ed25519.PublicKeySize {
			r.keys[key] = raw
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return r
}

// Check judges a message of a log. An error is a fault with the code Untrusted.
func (r *Rule) Check(subj string, h nats.Header, body []byte) error {
	if r == nil {
		return nil
	}
	if err := r.CheckHead(subj, h); err != nil {
		return err
	}
	if h.Get(subject.HeaderBody) != bodyDigest(body) {
		return untrusted("its body is not what %s has signed", h.Get(subject.HeaderSignedBy))
	}
	return nil
}

// Judge judges a message that was read, by its headers alone or with its body.
func (r *Rule) Judge(m jetstream.Msg, withBody bool) error {
	if withBody {
		return r.Check(m.Subject(), m.Headers(), m.Data())
	}
	return r.CheckHead(m.Subject(), m.Headers())
}

// CheckHead judges the subject and the headers of a message alone.
func (r *Rule) CheckHead(subj string, h nats.Header) error {
	if r == nil {
		return nil
	}
	if h.Get(subject.HeaderSignature) == "" {
		return untrusted("it is not signed")
	}
	by := h.Get(subject.HeaderSignedBy)
	key, trusted := r.keys[by]
	if !trusted {
		return untrusted("it is signed by %.80q, whose word does not count here", by)
	}
	uid := subject.Unquote(h.Get(subject.HeaderUID))
	if !subject.IsChange(subj) || !strings.HasSuffix(subj, "."+subject.Token(uid)) {
		return untrusted("it lies where another object belongs")
	}
	said, err := text(r.signed(uid), h)
	if err != nil {
		return untrusted("%w", err)
	}
	sig, err := encoding.DecodeString(h.Get(subject.HeaderSignature))
	if err != nil || !ed25519.Verify(key, said, sig) {
		return untrusted("it is not what %s has signed", by)
	}
	return nil
}

func untrusted(format string, args ...any) error {
	return fault.Errorf(fault.Park, fault.Untrusted, format, args...)
}
