package importer

import (
	"cmp"
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

// logged is a message of a channel's log.
type logged struct {
	channel, subject string
	header           nats.Header
	data             []byte
}

// decode reads a change, if those have signed it who must have.
func (s *session) decode(m logged) (*content.Change, error) {
	if err := s.Signed[m.channel].Check(m.subject, m.header, m.data); err != nil {
		return nil, err
	}
	return envelope.Decode(m.data)
}

// newestIn reads the newest change of an object from a channel's log. The message comes without
// a change, and with an error, where it is no change that the site may take.
func (s *session) newestIn(ctx context.Context, channel, uid string) (*logged, *content.Change, error) {
	raw, err := changelog.Newest(ctx, s.JS, subject.ImportStream(channel), subject.ImportToProcess(channel, uid))
	if raw == nil || err != nil {
		return nil, nil, err
	}
	m := logged{channel, raw.Subject, raw.Header, raw.Data}
	c, err := s.decode(m)
	return &m, c, err
}

// refuse keeps a message that is no change, or that nobody has signed who must have, as a
// failure, as far as its headers say what it is about.
func (s *session) refuse(ctx context.Context, m logged, cause error, ack func()) error {
	h, err := envelope.ParseHead(m.header)
	switch {
	case fault.Of(cause).Code == fault.Untrusted: // nor is it believed what it says of itself
		h.UID, h.Version = subject.UIDAt(m.subject, h.UID), 0
		h.Name = cmp.Or(h.Name, h.UID)
	case err != nil:
		s.log.Error("a message of the log is no change and cannot be named", "subject", m.subject, "error", errors.Join(cause, err))
		ack()
		return nil
	case h.Version <= s.versionOf(h.UID):
		return s.superseded(ctx, h.UID, ack)
	}
	c := &content.Change{Object: content.Object{UID: h.UID, ParentUID: h.ParentUID, Name: h.Name, Path: h.Name}, Version: h.Version}
	return s.giveUp(ctx, &task{change: c, channel: m.channel, place: placeOf(c), attempts: 1, raw: m.data, acks: []func(){ack}}, fault.Of(cause), "")
}

// discardUntrusted takes what nobody has signed out of the log. The ledger does not hear of it:
// the next change of the object is as good as any.
func (s *session) discardUntrusted(ctx context.Context, e *deadletter.Entry, c deadletter.Closing, ack func()) error {
	name := subject.ImportToProcess(e.Channel, e.UID)
	raw, err := changelog.Newest(ctx, s.JS, subject.ImportStream(e.Channel), name)
	if err != nil {
		return err
	}
	if raw != nil && s.Signed[e.Channel].Check(raw.Subject, raw.Header, raw.Data) != nil {
		stream, err := s.JS.Stream(ctx, subject.ImportStream(e.Channel))
		if err == nil {
			err = stream.DeleteMsg(ctx, raw.Sequence)
		}
		if err != nil {
			s.log.Warn("what nobody has signed could not be taken out of the log, and is told again", "subject", name, "error", err)
		}
	}
	if err := s.settle(ctx, e.UID, c); err != nil {
		return err
	}
	ack()
	return nil
}
