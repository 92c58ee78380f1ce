// Package deadletter keeps what failed and why: one message for each object and site,
// in the ERROR stream. The entry travels in a header and the envelope that failed in the
// body, so that entries can be listed without moving content. An entry that is settled
// stays for a while, closed, and says how. Any number of processes may read at the same
// time; each site has one that writes.
package deadletter

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

const (
	// maxReason is how many bytes of a reason are kept.
	maxReason = 4096
	// maxEnvelope is more than a change may have. What is larger was none, and would be
	// too much for the broker together with the entry.
	maxEnvelope = 800 << 10
	// keepClosed and keepDiscarded are how long closed entries stay: those that a person
	// closed, and what lost to another change, are a record.
	keepClosed    = time.Hour
	keepDiscarded = 30 * 24 * time.Hour
)

// Stage tells on which hop a change failed.
type Stage string

// The two hops on which a change can fail.
const (
	Export Stage = "export" // from the site to the channel's log
	Import Stage = "import" // from the channel's log to the site
)

// Entry is one failure. The JSON names are a contract.
type Entry struct {
	Stage    Stage           `msgpack:"stage" json:"stage"`
	Site     string          `msgpack:"site" json:"site"`
	Channel  string          `msgpack:"channel" json:"channel"`
	UID      string          `msgpack:"uid" json:"uid"`
	Path     string          `msgpack:"path" json:"path"`
	Version  version.Version `msgpack:"version" json:"version"`
	Code     fault.Code      `msgpack:"code" json:"code"`
	Class    fault.Class     `msgpack:"class" json:"class"`
	Reason   string          `msgpack:"reason" json:"reason"`
	Attempts int             `msgpack:"attempts" json:"attempts"`
	First    time.Time       `msgpack:"first" json:"first"`
	Last     time.Time       `msgpack:"last" json:"last"`
	// Next is when it is tried again by itself, zero when it is not.
	Next     time.Time `msgpack:"next,omitempty" json:"next,omitzero"`
	Host     string    `msgpack:"host" json:"host"`
	Software string    `msgpack:"software" json:"software"`
	// WaitsFor is the uid of the object that holds this one back, if one does.
	WaitsFor string `msgpack:"waits_for,omitempty" json:"waits_for,omitempty"`
	// Closed says how the entry was settled; nil while it is open.
	Closed *Closing `msgpack:"closed,omitempty" json:"closed,omitempty"`
}

// Outcome is a way to settle a failure.
type Outcome string

// The ways to settle a failure.
const (
	Applied    Outcome = "applied"    // it succeeded in the end
	Superseded Outcome = "superseded" // the object has newer state, or is gone
	Discarded  Outcome = "discarded"  // somebody gave it up
	Overruled  Outcome = "overruled"  // it was made beside a later change of another site
)

// Closing is the end of a failure.
type Closing struct {
	As  Outcome   `msgpack:"as" json:"as"`
	By  string    `msgpack:"by,omitempty" json:"by,omitempty"`
	Why string    `msgpack:"why,omitempty" json:"why,omitempty"`
	At  time.Time `msgpack:"at" json:"at"`
}

// Close gives the entry as it is settled.
func (e *Entry) Close(c Closing) *Entry {
	closed := *e
	c.At = time.Now().UTC()
	closed.Closed = &c
	return &closed
}

func (e *Entry) subject() string {
	if e.Stage == Export {
		return subject.ExportError(e.Site, e.name())
	}
	return subject.ImportError(e.Site, e.UID)
}

// name is what tells an entry from the others of its site: each channel has its own.
func (e *Entry) name() string {
	if e.Stage == Export && e.Channel != "" {
		return e.Channel + "/" + e.UID
	}
	return e.UID
}

// Message makes the message that keeps an entry, with the envelope that failed, if there
// is one. It takes the place of the object's earlier entry at that site.
func Message(e *Entry, failed []byte) (*nats.Msg, error) {
	kept := *e
	if len(kept.Reason) > maxReason {
		kept.Reason = strings.ToValidUTF8(kept.Reason[:maxReason], "") + " …"
	}
	head, err := msgpack.Marshal(&kept)
	if err != nil {
		return nil, fmt.Errorf("keep the failure of %s: %w", e.Path, err)
	}
	m := nats.NewMsg(e.subject())
	m.Header.Set(nats.MsgIdHdr, nuid.Next())
	m.Header.Set(subject.HeaderEntry, base64.StdEncoding.EncodeToString(head))
	if len(failed) <= maxEnvelope {
		m.Data = failed
	}
	if e.Closed != nil {
		keep := keepClosed
		if e.Closed.As == Discarded || e.Closed.As == Overruled {
			keep = keepDiscarded
		}
		m.Header.Set(jetstream.MsgTTLHeader, keep.String())
		if e.Closed.As != Overruled {
			m.Data = nil
		}
	}
	return m, nil
}

// Parse reads what Message wrote, without the envelope.
func Parse(h nats.Header) (*Entry, error) {
	head, err := base64.StdEncoding.DecodeString(h.Get(subject.HeaderEntry))
	if err != nil {
		return nil, fault.Errorf(fault.Park, fault.Invalid, "header %s: %w", subject.HeaderEntry, err)
	}
	e := new(Entry)
	if err := unmarshal(head, e); err != nil {
		return nil, fault.Errorf(fault.Park, fault.Invalid, "header %s: %w", subject.HeaderEntry, err)
	}
	return e, nil
}

// unmarshal reads foreign msgpack.
func unmarshal(from []byte, to any) error {
	if err := envelope.CheckShape(from); err != nil {
		return err
	}
	return msgpack.Unmarshal(from, to)
}
