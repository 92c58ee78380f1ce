package relay

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// failures keeps the objects for which a channel's expression fails, or that the source has not
// signed, in the ERROR stream. Nil failures keep nothing.
type failures struct {
	options   Options
	publisher *publish.Publisher
	entries   map[string]*deadletter.Entry // by uid, open
	discarded map[string]version.Version   // by uid, given up by somebody
	news      []news
	// untrusted are the objects, by uid, of which the source's log has what it has not signed.
	untrusted map[string]bool
}

// news is an entry that is not kept yet.
type news struct {
	entry    *deadletter.Entry
	envelope []byte
}

func openFailures(ctx context.Context, o Options) (*failures, error) {
	store := deadletter.New(o.JS)
	open, err := store.OfChannel(ctx, o.From, o.Channel)
	if err != nil {
		return nil, err
	}
	discarded, err := store.Discarded(ctx, o.From, o.Channel)
	if err != nil {
		return nil, err
	}
	f := &failures{
		options: o, publisher: publish.New(o.NC, o.JS, publish.Options{}),
		entries: map[string]*deadletter.Entry{}, discarded: map[string]version.Version{}, untrusted: map[string]bool{},
	}
	for _, e := range discarded {
		f.discarded[e.UID] = e.Version
	}
	for i := range open {
		f.entries[open[i].UID] = &open[i]
	}
	return f, nil
}

// tell notes that the expression fails for an object, unless somebody gave that up.
func (f *failures) tell(m message, path string, err error) {
	if e := f.entry(m.head.UID, path, m.head.Version, fault.Of(err)); e != nil {
		f.news = append(f.news, news{e, m.in.body})
	}
}

// refuse notes that the source has not signed what its log has.
func (f *failures) refuse(in relayed, h envelope.Head, cause error) {
	uid := subject.UIDAt(in.subject, h.UID)
	f.untrusted[uid] = true
	reason := fault.Of(cause)
	if e := f.entry(uid, h.Name, h.Version, reason); e != nil {
		f.news = append(f.news, news{e, in.body})
		f.options.Log.Error("the source has not signed a change, which goes no further", "channel", f.options.Channel, "subject", in.subject, "error", cause, "advice", fault.Advice(reason.Code))
	}
}

// hold notes that an object waits for a container to meet the expression.
func (f *failures) hold(uid, path string, v version.Version, container string) {
	reason := fault.Errorf(fault.Held, fault.Waiting, "its container %q does not meet the expression of channel %s", container, f.options.Channel)
	if e := f.entry(uid, path, v, reason); e != nil {
		f.news = append(f.news, news{entry: e})
	}
}

// entry makes the entry of a failure, nil when it is known, or given up.
func (f *failures) entry(uid, path string, v version.Version, reason *fault.Error) *deadletter.Entry {
	old, now := f.entries[uid], time.Now().UTC()
	if f.discarded[uid] == v || old != nil && old.Version == v && old.Reason == reason.Error() {
		return nil
	}
	e := &deadletter.Entry{
		Stage: deadletter.Export, Site: f.options.From, Channel: f.options.Channel, UID: uid, Path: path,
		Version: v, Code: reason.Code, Class: reason.Class, Reason: reason.Error(), Attempts: 1,
		First: now, Last: now, Host: f.options.Host, Software: f.options.Software,
	}
	if old != nil {
		e.First, e.Attempts = old.First, old.Attempts+1
	}
	f.entries[uid] = e
	return e
}

// mended notes that the expression does not fail for an object any more.
func (f *failures) mended(uid string) {
	if f == nil {
		return
	}
	if e := f.entries[uid]; e != nil && e.Code != fault.Waiting {
		f.forget(uid, deadletter.Applied)
	}
}

// letGo notes that no container holds an object back any more.
func (f *failures) letGo(uid string) {
	if e := f.entries[uid]; e != nil && e.Code == fault.Waiting {
		f.forget(uid, deadletter.Applied)
	}
}

// forget notes that an object fails no more.
func (f *failures) forget(uid string, as deadletter.Outcome) {
	if e := f.entries[uid]; e != nil {
		delete(f.entries, uid)
		f.news = append(f.news, news{entry: e.Close(deadletter.Closing{As: as})})
	}
}

// forgetGone forgets what the source does not have any more.
func (f *failures) forgetGone(has func(uid string) version.Version) {
	for uid := range f.entries {
		if has(uid) == 0 && !f.untrusted[uid] {
			f.forget(uid, deadletter.Superseded)
		}
	}
}

// flush keeps what was noted.
func (f *failures) flush(ctx context.Context) error {
	if f == nil || len(f.news) == 0 {
		return nil
	}
	var msgs []*nats.Msg
	for _, n := range f.news {
		m, err := deadletter.Message(n.entry, n.envelope)
		if err != nil {
			return err
		}
		msgs = append(msgs, m)
	}
	if _, err := f.publisher.Publish(ctx, msgs); err != nil {
		return err
	}
	f.news = nil
	return nil
}
