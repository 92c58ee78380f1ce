package importer

import (
	"context"

	"synchro.example/shared/content"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/version"
)

// toldDrifts is how many changes by others are named in the log.
const toldDrifts = 10

// compareSite looks for what somebody else has changed on the site. Where an object has
// the fingerprint that it had when it was applied, nobody did; the others are read.
func (s *session) compareSite(ctx context.Context, repair bool) error {
	if s.Inspect == nil || s.onCircle() { // who edits there is no stranger
		return nil
	}
	site, err := s.Inspect()
	if err != nil {
		return err
	}
	defer func() { _ = site.Close() }()
	expected, versions := s.expected(ctx)
	wrong, _, err := reconcile.Compare(ctx, site, expected)
	if err != nil {
		return err
	}
	s.inLoop(ctx, func() error { return s.drifted(ctx, wrong, versions, repair) })
	return nil
}

// expected gives what the site should have by now, with the versions.
func (s *session) expected(ctx context.Context) (expected []reconcile.Expected, versions map[string]version.Version) {
	versions = map[string]version.Version{}
	s.inLoop(ctx, func() error {
		for uid, e := range s.actual.All() {
			path, ok := s.actual.Path(uid)
			if !ok || s.newest[uid] != nil {
				continue
			}
			versions[uid] = e.Version
			expected = append(expected, reconcile.Expected{
				UID: uid, Path: path, Type: e.Type, Digest: e.Digest, Content: e.Content, Fingerprint: e.Fingerprint, Note: e.Note,
			})
		}
		return nil
	})
	return expected, versions
}

// drifted tells what has drifted, and applies it again where that is wanted. An object that
// has moved on since it was looked at is left out.
func (s *session) drifted(ctx context.Context, wrong []reconcile.Difference, versions map[string]version.Version, repair bool) error {
	count := 0
	reconcile.Sort(wrong) // containers first
	for _, d := range wrong {
		e, ok := s.actual.Get(d.UID)
		if path, _ := s.actual.Path(d.UID); !ok || e.Version != versions[d.UID] || s.newest[d.UID] != nil || path != d.Path {
			continue
		}
		if count++; count <= toldDrifts {
			s.log.Warn("somebody else has changed the site", "path", d.Path, "what", d.What, "repaired", repair)
		}
		if !repair {
			continue
		}
		if err := s.applyAgain(ctx, e.Channel, d.UID); err != nil {
			return err
		}
	}
	if count > toldDrifts {
		s.log.Warn("somebody else has changed the site in more places", "count", count, "repaired", repair)
	}
	s.drift = count
	if repair {
		s.drift = 0
	}
	return nil
}

// applyAgain admits the newest change of an object although the ledger has it.
func (s *session) applyAgain(ctx context.Context, channel, uid string) error {
	c, err := s.lookup(ctx, channel, uid)
	if c == nil || err != nil {
		return err
	}
	a := &admission{session: s, ctx: ctx, channel: channel, under: map[string]*content.Change{}, again: uid}
	return a.take(c, func() {})
}
