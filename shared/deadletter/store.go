package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

// Store reads the ERROR stream. Safe for concurrent use.
type Store struct{ js jetstream.JetStream }

// New makes a store.
func New(js jetstream.JetStream) *Store { return &Store{js: js} }

// All gives every open failure, oldest first.
func (s *Store) All(ctx context.Context) ([]Entry, error) {
	return s.read(ctx, "", func(e *Entry) bool { return e.Closed == nil })
}

// Closed gives the failures that are settled and still remembered, oldest first.
func (s *Store) Closed(ctx context.Context) ([]Entry, error) {
	return s.read(ctx, "", func(e *Entry) bool { return e.Closed != nil })
}

// OfImport gives the open failures of a receiving site.
func (s *Store) OfImport(ctx context.Context, site string) ([]Entry, error) {
	return s.read(ctx, subject.ImportErrorAll(site), func(e *Entry) bool { return e.Closed == nil })
}

// OfChannel gives the open failures of a source site on the way into a channel.
func (s *Store) OfChannel(ctx context.Context, site, channel string) ([]Entry, error) {
	return s.read(ctx, subject.ExportErrorAll(site), func(e *Entry) bool { return e.Closed == nil && e.Channel == channel })
}

// Discarded gives the failures of a source site, on the way into a channel, that somebody
// gave up.
func (s *Store) Discarded(ctx context.Context, site, channel string) ([]Entry, error) {
	return s.read(ctx, subject.ExportErrorAll(site), func(e *Entry) bool {
		return e.Closed != nil && e.Closed.As == Discarded && e.Channel == channel
	})
}

// OfExport gives the open failures of a source site on the way into its log.
func (s *Store) OfExport(ctx context.Context, site string) ([]Entry, error) {
	return s.read(ctx, subject.ExportErrorAll(site), func(e *Entry) bool { return e.Closed == nil && e.Channel == "" })
}

func (s *Store) read(ctx context.Context, subjects string, wanted func(*Entry) bool) ([]Entry, error) {
	var entries []Entry
	o := changelog.Options{HeadersOnly: true, Subjects: subjects}
	err := changelog.Scan(ctx, s.js, subject.ErrorStream, o, func(m jetstream.Msg) error {
		e, err := Parse(m.Headers())
		if err != nil {
			e = unreadable(m.Subject(), err)
		}
		if wanted(e) {
			entries = append(entries, *e)
		}
		return nil
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil // nothing ever ran
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Last.Compare(b.Last) })
	return entries, err
}

// unreadable stands for a damaged entry, so that it is listed and can be discarded, and does
// not hide the others.
func unreadable(subj string, err error) *Entry {
	site, _ := subject.ErrorSite(subj)
	return &Entry{
		Stage: stageOf(subj), Site: site, UID: subj[strings.LastIndexByte(subj, '.')+1:], Path: subj,
		Code: fault.Invalid, Class: fault.Park, Reason: fmt.Sprintf("what was kept of this failure cannot be read: %v", err),
	}
}

func stageOf(subj string) Stage {
	if subject.IsExportError(subj) {
		return Export
	}
	return Import
}

// Count gives the number of open failures of each site.
func (s *Store) Count(ctx context.Context) (map[string]int, error) {
	entries, err := s.All(ctx)
	counts := map[string]int{}
	for i := range entries {
		counts[entries[i].Site]++
	}
	return counts, err
}

// Envelope gives the bytes that failed, nil when they are not kept any more.
func (s *Store) Envelope(ctx context.Context, e *Entry) ([]byte, error) {
	m, err := changelog.Newest(ctx, s.js, subject.ErrorStream, e.subject())
	if m == nil || err != nil {
		return nil, err
	}
	return m.Data, nil
}

// Of gives the failure of an object at a receiving site, open or closed, nil when there is
// none.
func (s *Store) Of(ctx context.Context, site, uid string) (*Entry, error) {
	return s.at(ctx, subject.ImportError(site, uid))
}

// OnTheWay gives the failure of an object of a source on the way into a channel, open or
// closed, nil when there is none.
func (s *Store) OnTheWay(ctx context.Context, site, channel, uid string) (*Entry, error) {
	e := Entry{Stage: Export, Site: site, Channel: channel, UID: uid}
	return s.at(ctx, e.subject())
}

// GiveUp gives a failure on the way into a channel as it is settled when somebody gives it
// up, nil when there is nothing to settle. The relay, which keeps those failures, does not
// tell one again that was given up.
func (s *Store) GiveUp(ctx context.Context, site string, r Request) (*Entry, error) {
	e, err := s.OnTheWay(ctx, site, r.Channel, r.UID)
	if e == nil || e.Closed != nil || e.Version > r.Version || err != nil {
		return nil, err
	}
	return e.Close(Closing{As: Discarded, By: r.By, Why: r.Why}), nil
}

func (s *Store) at(ctx context.Context, subj string) (*Entry, error) {
	m, err := changelog.Newest(ctx, s.js, subject.ErrorStream, subj)
	if m == nil || err != nil {
		return nil, err
	}
	return Parse(m.Header)
}
