package relay

import (
	"context"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/subject"
)

// Verify compares the source's log with the channel's and changes nothing.
func (r *Relay) Verify(ctx context.Context) ([]reconcile.Difference, error) {
	have := map[string]envelope.Head{}
	err := changelog.Heads(ctx, r.js, subject.ImportStream(r.channel), func(_ uint64, h envelope.Head) { have[h.UID] = h }, r.unreadable)
	if err != nil {
		return nil, err
	}
	var list []reconcile.Difference
	differs := func(h envelope.Head, what string) {
		list = append(list, reconcile.Difference{Hop: reconcile.Relay, Site: r.from, Channel: r.channel, UID: h.UID, Path: h.Name, What: what})
	}
	err = changelog.Heads(ctx, r.js, subject.ExportStream(r.from), func(_ uint64, h envelope.Head) {
		old, ok := have[h.UID]
		delete(have, h.UID)
		switch {
		case ok && old.Version >= h.Version, !ok && h.Kind == content.Removed:
		case ok:
			differs(h, reconcile.Different)
		default:
			differs(h, reconcile.Missing)
		}
	}, r.unreadable)
	for _, h := range have {
		if h.Kind != content.Removed {
			differs(h, reconcile.Extra)
		}
	}
	return list, err
}
