// Package ledger is what has taken effect on a receiving site: for each object the
// newest version, and where it stands. It decides what an importer applies, not the
// broker's acknowledgements. One stream a site keeps it, one message an object.
package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// Entry is the line of one object.
type Entry struct {
	UID     string          `msgpack:"uid"`
	Parent  string          `msgpack:"parent_uid"`
	Name    string          `msgpack:"name"`
	Type    string          `msgpack:"type"`
	Kind    content.Kind    `msgpack:"kind"` // Removed: a tombstone
	Version version.Version `msgpack:"version"`
	Channel string          `msgpack:"channel"`
	Source  string          `msgpack:"source"`
	Change  string          `msgpack:"id"` // id of the change
	// MadeAt is the site where the version was made, when that is not Source; Withdrawn is
	// as in content.Change.
	MadeAt    string         `msgpack:"made_at,omitempty"`
	Withdrawn bool           `msgpack:"withdrawn,omitempty"`
	Digest    content.Digest `msgpack:"digest"`
	// Bytes is the digest of the payloads other than PluginContent.
	Bytes content.Digest `msgpack:"bytes"`
	At    time.Time      `msgpack:"at"`
	// Fingerprint is that of the object on the site when it was applied, where the
	// driver knows it.
	Fingerprint string `msgpack:"fingerprint,omitempty"`
	// Note is what the target wants to know again, and Missing are the UIDs that the
	// object refers to and that the site has not.
	Note    string   `msgpack:"note,omitempty"`
	Missing []string `msgpack:"missing,omitempty"`
	// Discarded is the version that somebody gave up, when that is Version: the site has
	// an older state of the object, or, with Kind Removed, none.
	Discarded version.Version `msgpack:"discarded,omitempty"`
	// Origin is where the source has the object, when a rule of the site put it elsewhere.
	Origin *Origin `msgpack:"origin,omitempty"`
	// Content is the digest of the payloads without their names, where a rule gave the object
	// another name: a site may call the bytes by that.
	Content []byte `msgpack:"content,omitempty"`
	// Rules is the mark of the site's rules by which the object got its place.
	Rules string `msgpack:"rules,omitempty"`
	// Skipped says that a rule keeps the object away: Kind is Removed, and Parent and Name
	// are those on the source.
	Skipped bool `msgpack:"skipped,omitempty"`
	// Made says that this is a container which no source has, and which the path of a
	// rule needs.
	Made bool `msgpack:"made,omitempty"`
	// Kept says that a removal was not carried out, because somebody put something into
	// the container meanwhile: the exporter is to send it again.
	Kept bool `msgpack:"kept,omitempty"`
	// Own says that this is no line of the ledger: the newest state is in the site's own log.
	Own bool `msgpack:"-"`
}

// Origin is a place on the source.
type Origin struct {
	Parent string `msgpack:"parent_uid"`
	Name   string `msgpack:"name"`
}

// Live tells whether the site has the object.
func (e *Entry) Live() bool { return e.Kind == content.Modified }

// Renamed tells whether a rule gave the object another name than it has on its source.
func (e *Entry) Renamed() bool { return e.Origin != nil && e.Origin.Name != e.Name }

// BytesDigest gives the digest of the payloads of a change other than PluginContent.
func BytesDigest(c *content.Change) content.Digest {
	var rest []content.Payload
	for _, p := range c.Payloads {
		if p.Plugin != content.PluginContent {
			rest = append(rest, p)
		}
	}
	return content.DigestOf(rest)
}

// Message makes the message that keeps an entry. A tombstone is kept for keep, unless it
// stands for an object that was given up or skipped, which the log goes on to have.
func Message(site string, e *Entry, keep time.Duration) (*nats.Msg, error) {
	body, err := msgpack.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("ledger entry of %s: %w", e.UID, err)
	}
	m := nats.NewMsg(subject.ImportDone(site, e.UID))
	m.Data = body
	m.Header.Set(nats.MsgIdHdr, nuid.Next())
	if !e.Live() && e.Discarded == 0 && !e.Skipped {
		m.Header.Set(jetstream.MsgTTLHeader, keep.Truncate(time.Second).String())
	}
	return m, nil
}

// Load reads the whole ledger of a site. An entry that cannot be read is passed to bad,
// with its subject.
func Load(ctx context.Context, js jetstream.JetStream, site string, each func(*Entry), bad func(subject string, err error)) error {
	return load(ctx, js, site, changelog.Options{}, each, bad)
}

// LoadWhole is Load for whose ledger it is: it fails with changelog.ErrDamaged, when it has
// given all that there is, if that is not the whole.
func LoadWhole(ctx context.Context, js jetstream.JetStream, site string, each func(*Entry), bad func(subject string, err error)) error {
	return load(ctx, js, site, changelog.Options{Whole: true}, each, bad)
}

func load(ctx context.Context, js jetstream.JetStream, site string, o changelog.Options, each func(*Entry), bad func(subject string, err error)) error {
	return changelog.Scan(ctx, js, subject.LedgerStream(site), o, func(m jetstream.Msg) error {
		e := new(Entry)
		if err := msgpack.Unmarshal(m.Data(), e); err != nil {
			bad(m.Subject(), err)
			return nil
		}
		each(e)
		return nil
	})
}

// Get gives the line of one object, nil when there is none.
func Get(ctx context.Context, js jetstream.JetStream, site, uid string) (*Entry, error) {
	m, err := changelog.Newest(ctx, js, subject.LedgerStream(site), subject.ImportDone(site, uid))
	if m == nil || err != nil {
		return nil, err
	}
	e := new(Entry)
	if err := msgpack.Unmarshal(m.Data, e); err != nil {
		return nil, fmt.Errorf("the ledger entry of %s at %s: %w", uid, site, err)
	}
	return e, nil
}
