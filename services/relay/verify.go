package relay

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/subject"
)

// Verify compares the source's log with the channel's and changes nothing.
func (r *Relay) Verify(ctx context.Context) ([]reconcile.Difference, error) {
	have, err := r.carried(ctx)
	if err != nil {
		return nil, err
	}
	if r.filter != nil {
		return r.filter.verify(ctx, have)
	}
	var list []reconcile.Difference
	differs := func(h envelope.Head, what string) {
		list = append(list, reconcile.Difference{Hop: reconcile.Relay, Site: r.from, Channel: r.channel, UID: h.UID, Path: h.Name, What: what})
	}
	err = changelog.Heads(ctx, r.js, subject.ExportStream(r.from), func(_ uint64, h envelope.Head) {
		old, ok := have[h.UID]
		delete(have, h.UID)
		switch {
		case ok && old.Of >= h.Version, !ok && h.Kind == content.Removed, r.stopsHere(h, storedOf(0, old)):
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

// carried gives what the channel's log has.
func (r *Relay) carried(ctx context.Context) (map[string]envelope.Head, error) {
	have := map[string]envelope.Head{}
	err := changelog.Scan(ctx, r.js, subject.ImportStream(r.channel), changelog.Options{HeadersOnly: r.written == nil}, func(m jetstream.Msg) error {
		h, err := r.headOf(m, true)
		if err != nil {
			r.unreadable(m.Subject(), err)
			return nil
		}
		have[h.UID] = h
		return nil
	})
	return have, err
}

// verify compares the channel's log with what the expression makes of the source's.
func (f *filter) verify(ctx context.Context, heads map[string]envelope.Head) ([]reconcile.Difference, error) {
	now, have, err := f.afresh(ctx, heads)
	if err != nil {
		return nil, err
	}
	return now.differences(heads, have), nil
}

// afresh computes what the channel is to carry, apart from what the running relay knows.
func (f *filter) afresh(ctx context.Context, heads map[string]envelope.Head) (now *filter, have map[string]stored, err error) {
	have = map[string]stored{}
	for uid, h := range heads {
		have[uid] = storedOf(0, h)
	}
	now = &filter{Relay: f.Relay, options: f.options}
	return now, have, now.learn(ctx, have)
}

func (f *filter) differences(heads map[string]envelope.Head, have map[string]stored) (list []reconcile.Difference) {
	differs := func(uid, path, what, detail string) {
		list = append(list, reconcile.Difference{Hop: reconcile.Relay, Site: f.from, Channel: f.channel, UID: uid, Path: path, What: what, Detail: detail})
	}
	for _, uid := range f.selection.all() {
		switch want, needed := f.wanted(uid, have[uid]); {
		case !needed:
		case want == absent:
			differs(uid, heads[uid].Name, reconcile.Extra, "")
		case have[uid].in():
			differs(uid, f.path(uid), reconcile.Different, "")
		default:
			differs(uid, f.path(uid), reconcile.Missing, "")
		}
	}
	for uid, e := range f.failures.entries {
		differs(uid, e.Path, reconcile.Failed, e.Reason)
	}
	for uid, h := range heads {
		if _, gone := f.selection.gone[uid]; have[uid].in() && !gone && f.selection.versionOf(uid) == 0 {
			differs(uid, h.Name, reconcile.Extra, "")
		}
	}
	return list
}
