package exporter

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/subject"
	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// An exporter with a key makes its log one in which everything is signed by that key: what
// lacks the signature is read on the site and published again. So a log of the time before there was a key,
// a key that takes the place of another one, and what somebody else has written into the log
// are one case. Where the list of keys says that nobody can have written something, not even
// its version is believed.

// takeIn takes one message of the log into an inventory.
func (e *Exporter) takeIn(inv *inventory, m jetstream.Msg, deep bool) {
	h, err := envelope.ParseHead(m.Headers())
	if err != nil {
		e.log.Error("a message of the log cannot be read, its object is exported again", "subject", m.Subject(), "error", err)
		return
	}
	if e.own.Judge(m, deep) == nil {
		inv.add(h)
		return
	}
	if err := e.Rule.Judge(m, deep); err != nil {
		e.log.Error("a message of the log is not what this site has signed, its object is exported again", "subject", m.Subject(), "error", err)
		h.Version, h.Identity = 0, ""
	}
	inv.addUnsigned(h)
}

// Distrust has signed bodies looked at, too, when the log is read the next time.
func (e *Exporter) Distrust() { e.distrust.Store(true) }

// addUnsigned takes in a message that is to be signed.
func (inv *inventory) addUnsigned(h envelope.Head) {
	inv.add(h)
	if h.Kind == content.Removed {
		inv.unsigned[h.UID] = departed{tree.Place{Parent: h.ParentUID, Name: h.Name}, h.Type}
		return
	}
	k, _ := inv.tree.Get(h.UID)
	k.unsigned = true
	inv.put(h.UID, tree.Place{Parent: h.ParentUID, Name: h.Name}, k)
}

// tellUnsigned says how much is sent again.
func (e *Exporter) tellUnsigned(inv *inventory) {
	count := len(inv.unsigned)
	for _, k := range inv.tree.All() {
		if k.unsigned {
			count++
		}
	}
	if count > 0 {
		e.log.Warn("not all of the log is signed with this site's key, it is signed now", "count", count)
	}
}

// signRemovals adds the removals that the log has without a signature.
func (c *comparison) signRemovals() {
	for uid, d := range c.inv.unsigned {
		if c.claimed[uid] || c.steps[uid] != nil {
			continue
		}
		path, ok := c.inv.tree.PathIn(d.place)
		if !ok {
			path = d.place.Name
		}
		c.add(&step{uid: uid, place: d.place, path: path, removed: true, resigned: true, kind: d.kind})
	}
}

// goneSince is the version in which the log knows that an object is gone.
func (e *Exporter) goneSince(uid string) version.Version {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inv.gone[uid]
}

// newest reads the newest change of an object from the log, nil when it is not this site's.
func (e *Exporter) newest(ctx context.Context, uid string) (*content.Change, error) {
	m, err := changelog.Newest(ctx, e.JS, subject.ExportStream(e.Site), subject.ExportToProcess(e.Site, uid))
	if m == nil || err != nil || e.own.Check(m.Subject, m.Header, m.Data) != nil {
		return nil, err
	}
	return envelope.Decode(m.Data)
}
