package relay

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/subject"
	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// What a channel's expression asks for is not always a change of the source: an object
// can leave a channel although nothing happened to it. The relay makes such changes, and
// gives them versions of a clock of its own, above what the channel's log has, so that
// receivers take them also when that log was lost meanwhile. What comes from the source
// with a lower version after that gets a higher one on its way.

// derived makes the message of a change that the relay made. Its version lies above
// c.Version and that in the log.
func (r *Relay) derived(c *content.Change, of version.Version, old stored) (outgoing, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return outgoing{}, fmt.Errorf("make an id: %w", err)
	}
	c.ID, c.Previous = id.String(), old.version
	r.clock.Observe(max(c.Version, old.version))
	c.Version = r.clock.Next()
	m, err := envelope.Message(subject.ImportToProcess(r.channel, c.Object.UID), c, "", "")
	if err != nil {
		return outgoing{}, err
	}
	m.Header.Set(subject.HeaderOf, of.String())
	after := stored{
		version: c.Version, of: of, removed: c.Kind == content.Removed, kind: c.Object.Type,
		place: tree.Place{Parent: c.Object.ParentUID, Name: c.Object.Name},
	}
	return outgoing{c.Object.UID, r.expecting(m, c.Kind, old), after}, r.key.Sign(m.Subject, m)
}

// again makes the message that passes on what the source has had for a while, and the
// channel may have had before.
func (r *Relay) again(m message, old stored) (outgoing, error) {
	c, err := envelope.Decode(m.in.body)
	if err != nil {
		return outgoing{}, err
	}
	return r.derived(c, m.head.Version, old)
}

// bare makes the change that brings a container without anything in it but its id and
// type.
func (r *Relay) bare(uid, path string, p tree.Place, m *member, old stored) (outgoing, error) {
	c := r.without(content.Modified, uid, path, p, m.kind)
	c.Version = m.version
	return r.derived(c, 0, old)
}

// leave makes the removal of what does not belong to the channel any more. gone is the
// version of the source's own removal, 0 when it still has the object.
func (r *Relay) leave(uid, path string, gone version.Version, old stored) (outgoing, error) {
	c := r.without(content.Removed, uid, path, old.place, old.kind)
	c.Version, c.Withdrawn = gone, gone == 0
	return r.derived(c, gone, old)
}

func (r *Relay) without(kind content.Kind, uid, path string, p tree.Place, typ string) *content.Change {
	return &content.Change{
		Source: r.from, Kind: kind, CapturedAt: time.Now().UTC(), Digest: content.DigestOf(nil),
		Object: content.Object{UID: uid, ParentUID: p.Parent, Name: p.Name, Path: path, Type: typ},
	}
}
