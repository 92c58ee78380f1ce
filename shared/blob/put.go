package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
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

	began   time.Time
	found   []content.Digest // were there before
	written []content.Digest
}

// Put stores what r yields and describes it. Chunks of which known says that they
// are stored are not sent; known may be nil and may be wrong, because Confirm looks
// after it. Memory does not grow with the size but for 32 bytes a chunk.
//
// Everything is on the broker's disk when it returns. Errors of r come back as they
// are; those of the broker are faults of the whole site: BrokerFull, BrokerDown.
func (s *Store) Put(ctx context.Context, r io.Reader, known func(content.Digest) bool) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &putter{Store: s, known: known, seen: map[content.Digest]bool{}}
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
	res.Blob.Chunks, res.found, res.written = chunks, p.found, p.written
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

	ring []slot
	next int

	found, written []content.Digest
}

// slot is a chunk on its way. future is nil when there is nothing to wait for.
type slot struct {
	buf    []byte
	n      int
	digest content.Digest
	future jetstream.PubAckFuture
	err    error // of sending
	sent   bool
}

// cut stores what r yields, and gives the digests of the chunks in order.
func (p *putter) cut(ctx context.Context, r io.Reader, total hash.Hash) (chunks []content.Digest, size int64, err error) {
	var last *slot
	for {
		sl, err := p.free(ctx, last)
		if err != nil {
			return nil, 0, err
		}
		n, err := io.ReadFull(r, sl.buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, 0, err
		}
		ended := err != nil
		if n == 0 {
			break
		}
		if total != nil {
			total.Write(sl.buf[:n])
		}
		size += int64(n)
		if last != nil && bytes.Equal(last.buf[:last.n], sl.buf[:n]) {
			chunks = append(chunks, last.digest)
		} else {
			sl.n, sl.digest = n, sha256.Sum256(sl.buf[:n])
			chunks = append(chunks, sl.digest)
			p.send(ctx, sl)
			last = sl
			p.next++
		}
		if ended {
			break
		}
	}
	return chunks, size, p.settleAll(ctx)
}

// free gives a buffer that nobody needs any more. The one of the last chunk is kept
// for comparison: a ring has at least two.
func (p *putter) free(ctx context.Context, last *slot) (*slot, error) {
	i := p.next % putWindow
	if i == len(p.ring) {
		p.ring = append(p.ring, slot{})
	}
	sl := &p.ring[i]
	if sl.buf == nil {
		sl.buf = make([]byte, p.chunk)
	}
	return sl, p.settle(ctx, sl)
}

// send brings a chunk on its way, unless it is stored as far as anybody knows.
func (p *putter) send(ctx context.Context, sl *slot) {
	if p.seen[sl.digest] {
		return
	}
	if len(p.seen) < maxSeen {
		p.seen[sl.digest] = true
	}
	if p.known != nil && p.known(sl.digest) {
		p.found = append(p.found, sl.digest)
		return
	}
	sl.sent = true
	sl.future, sl.err = p.publish(sl)
}

func (p *putter) publish(sl *slot) (jetstream.PubAckFuture, error) {
	nc := p.js.Conn()
	if !nc.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	m := &nats.Msg{Subject: subject.Blob(sl.digest), Data: sl.buf[:sl.n]}
	return p.js.PublishMsgAsync(m, jetstream.WithRetryAttempts(0), jetstream.WithStallWait(p.wait))
}

func (p *putter) settleAll(ctx context.Context) error {
	for i := range p.ring {
		if err := p.settle(ctx, &p.ring[i]); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until a chunk is stored, and sends it again where that is not known.
func (p *putter) settle(ctx context.Context, sl *slot) error {
	if !sl.sent {
		return nil
	}
	first := true
	err := p.persist(ctx, "store chunk "+name(sl.digest), func(ctx context.Context) error {
		if !first {
			sl.future, sl.err = p.publish(sl)
		}
		first = false
		return p.outcome(ctx, sl)
	})
	sl.sent, sl.future, sl.err = false, nil, nil
	return err
}

func (p *putter) outcome(ctx context.Context, sl *slot) error {
	if sl.err != nil {
		return sl.err
	}
	select {
	case <-sl.future.Ok():
		p.written = append(p.written, sl.digest)
		return nil
	case err := <-sl.future.Err():
		return p.refused(ctx, sl, err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refused looks at what the broker has against a chunk. A chunk that it has already
// may be refused for that, or because the store is full.
func (p *putter) refused(ctx context.Context, sl *slot, err error) error {
	api, ok := errors.AsType[*jetstream.APIError](err)
	if !ok || !isFull(api) {
		return err
	}
	if !strings.Contains(api.Description, "per subject") {
		if found, missing := p.has(ctx, sl.digest); missing != nil || !found {
			return fault.OfSite(fault.Retry, fault.BrokerFull, fmt.Errorf("the broker has no room for blobs: %w", err))
		}
	}
	p.found = append(p.found, sl.digest)
	return nil
}
