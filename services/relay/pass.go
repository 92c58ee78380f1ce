package relay

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// stored is what the channel's log has of an object.
type stored struct {
	version version.Version
	seq     uint64
	// of is the version of the source whose whole state this is; 0 when the relay made
	// it because of the channel's expression: a bare container, or a removal.
	of      version.Version
	removed bool
	place   tree.Place
	kind    string
}

// in tells whether the channel has the object.
func (s stored) in() bool { return s.version > 0 && !s.removed }

func storedOf(seq uint64, h envelope.Head) stored {
	return stored{
		version: h.Version, seq: seq, of: h.Of, removed: h.Kind == content.Removed,
		place: tree.Place{Parent: h.ParentUID, Name: h.Name}, kind: h.Type,
	}
}

// relayed is a message of the source's log.
type relayed struct {
	subject string
	header  nats.Header
	body    []byte
}

// pass publishes those messages that the channel's log does not have yet. Each says
// which message of its object it takes the place of: when another relay of the channel
// has been there meanwhile, the broker refuses all, and the log is read again.
func (r *Relay) pass(ctx context.Context, batch []relayed, have map[string]stored) error {
	out, err := r.newer(batch, have)
	if err != nil {
		return err
	}
	if err := r.publish(ctx, out, have); err != nil {
		return err
	}
	return r.refused.flush(ctx)
}

// outgoing is a message for the channel's log, and what the log has then.
type outgoing struct {
	uid   string
	msg   *nats.Msg
	after stored
}

func (r *Relay) publish(ctx context.Context, out []outgoing, have map[string]stored) error {
	if len(out) == 0 {
		return nil
	}
	msgs := make([]*nats.Msg, len(out))
	for i, o := range out {
		msgs[i] = o.msg
	}
	seqs, err := r.publisher.Publish(ctx, msgs)
	if err != nil {
		return err
	}
	for i, o := range out {
		o.after.seq = seqs[i]
		delete(r.foreign, o.msg.Subject)
		have[o.uid] = o.after
	}
	r.done.Add(int64(len(out)))
	r.announce(msgs)
	return nil
}

// head reads what the headers say. A message that no channel's log could take is none of
// ours.
func (in *relayed) head() (envelope.Head, error) {
	if len(in.body) > envelope.MaxBody || headerSize(in.header) > maxHeader {
		return envelope.Head{}, fault.Errorf(fault.Park, fault.Invalid, "a message with %d bytes and headers of %d is no change", len(in.body), headerSize(in.header))
	}
	return envelope.ParseHead(in.header)
}

// maxHeader is more than the headers of a change take.
const maxHeader = 64 << 10

func headerSize(h nats.Header) (n int) {
	for key, values := range h {
		for _, v := range values {
			n += len(key) + len(v)
		}
	}
	return n
}

// accept reads what the headers of a message of the source's log say. What is no change is
// not taken; nor is what the source has not signed, which is told.
func (r *Relay) accept(in relayed, told *failures) (envelope.Head, bool) {
	h, err := in.head()
	if err != nil {
		r.unreadable(in.subject, err)
		return h, false
	}
	if err := r.trust.Check(in.subject, in.header, in.body); err != nil {
		told.refuse(in, h, err)
		return h, false
	}
	return h, true
}

// newer makes the messages that are to be published, one for each object.
func (r *Relay) newer(batch []relayed, have map[string]stored) (out []outgoing, err error) {
	last := map[string]int{}
	for _, in := range batch {
		h, ok := r.accept(in, r.refused)
		if !ok {
			continue
		}
		r.refused.mended(h.UID)
		i, again := last[h.UID]
		if h.Version <= have[h.UID].of || again && h.Version <= out[i].after.of || r.stopsHere(h, have[h.UID]) {
			continue
		}
		o, err := r.forward(h, in, have[h.UID])
		if err != nil {
			return nil, err
		}
		if again {
			out[i] = o
			continue
		}
		last[h.UID] = len(out)
		out = append(out, o)
	}
	return out, nil
}

// forward makes the message that passes on what the source has. Its version must lie
// above that in the channel's log, which is the higher one when the relay made it.
func (r *Relay) forward(h envelope.Head, in relayed, old stored) (outgoing, error) {
	after := storedOf(0, h)
	if h.Version > old.version {
		m := envelope.Forward(subject.ImportToProcess(r.channel, h.UID), in.header, in.body)
		return outgoing{h.UID, r.expecting(m, h.Kind, old), after}, r.key.Sign(m.Subject, m)
	}
	return r.again(message{h, in}, old)
}

// expecting says which message of its object a message takes the place of.
func (r *Relay) expecting(m *nats.Msg, kind content.Kind, old stored) *nats.Msg {
	seq := old.seq
	if seq == 0 {
		seq = r.foreign[m.Subject]
	}
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(seq, 10))
	if kind == content.Removed {
		m.Header.Set(jetstream.MsgTTLHeader, r.tombstones.Truncate(time.Second).String())
	}
	return m
}

// announce tells whoever listens, live, what has been passed on.
func (r *Relay) announce(out []*nats.Msg) {
	for _, m := range out {
		uid := subject.Unquote(m.Header.Get(subject.HeaderUID))
		_ = r.nc.PublishMsg(envelope.Forward(subject.ExportDone(r.from, uid), m.Header, nil))
	}
}
