package deadletter

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// Request asks the importer of a site to settle a failure. It acts on the failure that
// was seen: one with a newer version is left alone by a discard.
type Request struct {
	UID     string          `msgpack:"uid"`
	Channel string          `msgpack:"channel"`
	Version version.Version `msgpack:"version"`
	// Discard gives the change up instead of trying it again.
	Discard bool `msgpack:"discard,omitempty"`
	// Upload asks the exporter of the source to send the object's bytes again, which the
	// broker does not have any more.
	Upload bool      `msgpack:"upload,omitempty"`
	By     string    `msgpack:"by"`
	Why    string    `msgpack:"why,omitempty"`
	At     time.Time `msgpack:"at"`
}

// Ask makes the message that puts a request into the queue of the failing site, and of no
// other. Asking again before the importer has taken it changes nothing.
func Ask(e *Entry, r Request) (*nats.Msg, error) {
	r.UID, r.Channel, r.Version, r.At = e.UID, e.Channel, e.Version, time.Now().UTC()
	body, err := msgpack.Marshal(&r)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", e.Path, err)
	}
	m := nats.NewMsg(subject.ImportReplay(e.Site, e.UID))
	if e.Stage == Export {
		m.Subject = subject.ExportReplay(e.Site, e.name())
	}
	m.Header.Set(nats.MsgIdHdr, nuid.Next())
	m.Data = body
	return m, nil
}

// ParseRequest reads what Ask sent.
func ParseRequest(body []byte) (Request, error) {
	var r Request
	if err := unmarshal(body, &r); err != nil {
		return r, fault.Errorf(fault.Park, fault.Invalid, "a request of the replay queue: %w", err)
	}
	return r, nil
}
