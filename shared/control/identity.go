package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

// Identity says which site answers under a name. It is kept when the site is met for the
// first time, and replaced when somebody says so.
type Identity struct {
	Site   string    `json:"site"`
	ID     string    `json:"id"`
	By     string    `json:"by,omitempty"` // empty when nobody was asked
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Meet keeps the identity of a site that has none yet. When another process was faster,
// the error says that it is to be tried again.
func (s *Store) Meet(ctx context.Context, site, id string) error {
	err := s.identity(ctx, Identity{Site: site, ID: id}, jetstream.WithExpectLastSequencePerSubject(0))
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return fault.OfSite(fault.Retry, fault.OtherSite, fmt.Errorf("site %s was met by another process at the same moment", site))
	}
	return changelog.Classify(err)
}

// Adopt makes a site the one that is meant.
func (s *Store) Adopt(ctx context.Context, i Identity) error {
	return changelog.Classify(s.identity(ctx, i))
}

func (s *Store) identity(ctx context.Context, i Identity, opts ...jetstream.PublishOpt) error {
	i.At = time.Now().UTC()
	body, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("keep the identity of %s: %w", i.Site, err)
	}
	_, err = s.js.Publish(ctx, subject.ControlIdentity(i.Site), body, opts...)
	return err
}

// Identity gives the identity of a site that was met before.
func (s *State) Identity(site string) (Identity, bool) {
	i, ok := s.sites[site]
	return i, ok
}

// Stranger says why what answers under the name of a site is not what is meant, nil when
// it is, or when the site was never met. Of two names for one site, or for a site and its
// copy, the older one is believed, until somebody adopts the other.
func (s *State) Stranger(site, id string) error {
	is, met := s.sites[site]
	if met && is.ID != id {
		return other("what answers as site %s has the identity %s; since %s it was %s", site, id, is.At.Format(time.RFC3339), is.ID)
	}
	if is.By != "" {
		return nil
	}
	for name, o := range s.sites {
		if name != site && o.ID == id && o.By == "" && (!met || o.At.Before(is.At)) {
			return other("what answers as site %s has the identity of site %s: it is that site, or a copy of its database", site, name)
		}
	}
	return nil
}

func other(format string, args ...any) error {
	return fault.OfSite(fault.Retry, fault.OtherSite, fmt.Errorf(format+"; if that is meant, `synchro adopt` says so", args...))
}

// Recognise has a site that can tell who it is compared with what answered under its name
// before. Anything else is left alone.
func (f *Following) Recognise(site string, end any) {
	if e, ok := end.(content.Identified); ok && f != nil {
		e.Identify(func(ctx context.Context, id string) error { return f.known(ctx, site, id) })
	}
}

func (f *Following) known(ctx context.Context, site, id string) error {
	state, _ := f.State()
	if err := state.Stranger(site, id); err != nil {
		return err
	}
	if _, met := state.Identity(site); met {
		return nil
	}
	return f.store.Meet(ctx, site, id)
}
