package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Open gives the bytes of a payload, inline or not. No byte is handed out whose chunk
// does not have its digest, and io.EOF comes only when size and SHA-256 of the whole
// are right. Errors are faults: BlobMissing and BlobDamaged of class Park, BrokerDown
// of the whole site when the broker does not answer for half a minute. ctx ends the
// reading; the caller closes, and reads from one goroutine.
func (s *Store) Open(ctx context.Context, p *content.Payload) (io.ReadCloser, error) {
	if p.Blob == nil {
		if int64(len(p.Inline)) != p.Size || sha256.Sum256(p.Inline) != p.SHA256 {
			return nil, fault.Errorf(fault.Park, fault.BlobDamaged, "the %d bytes that travel with the change are not those that it announces", len(p.Inline))
		}
		return io.NopCloser(bytes.NewReader(p.Inline)), nil
	}
	ctx, cancel := context.WithCancel(ctx)
	chunks, stop, err := s.leaves(ctx, p.Blob)
	if err != nil {
		cancel()
		return nil, err
	}
	return &reader{pipe: s.start(ctx, chunks, readAhead), want: p, total: sha256.New(), lists: stop, cancel: cancel}, nil
}

// reader hands out what a pipe yields, and compares it with what was announced.
type reader struct {
	pipe   *pipe
	want   *content.Payload
	total  hash.Hash
	size   int64
	err    error
	lists  func()
	cancel context.CancelFunc
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.pipe.Read(p)
	r.size += int64(n)
	switch {
	case r.size > r.want.Size:
		n, err = 0, fault.Errorf(fault.Park, fault.BlobDamaged, "the stored bytes are more than the %d that the change announces", r.want.Size)
	case err == nil:
		r.total.Write(p[:n])
	case errors.Is(err, io.EOF):
		err = r.verify()
	}
	r.err = err
	return n, err
}

func (r *reader) verify() error {
	if r.size != r.want.Size {
		return fault.Errorf(fault.Park, fault.BlobDamaged, "the stored bytes are %d, the change announces %d", r.size, r.want.Size)
	}
	if content.Digest(r.total.Sum(nil)) != r.want.SHA256 {
		return fault.Errorf(fault.Park, fault.BlobDamaged, "the %d stored bytes do not have the SHA-256 that the change announces", r.size)
	}
	return io.EOF
}

// Close ends what is under way. It may be called more than once.
func (r *reader) Close() error {
	r.cancel()
	r.pipe.stop()
	r.lists()
	if r.err == nil {
		r.err = errors.New("read from a blob that is closed")
	}
	return nil
}

// pipe reads chunks ahead and yields them in order.
type pipe struct {
	queue   chan *chunk
	current []byte
	err     error
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// chunk is one that is being fetched, or cannot be: data and err are there when done
// is closed.
type chunk struct {
	digest content.Digest
	done   chan struct{}
	data   []byte
	err    error
}

// start fetches the chunks of a list, at most ahead of them at a time beside the one
// that is being read. A chunk that follows itself is fetched once.
func (s *Store) start(ctx context.Context, list digests, ahead int) *pipe {
	ctx, cancel := context.WithCancel(ctx)
	p := &pipe{queue: make(chan *chunk, ahead-1), cancel: cancel}
	p.wg.Go(func() { s.fill(ctx, p, list) })
	return p
}

// fill ends the queue with what ended it, io.EOF after the last chunk of the list.
func (s *Store) fill(ctx context.Context, p *pipe, list digests) {
	var last *chunk
	for {
		d, err := list.next()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			p.end(ctx, err)
			return
		}
		c := last
		if last == nil || last.digest != d {
			c = &chunk{digest: d, done: make(chan struct{})}
		}
		select {
		case p.queue <- c:
		case <-ctx.Done():
			p.end(ctx, ctx.Err())
			return
		}
		if c != last {
			p.wg.Go(func() {
				defer close(c.done)
				c.data, c.err = s.fetch(ctx, d)
			})
		}
		last = c
	}
}

// end is the last that comes into the queue. A queue that is closed without it was
// cancelled while it was full.
func (p *pipe) end(ctx context.Context, err error) {
	defer close(p.queue)
	c := &chunk{done: make(chan struct{}), err: err}
	close(c.done)
	select {
	case p.queue <- c:
	case <-ctx.Done():
	}
}

// next gives the next chunk.
func (p *pipe) next() ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	c, ok := <-p.queue
	if !ok {
		p.err = context.Canceled
		return nil, p.err
	}
	<-c.done
	p.err = c.err
	return c.data, c.err
}

// Read has the form of io.Reader.
func (p *pipe) Read(b []byte) (int, error) {
	for len(p.current) == 0 {
		var err error
		if p.current, err = p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.current)
	p.current = p.current[n:]
	return n, nil
}

func (p *pipe) stop() {
	p.cancel()
	p.wg.Wait()
}
