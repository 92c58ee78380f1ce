package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/changelog"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// View is a ledger as somebody reads it who works beside the importer: its lines, and what
// the importer has in hand. It knows what Update has read. Not safe for concurrent use.
type View struct {
	js      jetstream.JetStream
	site    string
	created time.Time // of the stream that was read
	seen    uint64    // sequence up to which it was read
	lines   map[string]placed[*Entry]
	hands   map[int]placed[[]Hand]
	newest  version.Version
}

type placed[V any] struct {
	seq   uint64
	value V
}

// NewView makes a view of a site's ledger that knows nothing yet.
func NewView(js jetstream.JetStream, site string) *View {
	v := &View{js: js, site: site}
	v.clear()
	return v
}

func (v *View) clear() {
	v.seen, v.lines, v.hands = 0, map[string]placed[*Entry]{}, map[int]placed[[]Hand]{}
}

// Update reads what is new, and calls each for every line that is. It reads twice: where a
// note of what is in hand was replaced before it could be read, the line that says what became
// of it was there when it was passed, and is read the second time.
func (v *View) Update(ctx context.Context, each func(*Entry)) error {
	for range 2 {
		if err := v.update(ctx, each); err != nil {
			return err
		}
	}
	return nil
}

func (v *View) update(ctx context.Context, each func(*Entry)) error {
	s, err := v.js.Stream(ctx, subject.LedgerStream(v.site))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // nobody has imported yet
	}
	if err != nil {
		return changelog.Classify(fmt.Errorf("look at the ledger of %s: %w", v.site, err))
	}
	info := s.CachedInfo()
	if last := info.State.LastSeq; !info.Created.Equal(v.created) || last < v.seen {
		v.clear()
		v.created = info.Created
	} else if last == v.seen {
		return nil
	}
	o := changelog.Options{From: v.seen + 1, Asides: true}
	err = changelog.Scan(ctx, v.js, subject.LedgerStream(v.site), o, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		v.take(m, meta.Sequence.Stream, each)
		v.seen = meta.Sequence.Stream
		return nil
	})
	if err == nil {
		v.seen = max(v.seen, info.State.LastSeq)
	}
	return err
}

// take reads one message. A line that cannot be read is none: its object counts as one that
// never came here.
func (v *View) take(m jetstream.Msg, seq uint64, each func(*Entry)) {
	if call, ok := subject.HandCall(m.Subject()); ok {
		v.hands[call] = placed[[]Hand]{seq, parseHands(m.Data())}
		return
	}
	e := new(Entry)
	if !subject.IsLedger(m.Subject()) || msgpack.Unmarshal(m.Data(), e) != nil {
		return
	}
	v.lines[e.UID] = placed[*Entry]{seq, e}
	v.newest = max(v.newest, e.Version)
	each(e)
}

// Seen is how far the ledger was read.
func (v *View) Seen() uint64 { return v.seen }

// Newest is the highest version of all lines.
func (v *View) Newest() version.Version { return v.newest }

// Line gives the line of an object, nil for none.
func (v *View) Line(uid string) *Entry { return v.lines[uid].value }

// Lines calls each for every line.
func (v *View) Lines(each func(*Entry)) {
	for _, l := range v.lines {
		each(l.value)
	}
}

// Busy calls each for what the importer was about to do, or did, after some point of the
// ledger, and for what it has in hand since longer. path is empty where that is not known, or
// where nothing will stand.
func (v *View) Busy(since uint64, each func(e *Entry, path string)) {
	for _, l := range v.lines {
		if l.seq > since {
			each(l.value, "")
		}
	}
	for _, h := range v.hands {
		for i := range h.value {
			if one := &h.value[i]; h.seq > since || !v.closed(one, h.seq) {
				each(&one.Entry, one.Path)
			}
		}
	}
}

// closed tells whether a line says what became of what was in hand.
func (v *View) closed(h *Hand, seq uint64) bool {
	l, ok := v.lines[h.Entry.UID]
	return ok && l.seq > seq && l.value.Version >= h.Entry.Version
}
