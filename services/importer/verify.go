package importer

import (
	"context"
	"fmt"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/ledger"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/subject"
)

// Verify compares the channels' logs with the ledger, and the ledger with everything that
// stands on the site, all of which it reads. It changes nothing and may run while another
// process imports; what changes meanwhile may show as a difference.
func (i *Importer) Verify(ctx context.Context) ([]reconcile.Difference, error) {
	s := newSession(i)
	if err := s.read(ctx, ledger.Load); err != nil {
		return nil, err
	}
	list, err := s.verifyLogs(ctx)
	if err != nil {
		return nil, err
	}
	onSite, err := s.verifySite(ctx)
	list = append(list, onSite...)
	for n := range list {
		list[n].Site = i.Site
	}
	return list, err
}

// verifyLogs finds what the ledger lacks of the logs, and what it has beyond them.
func (s *session) verifyLogs(ctx context.Context) (list []reconcile.Difference, err error) {
	known := map[string]bool{}
	for _, ch := range s.Channels {
		heads, err := headsOf(ctx, s, ch)
		if err != nil {
			return nil, err
		}
		for uid, h := range heads {
			known[uid] = known[uid] || h.Kind != content.Removed
			if d, ok := s.verifyHead(heads, h); ok {
				d.Channel = ch
				list = append(list, d)
			}
		}
	}
	for uid, e := range s.actual.All() {
		if !known[uid] && e.Discarded == 0 && !e.Made && !e.Own {
			path, _ := s.actual.Path(uid)
			list = append(list, reconcile.Difference{Hop: reconcile.Import, Channel: e.Channel, UID: uid, Path: path, What: reconcile.Extra})
		}
	}
	return list, nil
}

func headsOf(ctx context.Context, s *session, channel string) (map[string]envelope.Head, error) {
	heads := map[string]envelope.Head{}
	err := changelog.Heads(ctx, s.JS, subject.ImportStream(channel), func(_ uint64, h envelope.Head) { heads[h.UID] = h },
		func(subj string, err error) {
			s.log.Error("a message of the log cannot be read", "subject", subj, "error", err)
		})
	return heads, err
}

// verifyHead compares one object of a log with the ledger.
func (s *session) verifyHead(heads map[string]envelope.Head, h envelope.Head) (d reconcile.Difference, differs bool) {
	d = reconcile.Difference{Hop: reconcile.Import, UID: h.UID, Path: changelog.Path(heads, h)}
	e, live := s.actual.Get(h.UID)
	switch failed := s.failed[h.UID]; {
	case failed != nil:
		d.What, d.Detail = reconcile.Failed, failed.Reason
	case live && e.Discarded == h.Version:
		d.What, d.Detail = reconcile.Different, "its newest state was discarded"
	case !live && h.Kind != content.Removed && s.discarded[h.UID] == h.Version:
		d.What, d.Detail = reconcile.Missing, "it was discarded"
	case h.Version <= s.versionOf(h.UID):
		return d, false
	case h.Kind == content.Removed:
		return d, live
	case live:
		d.What = reconcile.Different
	default:
		d.What = reconcile.Missing
	}
	if d.What == "" {
		d.What = reconcile.Extra
	}
	return d, true
}

// verifySite reads everything that stands on the site.
func (s *session) verifySite(ctx context.Context) ([]reconcile.Difference, error) {
	if s.Inspect == nil {
		return nil, nil
	}
	site, err := s.Inspect()
	if err != nil {
		return nil, err
	}
	defer func() { _ = site.Close() }()
	var expected []reconcile.Expected
	for uid, e := range s.actual.All() {
		if path, ok := s.actual.Path(uid); ok {
			expected = append(expected, reconcile.Expected{UID: uid, Path: path, Type: e.Type, Digest: e.Digest, Content: e.Content, Note: e.Note})
		}
	}
	list, extra, err := reconcile.Compare(ctx, site, expected)
	if err != nil {
		return nil, fmt.Errorf("look at site %s: %w", s.Site, err)
	}
	if s.onCircle() {
		return list, nil // the exporter tells what its log lacks
	}
	for _, item := range extra {
		list = append(list, reconcile.Difference{Hop: reconcile.Site, Path: item.Path, What: reconcile.Extra, Detail: "it did not come through Synchro"})
	}
	return list, nil
}
