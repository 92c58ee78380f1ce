package mirror

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/lease"
	"synchro.example/shared/ledger"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// imports is the state of a site that receives.
type imports struct {
	*Mirror

	mu      sync.Mutex
	objects map[string]object // by token, as are the others
	failed  map[string]*deadletter.Entry
	// busy are the objects that the importer holder has begun to apply.
	busy   map[string]bool
	holder string
}

// object is what the logs and the ledger say of one. There may be a million.
type object struct {
	version version.Version // newest in the channels' logs
	done    version.Version // in the ledger
	at      int64           // of that, in nanoseconds
	channel uint16          // that has version
	removed bool            // what version says
	live    bool            // the site has it
	settled bool            // done has not taken effect: it was given up, or kept away
}

func (v *imports) read(ctx context.Context, broken func(error)) error {
	v.objects, v.failed, v.busy = map[string]object{}, map[string]*deadletter.Entry{}, map[string]bool{}
	live, err := v.NC.Subscribe(subject.ImportProcessingAll(v.Site), func(m *nats.Msg) { v.begun(tokenOf(m.Subject)) })
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = live.Unsubscribe() }) // the connection may be gone, and it with it
	feeds := []feed{
		{stream: subject.LedgerStream(v.Site), read: changelog.Options{Subjects: subject.ImportDoneAll(v.Site)}, also: []string{subject.ImportLease(v.Site)}, take: v.record},
		{stream: subject.ErrorStream, read: changelog.Options{HeadersOnly: true, Subjects: subject.ImportErrorAll(v.Site)}, take: v.failure},
	}
	for n, ch := range v.Channels {
		feeds = append(feeds, feed{stream: subject.ImportStream(ch), read: changelog.Options{HeadersOnly: true}, take: func(m jetstream.Msg) { v.arrive(uint16(n), m) }})
	}
	for _, f := range feeds {
		if err := v.start(ctx, f, broken); err != nil {
			return err
		}
	}
	return nil
}

// arrive takes in the head of a change in a channel's log.
func (v *imports) arrive(channel uint16, m jetstream.Msg) {
	h, err := envelope.ParseHead(m.Headers())
	if err != nil {
		return // the importer tells
	}
	token := tokenOf(m.Subject())
	v.mu.Lock()
	defer v.mu.Unlock()
	o := v.objects[token]
	if h.Version >= o.version {
		o.version, o.channel, o.removed = h.Version, channel, h.Kind == content.Removed
		v.objects[token] = o
	}
}

// record takes in a line of the ledger. A new importer begins anew what the one before it
// had in hand.
func (v *imports) record(m jetstream.Msg) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if m.Subject() == subject.ImportLease(v.Site) {
		var h lease.Holder
		if json.Unmarshal(m.Data(), &h) == nil && h.ID != v.holder {
			v.holder = h.ID
			clear(v.busy)
		}
		return
	}
	var e ledger.Entry
	if msgpack.Unmarshal(m.Data(), &e) != nil {
		return // the importer tells
	}
	token := tokenOf(m.Subject())
	o := v.objects[token]
	o.done, o.at, o.live = e.Version, e.At.UnixNano(), e.Live()
	o.settled = e.Discarded == e.Version || e.Skipped || e.Made
	v.objects[token] = o
	delete(v.busy, token)
}

func (v *imports) failure(m jetstream.Msg) {
	token := tokenOf(m.Subject())
	e, err := deadletter.Parse(m.Headers())
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.busy, token)
	if err != nil || e.Closed != nil {
		delete(v.failed, token)
		return
	}
	v.failed[token] = e
}

// begun takes in that the importer has begun to apply a change. A word that comes when that
// is done already says nothing.
func (v *imports) begun(token string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.objects[token].waits(v.failed[token]) {
		v.busy[token] = true
		v.news()
	}
}

// waits tells whether the newest change in the logs is still to be applied.
func (o object) waits(failed *deadletter.Entry) bool {
	if o.version <= o.done || o.removed && !o.live {
		return false
	}
	return failed == nil || failed.Version < o.version
}

func (v *imports) show(context.Context) (shown, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := shown{counts: map[State]int{}}
	s.addFailed(v.failed) // which people look for most
	var waiting, busy, done []candidate
	for token, o := range v.objects {
		switch {
		case !o.waits(v.failed[token]):
			delete(v.busy, token)
		case v.busy[token]:
			busy = append(busy, candidate{token: token, version: o.version})
		default:
			waiting = append(waiting, candidate{token: token, version: o.version})
		}
		if o.done > 0 && !o.settled {
			done = append(done, candidate{token, o.done, o.at})
		}
	}
	s.add(ToProcess, waiting)
	s.add(Processing, busy)
	s.add(Done, done)
	return s, nil
}

func (v *imports) form(ctx context.Context, f *file) (*contents, error) {
	says := &contents{}
	if f.state == Done {
		e, err := v.line(ctx, f.token)
		if e == nil || err != nil {
			return says, err
		}
		says.Done, says.Channel = effectOf(e), e.Channel
	}
	v.mu.Lock()
	o := v.objects[f.token]
	v.mu.Unlock()
	if o.version != f.version {
		return says, nil // the log has a newer one
	}
	says.Channel = v.Channels[o.channel]
	return says, v.envelope(ctx, says, f, subject.ImportStream(says.Channel), subject.ImportToProcessAll(says.Channel))
}

// line reads an object's line of the ledger.
func (v *imports) line(ctx context.Context, token string) (*ledger.Entry, error) {
	m, err := v.newest(ctx, subject.LedgerStream(v.Site), subject.Of(subject.ImportDoneAll(v.Site), token))
	if m == nil || err != nil {
		return nil, err
	}
	e := new(ledger.Entry)
	return e, msgpack.Unmarshal(m.Data, e)
}
