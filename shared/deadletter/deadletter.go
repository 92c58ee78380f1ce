// Package deadletter keeps what failed and why: one message for each object and
// site, in the ERROR stream, gone when the object succeeds. It also asks for
// replays. Any number of processes may read and write at the same time.
package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/changelog"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// maxReason is how many bytes of a reason are kept.
const maxReason = 4096

// Entry is one failure.
type Entry struct {
	Site     string          `msgpack:"site" json:"site"`
	Channel  string          `msgpack:"channel" json:"channel"`
	UID      string          `msgpack:"uid" json:"uid"`
	Path     string          `msgpack:"path" json:"path"`
	Version  version.Version `msgpack:"version" json:"version"`
	Code     fault.Code      `msgpack:"code" json:"code"`
	Class    fault.Class     `msgpack:"class" json:"class"`
	Reason   string          `msgpack:"reason" json:"reason"`
	Attempts int             `msgpack:"attempts" json:"attempts"`
	First    time.Time       `msgpack:"first" json:"first"`
	Last     time.Time       `msgpack:"last" json:"last"`
	Host     string          `msgpack:"host" json:"host"`
	Software string          `msgpack:"software" json:"software"`
	// WaitsFor is the uid of the object that holds this one back, if one does.
	WaitsFor string `msgpack:"waits_for,omitempty" json:"waits_for,omitempty"`
}

// Store is the ERROR stream. Safe for concurrent use.
type Store struct{ js jetstream.JetStream }

// New makes a store; the streams must exist.
func New(js jetstream.JetStream) *Store { return &Store{js: js} }

// PutImport keeps the failure of a receiving site.
func (s *Store) PutImport(ctx context.Context, e *Entry) error {
	return s.put(ctx, subject.ImportError(e.Site, e.UID), e)
}

// PutExport keeps the failure of a source site.
func (s *Store) PutExport(ctx context.Context, e *Entry) error {
	return s.put(ctx, subject.ExportError(e.Site, e.UID), e)
}

func (s *Store) put(ctx context.Context, subj string, e *Entry) error {
	if len(e.Reason) > maxReason {
		e.Reason = strings.ToValidUTF8(e.Reason[:maxReason], "") + " …"
	}
	body, err := msgpack.Marshal(e)
	if err != nil {
		return fmt.Errorf("keep the failure of %s: %w", e.Path, err)
	}
	_, err = s.js.PublishMsg(ctx, &nats.Msg{Subject: subj, Data: body})
	return changelog.Classify(err)
}

// ClearImport forgets the failure of an object at a receiving site, if there is one.
func (s *Store) ClearImport(ctx context.Context, site, uid string) error {
	return s.clear(ctx, subject.ImportError(site, uid))
}

// ClearExport forgets the failure of an object at a source site, if there is one.
func (s *Store) ClearExport(ctx context.Context, site, uid string) error {
	return s.clear(ctx, subject.ExportError(site, uid))
}

func (s *Store) clear(ctx context.Context, subj string) error {
	stream, err := s.js.Stream(ctx, subject.ErrorStream)
	if err != nil {
		return changelog.Classify(err)
	}
	return changelog.Classify(stream.Purge(ctx, jetstream.WithPurgeSubject(subj)))
}

// All gives every failure, oldest first.
func (s *Store) All(ctx context.Context) ([]Entry, error) {
	var entries []Entry
	err := changelog.Scan(ctx, s.js, subject.ErrorStream, false, func(m jetstream.Msg) error {
		var e Entry
		if err := msgpack.Unmarshal(m.Data(), &e); err != nil {
			return fmt.Errorf("the failure kept at %s is damaged: %w", m.Subject(), err)
		}
		entries = append(entries, e)
		return nil
	})
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Last.Compare(b.Last) })
	return entries, err
}

// Count gives the number of failures of each receiving or source site, without
// reading them.
func (s *Store) Count(ctx context.Context) (map[string]int, error) {
	stream, err := s.js.Stream(ctx, subject.ErrorStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, changelog.Classify(err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return nil, changelog.Classify(err)
	}
	counts := map[string]int{}
	for subj := range info.State.Subjects {
		if site, ok := subject.ErrorSite(subj); ok {
			counts[site]++
		}
	}
	return counts, nil
}

// Replay is a request to try an object again.
type Replay struct {
	UID     string    `msgpack:"uid"`
	Channel string    `msgpack:"channel"`
	By      string    `msgpack:"by"`
	At      time.Time `msgpack:"at"`
}

// Ask puts a replay of a failed change into the site's queue. Asking twice replays once.
func (s *Store) Ask(ctx context.Context, e *Entry, by string) error {
	body, err := msgpack.Marshal(Replay{UID: e.UID, Channel: e.Channel, By: by, At: time.Now()})
	if err != nil {
		return fmt.Errorf("replay %s: %w", e.Path, err)
	}
	_, err = s.js.PublishMsg(ctx, &nats.Msg{Subject: subject.ImportReplay(e.Site, e.UID), Data: body})
	if err != nil {
		return changelog.Classify(fmt.Errorf("replay %s: %w", e.Path, err))
	}
	return nil
}

// ParseReplay reads what Ask sent.
func ParseReplay(body []byte) (Replay, error) {
	var r Replay
	err := msgpack.Unmarshal(body, &r)
	return r, err
}
