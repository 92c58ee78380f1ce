package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

// absences is how often a chunk must be missing: a replica may lag a little.
const absences = 3

var errAbsent = errors.New("there is no such chunk")

// fetch gets one chunk and verifies it. The bytes may be shared: they are not to be
// altered.
func (s *Store) fetch(ctx context.Context, d content.Digest) ([]byte, error) {
	var data []byte
	var damaged uint64
	absent := 0
	err := s.persist(ctx, "read chunk "+name(d), func(ctx context.Context) error {
		m, err := s.get(ctx, d)
		switch {
		case errors.Is(err, errAbsent):
			if absent++; absent >= absences {
				return fault.Errorf(fault.Park, fault.BlobMissing, "chunk %x is not in the broker", d)
			}
			return err
		case err != nil:
			return err
		case sha256.Sum256(m.Data) == d:
			data = m.Data
			return nil
		}
		seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		if err != nil || seq != damaged {
			damaged = seq
			return errors.New("the bytes are not those of the chunk")
		}
		s.discard(ctx, seq)
		return fault.Errorf(fault.Park, fault.BlobDamaged, "chunk %x is damaged in the broker", d)
	})
	return data, err
}

// discard makes room for the right bytes: as long as the damaged ones are there, the
// broker refuses others of their digest. Not to have the right to do so only leaves
// that to somebody else.
func (s *Store) discard(ctx context.Context, seq uint64) {
	if st, err := s.handle(ctx); err == nil {
		_ = st.DeleteMsg(ctx, seq)
	}
}

// get asks for one chunk by direct get: a request on a subject that names it, so that
// no more than that need be permitted.
func (s *Store) get(ctx context.Context, d content.Digest) (*nats.Msg, error) {
	m, err := s.js.Conn().RequestMsgWithContext(ctx, &nats.Msg{Subject: s.prefix() + "DIRECT.GET." + subject.BlobStream + "." + subject.Blob(d)})
	if err != nil {
		return nil, err
	}
	switch status := m.Header.Get("Status"); {
	case status == "404":
		return nil, errAbsent
	case status != "" || m.Header.Get(jetstream.SequenceHeader) == "":
		return nil, fmt.Errorf("the broker answers %s %s", status, m.Header.Get("Description"))
	}
	return m, nil
}

func (s *Store) prefix() string {
	switch o := s.js.Options(); {
	case o.APIPrefix != "":
		return o.APIPrefix + "."
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	}
	return jetstream.DefaultAPIPrefix
}

// digests yields the digests of a list, in order, and io.EOF at its end.
type digests interface {
	next() (content.Digest, error)
}

type listed []content.Digest

func (l *listed) next() (d content.Digest, err error) {
	if len(*l) == 0 {
		return d, io.EOF
	}
	d, *l = (*l)[0], (*l)[1:]
	return d, nil
}

// stored is a list that is itself stored in chunks.
type stored struct{ r io.Reader }

func (l *stored) next() (d content.Digest, err error) {
	_, err = io.ReadFull(l.r, d[:])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fault.Errorf(fault.Park, fault.BlobDamaged, "the list of a blob's chunks ends within a digest")
	}
	return d, err
}

// leaves gives the digests of the chunks that hold the bytes of b.
func (s *Store) leaves(ctx context.Context, b *content.Blob, visit func(content.Digest)) (digests, func(), error) {
	if b.Depth < 0 || b.Depth > MaxDepth || len(b.Chunks) > MaxInline {
		return nil, nil, fault.Errorf(fault.Park, fault.Invalid, "a blob of depth %d with %d chunks is none of ours", b.Depth, len(b.Chunks))
	}
	chunks := listed(b.Chunks)
	var list digests = &chunks
	var readers []*pipe
	for range b.Depth {
		p := s.start(ctx, &visited{list, visit}, listAhead)
		readers = append(readers, p)
		list = &stored{p}
	}
	return &visited{list, visit}, func() {
		for _, r := range readers {
			r.stop()
		}
	}, nil
}

// visited shows each digest that passes.
type visited struct {
	digests
	visit func(content.Digest)
}

func (v *visited) next() (content.Digest, error) {
	d, err := v.digests.next()
	if err == nil && v.visit != nil {
		v.visit(d)
	}
	return d, err
}
