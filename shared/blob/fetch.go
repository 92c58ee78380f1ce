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
		m, err := s.get(ctx, subject.Blob(d))
		if errors.Is(err, errAbsent) {
			if absent++; absent < absences {
				return err
			}
			m, err = s.getCopy(ctx, d)
		}
		if err != nil {
			return err
		}
		if sha256.Sum256(m.Data) == d && len(m.Data) > 0 {
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

// getCopy gets what was put in the place of a chunk that the broker cannot read. If
// that is not there either, and the broker counts the chunk as stored nevertheless, it
// is marked: a damaged message can be neither given, nor removed, nor replaced.
func (s *Store) getCopy(ctx context.Context, d content.Digest) (*nats.Msg, error) {
	m, err := s.get(ctx, subject.BlobCopy(d))
	if !errors.Is(err, errAbsent) {
		return m, err
	}
	if old, err := s.markOf(ctx, d); err == nil && old.state != claimed && old.state != damaged {
		if counted, err := s.present(ctx, subject.Blob(d)); err == nil && counted {
			_, _ = s.setMark(ctx, d, damaged, 0, old) // or the next reader does
		}
	}
	return nil, fault.Errorf(fault.Park, fault.BlobMissing, "chunk %x is not in the broker, or cannot be read there", d)
}

// get asks for one chunk by direct get: a request on a subject that names it, so that
// no more than that need be permitted.
func (s *Store) get(ctx context.Context, subj string) (*nats.Msg, error) {
	m, err := s.js.Conn().RequestMsgWithContext(ctx, &nats.Msg{Subject: s.prefix() + "DIRECT.GET." + subject.BlobStream + "." + subj})
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
type stored struct {
	pipe *pipe
	part []content.Digest
}

func (l *stored) next() (d content.Digest, err error) {
	if len(l.part) == 0 {
		data, err := l.pipe.next()
		if err != nil {
			return d, err
		}
		if l.part, err = split(data); err != nil {
			return d, err
		}
	}
	d, l.part = l.part[0], l.part[1:]
	return d, nil
}

// split reads a chunk that is part of a list.
func split(data []byte) ([]content.Digest, error) {
	if len(data) == 0 || len(data)%sha256.Size != 0 {
		return nil, fault.Errorf(fault.Park, fault.Invalid, "a list of chunks has a part of %d bytes, which is not a number of digests", len(data))
	}
	digests := make([]content.Digest, 0, len(data)/sha256.Size)
	for ; len(data) > 0; data = data[sha256.Size:] {
		digests = append(digests, content.Digest(data[:sha256.Size]))
	}
	return digests, nil
}

func checkBlob(b *content.Blob) error {
	if b.Depth < 0 || b.Depth > MaxDepth || len(b.Chunks) > MaxInline {
		return fault.Errorf(fault.Park, fault.Invalid, "a blob of depth %d with %d chunks is none of ours", b.Depth, len(b.Chunks))
	}
	return nil
}

// leaves gives the digests of the chunks that hold the bytes of b.
func (s *Store) leaves(ctx context.Context, b *content.Blob) (list digests, stop func(), err error) {
	if err := checkBlob(b); err != nil {
		return nil, nil, err
	}
	chunks := listed(b.Chunks)
	list = &chunks
	var pipes []*pipe
	for range b.Depth {
		p := s.start(ctx, list, listAhead)
		pipes = append(pipes, p)
		list = &stored{pipe: p}
	}
	return list, func() {
		for _, p := range pipes {
			p.stop()
		}
	}, nil
}

// Walk visits every chunk of blobs: those of the lists, and those of the bytes. A
// part of a list that several blobs share is read once.
type Walk struct {
	store *Store
	visit func(content.Digest)
	seen  map[part]bool
}

// part is a chunk of a list, and how deep what it lists is nested.
type part struct {
	digest content.Digest
	depth  int
}

// Walk begins a walk. It is not safe for concurrent use.
func (s *Store) Walk(visit func(content.Digest)) *Walk {
	return &Walk{store: s, visit: visit, seen: map[part]bool{}}
}

// Blob visits the chunks of b. An error means that not all of them were.
func (w *Walk) Blob(ctx context.Context, b *content.Blob) error {
	if err := checkBlob(b); err != nil {
		return err
	}
	return w.list(ctx, b.Chunks, b.Depth)
}

func (w *Walk) list(ctx context.Context, chunks []content.Digest, depth int) error {
	for _, d := range chunks {
		w.visit(d)
		if depth == 0 || w.seen[part{d, depth}] {
			continue
		}
		data, err := w.store.fetch(ctx, d)
		if err != nil {
			return err
		}
		lower, err := split(data)
		if err != nil {
			return err
		}
		if err := w.list(ctx, lower, depth-1); err != nil {
			return err
		}
		w.seen[part{d, depth}] = true
	}
	return nil
}
