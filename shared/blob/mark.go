package blob

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/content"
	"synchro.example/shared/subject"
)

// A collector announces what it means to remove: it marks a chunk as doomed, and a
// sweep later, when still nothing refers to it, as claimed. Who wants to rely on a
// doomed chunk marks it as spared. Each mark takes the place of exactly the one that
// its writer has read, or the broker refuses it: so either the chunk is spared or it
// is claimed, however many want either at the same time. A claimed chunk is as good as
// gone: whoever sees the claim may carry it out, because it names the very message and
// not the digest.
//
// A reader marks a chunk as damaged that the broker counts but cannot give. Its bytes
// are stored under another subject then.
const (
	doomed  = "doomed"
	spared  = "spared"
	claimed = "claimed"
	damaged = "damaged"
)

// mark is what is written about one chunk.
type mark struct {
	state string
	chunk uint64 // sequence of the chunk's message
	seq   uint64 // sequence of the mark's own message, zero when there is no mark
	at    time.Time
}

// errMarkChanged is returned when somebody else has written the mark meanwhile.
var errMarkChanged = errors.New("the chunk's mark has changed meanwhile")

func parseMark(body []byte, seq uint64, at time.Time) mark {
	m := mark{seq: seq, at: at}
	if _, err := fmt.Sscanf(string(body), "%7s %d", &m.state, &m.chunk); err != nil {
		m.state, m.chunk = "", 0 // not ours: neither a claim nor a doom
	}
	return m
}

// markOf reads the mark of a chunk. Where no collector has ever run there is none.
func (s *Store) markOf(ctx context.Context, d content.Digest) (mark, error) {
	st, err := s.js.Stream(ctx, subject.BlobMarkStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, err
	}
	m, err := st.GetLastMsgForSubject(ctx, subject.BlobMark(d))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, err
	}
	return parseMark(m.Data, m.Sequence, m.Time), nil
}

// setMark writes a mark in the place of old.
func (s *Store) setMark(ctx context.Context, d content.Digest, state string, chunk uint64, old mark) (seq uint64, err error) {
	m := &nats.Msg{Subject: subject.BlobMark(d), Data: fmt.Appendf(nil, "%s %d", state, chunk)}
	ack, err := s.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(old.seq), jetstream.WithRetryAttempts(0))
	if api, ok := errors.AsType[*jetstream.APIError](err); ok &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return 0, errMarkChanged
	}
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// hold tells whether a chunk is stored, and on which subject it is or should be. It
// keeps collectors from removing it: from now until the grace of the next mark ends.
// The mark is read before the chunk is looked for: a chunk that is there afterwards
// was not claimed.
func (s *Store) hold(ctx context.Context, d content.Digest) (kept bool, subj string, err error) {
	m, err := s.markOf(ctx, d)
	if err != nil {
		return false, "", err
	}
	subj = subject.Blob(d)
	switch m.state {
	case doomed:
		_, err = s.setMark(ctx, d, spared, m.chunk, m)
	case claimed:
		err = s.carryOut(ctx, m)
	case damaged:
		subj = subject.BlobCopy(d)
	}
	if err != nil {
		return false, "", err
	}
	kept, err = s.present(ctx, subj)
	return kept, subj, err
}

// carryOut removes what a claim names, and then the claim.
func (s *Store) carryOut(ctx context.Context, m mark) error {
	if err := s.erase(ctx, subject.BlobStream, m.chunk); err != nil {
		return err
	}
	return s.erase(ctx, subject.BlobMarkStream, m.seq)
}

// erase makes sure that a message is gone.
func (s *Store) erase(ctx context.Context, stream string, seq uint64) error {
	st, err := s.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	err = st.DeleteMsg(ctx, seq)
	if err == nil {
		return nil
	}
	if _, missing := st.GetMsg(ctx, seq); errors.Is(missing, jetstream.ErrMsgNotFound) {
		return nil
	}
	return err
}
