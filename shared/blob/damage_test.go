package blob

import (
	"bytes"
	"crypto/sha256"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/stream"
)

func TestADamagedChunkIsNoticedAndMakesRoom(t *testing.T) {
	b := newBench(t)
	data := random(1, 5*kib)
	r := b.put(data)
	bad := r.Blob.Chunks[2]
	b.lose(bad)
	b.store(bad, []byte("not what it should be"))
	got, err := b.read(t.Context(), payload(r))
	wantFault(t, err, fault.Park, fault.BlobDamaged)
	if len(got) > 2*kib || !bytes.HasPrefix(data, got) {
		t.Errorf("%d bytes were handed out, some wrong", len(got))
	}
	if b.isStored(bad) {
		t.Fatal("the damaged chunk is still there")
	}
	b.equal(b.put(data), data)
}

func TestAMissingChunkIsNoticed(t *testing.T) {
	b := newBench(t)
	data := random(1, 20*kib) // nested
	r := b.put(data)
	for _, d := range r.chunks {
		b.lose(d)
		_, err := b.read(t.Context(), payload(r))
		wantFault(t, err, fault.Park, fault.BlobMissing)
		b.put(data)
	}
	b.equal(r, data)
}

// A flipped bit in the broker's own file: the broker still counts the chunk, but
// cannot give it, and refuses the right bytes as long as it does.
func TestAChunkThatTheBrokerCannotReadIsReplaced(t *testing.T) {
	dir := t.TempDir()
	b := &bench{t: t, srv: brokertest.StartWith(t, embedded.Options{Dir: dir, NoSync: true})}
	b.Store = New(brokertest.JetStream(t, brokertest.Connect(t, b.srv)))
	b.chunk, b.inline = kib, 8
	if err := stream.Ensure(t.Context(), b.js, stream.Blobs(), stream.BlobMarks()); err != nil {
		t.Fatal(err)
	}
	data := random(1, 5*kib)
	r := b.put(data)
	b.srv.Close()
	flip(t, dir, data[2*kib+100:2*kib+200])
	b.srv = brokertest.StartWith(t, embedded.Options{Dir: dir, NoSync: true})
	b.js = brokertest.JetStream(t, brokertest.Connect(t, b.srv))
	b.stream = nil
	_, err := b.read(t.Context(), payload(r))
	if f := fault.Of(err); err == nil || f.Class != fault.Park {
		t.Fatalf("got %v", err)
	}
	r = b.put(data)
	b.equal(r, data)
	b.equal(b.put(data), data)
	if n := b.state().Msgs; n > 6 {
		t.Errorf("%d chunks are stored", n)
	}
	r.began = time.Now().Add(-time.Hour)
	if err := b.Confirm(t.Context(), r); err != nil {
		t.Error(err)
	}
}

// flip changes one bit where a file below dir has the given bytes.
func flip(t *testing.T, dir string, what []byte) {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if i := bytes.Index(body, what); err == nil && i >= 0 {
			found = true
			body[i] ^= 1
			err = os.WriteFile(path, body, 0o600)
		}
		return err
	})
	if err != nil || !found {
		t.Fatalf("the chunk is in no file: %v", err)
	}
}

