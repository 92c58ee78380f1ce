package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

const kib = 1 << 10

// bench is a store with a broker of its own.
type bench struct {
	*Store
	t     testing.TB
	srv   *embedded.Server
	grace time.Duration
}

// newBench makes a store with small chunks, so that a few kilobytes are many of them.
func newBench(t testing.TB, opts ...stream.Option) *bench {
	t.Helper()
	srv := brokertest.Start(t)
	b := &bench{Store: New(brokertest.JetStream(t, brokertest.Connect(t, srv))), t: t, srv: srv}
	b.chunk, b.inline = kib, 8
	if err := stream.Ensure(t.Context(), b.js, stream.Blobs(opts...)); err != nil {
		t.Fatal(err)
	}
	return b
}

// another gives a second store on a connection of its own, as another process has it.
func (b *bench) another() *bench {
	b.t.Helper()
	o := &bench{Store: New(brokertest.JetStream(b.t, brokertest.Connect(b.t, b.srv))), t: b.t, srv: b.srv}
	o.chunk, o.inline, o.trust, o.grace = b.chunk, b.inline, b.trust, b.grace
	return o
}

func (b *bench) put(data []byte) Result {
	b.t.Helper()
	r, err := b.Put(b.t.Context(), bytes.NewReader(data), nil)
	if err != nil {
		b.t.Fatalf("put %d bytes: %v", len(data), err)
	}
	return r
}

func payload(r Result) *content.Payload {
	return &content.Payload{Blob: r.Blob, SHA256: r.SHA256, Size: r.Size}
}

func (b *bench) read(ctx context.Context, p *content.Payload) ([]byte, error) {
	r, err := b.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// equal fails the test unless the stored bytes are data.
func (b *bench) equal(r Result, data []byte) {
	b.t.Helper()
	got, err := b.read(b.t.Context(), payload(r))
	if err != nil || !bytes.Equal(got, data) {
		b.t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(data))
	}
}

func (b *bench) state() jetstream.StreamState {
	b.t.Helper()
	st, err := b.js.Stream(b.t.Context(), subject.BlobStream)
	if err != nil {
		b.t.Fatal(err)
	}
	return st.CachedInfo().State
}

// store puts bytes under a digest that need not be theirs.
func (b *bench) store(d content.Digest, data []byte) {
	b.t.Helper()
	if _, err := b.js.Publish(b.t.Context(), subject.Blob(d), data); err != nil {
		b.t.Fatal(err)
	}
}

// lose removes a chunk.
func (b *bench) lose(d content.Digest) {
	b.t.Helper()
	st, err := b.js.Stream(b.t.Context(), subject.BlobStream)
	if err == nil {
		err = st.Purge(b.t.Context(), jetstream.WithPurgeSubject(subject.Blob(d)))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) isStored(d content.Digest) bool {
	b.t.Helper()
	found, err := b.present(b.t.Context(), subject.Blob(d))
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// random gives bytes that are the same for the same seed, and never repeat a chunk.
func random(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1], key[2] = byte(seed), byte(seed>>8), byte(seed>>16)
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data)
	return data
}

func wantFault(t testing.TB, err error, class fault.Class, code fault.Code) {
	t.Helper()
	if f := fault.Of(err); err == nil || f.Class != class || f.Code != code {
		t.Fatalf("got %v (%s, %s), want %s, %s", err, f.Class, f.Code, class, code)
	}
}

func digestOf(data []byte) content.Digest { return sha256.Sum256(data) }

func within(t testing.TB, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}
