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
// can leave a channel although nothing happened to it. The relay makes such changes. Their
// versions lie just above what the channel's log has, so that receivers take them, and
// far below what the source will give the object next.

// derived makes the message of a change that the relay made. c.Version is the one that
// it must lie above.
func (r *Relay) derived(c *content.Change, of version.Version, old stored) (outgoing, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return outgoing{}, fmt.Errorf("make an id: %w", err)
	}
	c.ID, c.Previous, c.Version = id.String(), old.version, c.Version+1
	m, err := envelope.Message(subject.ImportToProcess(r.channel, c.Object.UID), c, "", "")
	if err != nil {
		return outgoing{}, err
	}
	m.Header.Set(subject.HeaderOf, of.String())
	after := stored{
		version: c.Version, of: of, removed: c.Kind == content.Removed, kind: c.Object.Type,
		place: tree.Place{Parent: c.Object.ParentUID, Name: c.Object.Name},
	}
	return outgoing{c.Object.UID, r.expecting(m, c.Kind, old), after}, nil
}

// bare makes the change that brings a container without anything in it but its id and
// type.
func (r *Relay) bare(uid, path string, p tree.Place, m *member, old stored) (outgoing, error) {
	c := r.without(content.Modified, uid, path, p, m.kind)
	c.Version = max(m.version-1, old.version)
	return r.derived(c, 0, old)
}

// leave makes the removal of what does not belong to the channel any more. gone is the
// version of the source's own removal, 0 when it still has the object.
func (r *Relay) leave(uid, path string, gone version.Version, old stored) (outgoing, error) {
	c := r.without(content.Removed, uid, path, old.place, old.kind)
	c.Version = old.version
	if gone > 0 {
		c.Version = max(gone-1, old.version)
	}
	return r.derived(c, gone, old)
}

func (r *Relay) without(kind content.Kind, uid, path string, p tree.Place, typ string) *content.Change {
	return &content.Change{
		Source: r.from, Kind: kind, CapturedAt: time.Now().UTC(), Digest: content.DigestOf(nil),
		Object: content.Object{UID: uid, ParentUID: p.Parent, Name: p.Name, Path: path, Type: typ},
	}
}
