package importer

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/ledger"
	"synchro.example/shared/subject"
)

// clearOut removes from the site what came through Synchro and what no log knows any more:
// its log was lost, and it went from the source before that was made again. This is only done
// when somebody wants a repair, and not when it is much: then the logs are not to be trusted.
func (s *session) clearOut(ctx context.Context) error {
	known := map[string]bool{}
	for _, ch := range s.Channels {
		err := changelog.Heads(ctx, s.JS, subject.ImportStream(ch), func(_ uint64, h envelope.Head) { known[h.UID] = true },
			func(subj string, err error) {
				s.log.Error("a message of the log cannot be read", "subject", subj, "error", err)
			})
		if err != nil {
			return err
		}
	}
	s.inLoop(ctx, func() error { return s.removeUnknown(ctx, known) })
	return nil
}

func (s *session) removeUnknown(ctx context.Context, known map[string]bool) error {
	var unknown []*ledger.Entry
	for uid, e := range s.actual.All() {
		if !known[uid] && s.newest[uid] == nil && e.Discarded == 0 && !e.Own {
			unknown = append(unknown, e)
		}
	}
	if most := s.MaxRemovals; most != nil && len(unknown) > most(s.actual.Len()) {
		s.log.Error("the logs do not know so many objects of the site that nothing of it is removed; look at the logs first", "count", len(unknown), "objects", s.actual.Len())
		return nil
	}
	path := func(e *ledger.Entry) string { p, _ := s.actual.Path(e.UID); return p }
	slices.SortFunc(unknown, func(a, b *ledger.Entry) int { return cmp.Compare(path(b), path(a)) }) // what a container holds goes first
	for _, e := range unknown {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		s.log.Warn("no log knows an object any more, it is removed", "path", path(e))
		gone := &content.Change{
			ID: id.String(), Source: e.Source, Kind: content.Removed, Version: e.Version + 1, Previous: e.Version,
			Object: content.Object{UID: e.UID, ParentUID: e.Parent, Name: e.Name, Path: path(e), Type: e.Type},
		}
		if err := s.admit(ctx, e.Channel, gone, func() {}); err != nil {
			return err
		}
	}
	return nil
}
