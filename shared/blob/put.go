package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/subject"
)

// maxSeen bounds what a Put remembers of its own chunks.
const maxSeen = 1 << 16

// Result is what Put stored: what belongs into a content.Payload, and what Confirm
// needs.
type Result struct {
	SHA256 content.Digest
	Size   int64
	// Blob lists no chunks when there were no bytes at all.
	Blob *content.Blob

	began  time.Time
	chunks []content.Digest // all of them, lists too
}

// Put stores what r yields and describes it. Chunks of which known says that they
// are stored are looked for and sent only when they are not; known may be nil. Memory
// does not grow with the size but for 64 bytes a chunk.
//
// Everything is on the broker's disk when it returns. Errors of r come back as they
// are; those of the broker are faults of the whole site: BrokerFull, BrokerDown.
func (s *Store) Put(ctx context.Context, r io.Reader, known func(content.Digest) bool) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &putter{Store: s, known: known, seen: map[content.Digest]bool{}}
	defer p.wg.Wait()
	defer cancel()
	res := Result{began: time.Now(), Blob: &content.Blob{}}
	total := sha256.New()
	chunks, size, err := p.cut(ctx, r, total)
	if err != nil {
		return Result{}, err
	}
	res.Size, res.SHA256 = size, content.Digest(total.Sum(nil))
	for len(chunks) > s.inline {
		if chunks, _, err = p.cut(ctx, bytes.NewReader(joined(chunks)), nil); err != nil {
			return Result{}, err
		}
		res.Blob.Depth++
	}
	res.Blob.Chunks, res.chunks = chunks, p.chunks
	return res, nil
}

// joined gives the bytes of a list of digests.
func joined(digests []content.Digest) []byte {
	b := make([]byte, 0, len(digests)*sha256.Size)
	for _, d := range digests {
		b = append(b, d[:]...)
	}
	return b
}

// putter is one Put. It has a ring of buffers; each is used again when the broker
// has confirmed what was in it.
type putter struct {
	*Store
	known func(content.Digest) bool
	seen  map[content.Digest]bool

	ring [putWindow]slot
	next int
	wg   sync.WaitGroup

	chunks []content.Digest
}

// slot is a chunk on its way. done is nil when there is nothing to wait for.
type slot struct {
	buf    []byte
	n      int
	digest content.Digest
	done   chan error
}

// cut stores what r yields, and gives the digests of the chunks in order.
func (p *putter) cut(ctx context.Context, r io.Reader, total hash.Hash) (chunks []content.Digest, size int64, err error) {
	var last *slot
	for ended := false; !ended; {
		sl, err := p.free(ctx)
		if err != nil {
			return nil, 0, err
		}
		n, err := fill(r, sl.buf)
		ended = err == io.EOF //nolint:errorlint // an error around io.EOF is not the end
		if err != nil && !ended {
			return nil, 0, err
		}
		if n == 0 {
			break
		}
		if total != nil {
			total.Write(sl.buf[:n])
		}
		size += int64(n)
		if last == nil || !bytes.Equal(last.buf[:last.n], sl.buf[:n]) {
			sl.n, sl.digest = n, sha256.Sum256(sl.buf[:n])
			p.send(ctx, sl)
			last = sl
			p.next++
		}
		chunks = append(chunks, last.digest)
	}
	return chunks, size, p.settleAll()
}

// fill reads until buf is full or r ends. Unlike io.ReadFull it does not take a
// reader's own io.ErrUnexpectedEOF, which tells of bytes that are missing, for an end.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// free gives a buffer that nobody needs any more. That of the last chunk is not among
// them, because the ring has more than one.
func (p *putter) free(ctx context.Context) (*slot, error) {
	sl := &p.ring[p.next%putWindow]
	if sl.buf == nil {
		sl.buf = make([]byte, p.chunk)
	}
	if err := sl.settle(); err != nil {
		return nil, err
	}
	return sl, ctx.Err()
}

// settle waits until a chunk is stored.
func (sl *slot) settle() error {
	if sl.done == nil {
		return nil
	}
	err := <-sl.done
	sl.done = nil
	return err
}

func (p *putter) settleAll() error {
	for i := range p.ring {
		if err := p.ring[i].settle(); err != nil {
			return err
		}
	}
	return nil
}

// send brings a chunk on its way, unless this Put has done so before.
func (p *putter) send(ctx context.Context, sl *slot) {
	if p.seen[sl.digest] {
		return
	}
	if len(p.seen) < maxSeen {
		p.seen[sl.digest] = true
	}
	p.chunks = append(p.chunks, sl.digest)
	known := p.known != nil && p.known(sl.digest)
	done := make(chan error, 1)
	sl.done = done
	d, data := sl.digest, sl.buf[:sl.n]
	p.wg.Go(func() { done <- p.keep(ctx, d, data, known) })
}

// keep makes sure that a chunk is stored, and that no collector is about to remove it.
func (s *Store) keep(ctx context.Context, d content.Digest, data []byte, known bool) error {
	subj := subject.Blob(d)
	holds := func(ctx context.Context) (bool, error) {
		kept, at, err := s.hold(ctx, d)
		if err == nil {
			subj = at
		}
		return kept, err
	}
	return s.persist(ctx, "store chunk "+name(d), func(ctx context.Context) error {
		if known {
			if kept, err := holds(ctx); kept || err != nil {
				return err
			}
			known = false
		}
		_, refusal := s.js.PublishMsg(ctx, &nats.Msg{Subject: subj, Data: data}, jetstream.WithRetryAttempts(0))
		if !changelog.IsFull(refusal) {
			return refusal
		}
		// It may be refused for want of room, or because it is there already.
		if kept, err := holds(ctx); kept || err != nil {
			return err
		}
		if isRepeat(refusal) {
			return errors.New("the chunk was removed just now, or cannot be read")
		}
		return refusal
	})
}

func isRepeat(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && changelog.IsFull(err) && strings.Contains(api.Description, "per subject")
}