func TestListsThatLieAreRefused(t *testing.T) {
	b := newBench(t)
	data := random(1, 5*kib)
	good := b.put(data)
	nested := b.put(random(2, 40*kib))
	odd := random(3, 33)
	empty := []byte{}
	b.store(digestOf(odd), odd)
	b.store(digestOf(empty), empty)
	many := func(d content.Digest, n int) []content.Digest {
		var l []content.Digest
		for range n {
			l = append(l, d)
		}
		return l
	}
	for name, c := range map[string]struct {
		change func(p *content.Payload)
		of     Result
		code   fault.Code
	}{
		"a chunk too few":  {func(p *content.Payload) { p.Blob.Chunks = p.Blob.Chunks[:4] }, good, fault.BlobDamaged},
		"no chunks":        {func(p *content.Payload) { p.Blob.Chunks = nil }, good, fault.BlobDamaged},
		"a chunk too many": {func(p *content.Payload) { p.Blob.Chunks = append(p.Blob.Chunks, p.Blob.Chunks[0]) }, good, fault.BlobDamaged},
		"wrong order":      {func(p *content.Payload) { c := p.Blob.Chunks; c[0], c[1] = c[1], c[0] }, good, fault.BlobDamaged},
		"too large":        {func(p *content.Payload) { p.Size++ }, good, fault.BlobDamaged},
		"too small":        {func(p *content.Payload) { p.Size-- }, good, fault.BlobDamaged},
		"negative size":    {func(p *content.Payload) { p.Size = -1 }, good, fault.BlobDamaged},
		"wrong digest":     {func(p *content.Payload) { p.SHA256[0]++ }, good, fault.BlobDamaged},
		"negative depth":   {func(p *content.Payload) { p.Blob.Depth = -1 }, good, fault.Invalid},
		"depth out of all": {func(p *content.Payload) { p.Blob.Depth = MaxDepth + 1 }, good, fault.Invalid},
		"too many chunks":  {func(p *content.Payload) { p.Blob.Chunks = many(p.Blob.Chunks[0], MaxInline+1) }, good, fault.Invalid},
		"bytes as a list":  {func(p *content.Payload) { p.Blob.Depth = 1 }, good, fault.BlobMissing},
		"a list as bytes":  {func(p *content.Payload) { p.Blob.Depth = 0 }, nested, fault.BlobDamaged},
		"half a digest":    {func(p *content.Payload) { p.Blob = &content.Blob{Depth: 1, Chunks: many(digestOf(odd), 3)} }, nested, fault.Invalid},
		"empty chunks": {func(p *content.Payload) {
			b.lose(digestOf(empty))
			b.store(digestOf(empty), empty)
			p.Blob, p.Size = &content.Blob{Chunks: many(digestOf(empty), MaxInline)}, math.MaxInt64
		}, good, fault.BlobDamaged},
		"an empty list": {func(p *content.Payload) {
			b.lose(digestOf(empty))
			b.store(digestOf(empty), empty)
			p.Blob, p.Size = &content.Blob{Depth: 3, Chunks: many(digestOf(empty), MaxInline)}, math.MaxInt64
		}, good, fault.BlobDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			p := payload(c.of)
			p.Blob = &content.Blob{Depth: c.of.Blob.Depth, Chunks: append([]content.Digest{}, c.of.Blob.Chunks...)}
			c.change(p)
			got, err := b.read(within(t, 30*time.Second), p)
			wantFault(t, err, fault.Park, c.code)
			if int64(len(got)) > max(p.Size, 0) {
				t.Errorf("%d bytes were handed out, announced are %d", len(got), p.Size)
			}
		})
	}
}

// A list that lists itself is impossible, but one that lists the same list very often
// is not: 16,384^3 chunks in three small ones.
func TestAListThatUnfoldsWithoutEndIsWalkedOnce(t *testing.T) {
	b := newBench(t)
	leaf := random(1, 32)
	b.store(digestOf(leaf), leaf)
	d := digestOf(leaf)
	for range MaxDepth {
		list := bytes.Repeat(d[:], 16384)
		d = digestOf(list)
		b.store(d, list)
	}
	visited := 0
	walk := b.Walk(func(content.Digest) { visited++ })
	if err := walk.Blob(within(t, 30*time.Second), &content.Blob{Depth: MaxDepth, Chunks: []content.Digest{d}}); err != nil {
		t.Fatal(err)
	}
	if visited > 4*16384 {
		t.Errorf("%d visits", visited)
	}
	p := &content.Payload{Blob: &content.Blob{Depth: MaxDepth, Chunks: []content.Digest{d}}, Size: 100, SHA256: digestOf(nil)}
	_, err := b.read(within(t, 30*time.Second), p)
	wantFault(t, err, fault.Park, fault.BlobDamaged)
}

func FuzzForeignLists(f *testing.F) {
	b := newBench(f)
	chunks := [][]byte{random(1, kib), random(2, 64), random(3, 7)}
	known := []content.Digest{}
	for _, c := range chunks {
		b.store(digestOf(c), c)
		known = append(known, digestOf(c))
	}
	list := append(known[0][:], known[1][:]...)
	b.store(digestOf(list), list)
	known = append(known, digestOf(list))
	f.Add(0, int64(kib), []byte{0})
	f.Add(1, int64(kib+64), []byte{3})
	f.Add(1, int64(32), []byte{1, 2})
	f.Add(3, int64(math.MaxInt64), []byte{3, 3, 0, 9})
	f.Fuzz(func(t *testing.T, depth int, size int64, picks []byte) {
		p := &content.Payload{Blob: &content.Blob{Depth: depth}, Size: size}
		for _, i := range picks[:min(len(picks), 64)] {
			p.Blob.Chunks = append(p.Blob.Chunks, known[int(i)%len(known)])
		}
		got, err := b.read(within(t, 20*time.Second), p)
		if err == nil && (int64(len(got)) != size || sha256.Sum256(got) != p.SHA256) {
			t.Fatalf("%d bytes are taken for right", len(got))
		}
		if fault.Of(err).Class != fault.Park && err != nil {
			t.Fatalf("got %v", err)
		}
		_ = b.Walk(func(content.Digest) {}).Blob(t.Context(), p.Blob)
	})
}
