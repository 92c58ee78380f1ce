package blob

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

// references is what stands for the logs.
type references struct {
	mu    sync.Mutex
	blobs map[string]*content.Blob
	err   error         // after the last
	begun chan struct{} // told when a reading has begun, if not nil
	after chan struct{} // waited for after a reading, if not nil
}

func (r *references) set(key string, b *content.Blob) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blobs == nil {
		r.blobs = map[string]*content.Blob{}
	}
	if r.blobs[key] = b; b == nil {
		delete(r.blobs, key)
	}
}

func (r *references) read(ctx context.Context, each func(context.Context, *content.Blob) error) error {
	r.mu.Lock()
	var all []*content.Blob
	for _, b := range r.blobs {
		all = append(all, b)
	}
	r.mu.Unlock()
	for _, b := range all {
		if err := each(ctx, b); err != nil {
			return err
		}
	}
	if r.after != nil {
		close(r.begun)
		<-r.after
	}
	return r.err
}

func (b *bench) sweep(r *references) Swept {
	b.t.Helper()
	s, err := b.Sweep(b.t.Context(), b.grace, r.read)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func TestGarbageGoesWithTheSecondSweepAndNotBefore(t *testing.T) {
	b := newBench(t)
	var refs references
	flat, nested := random(1, 3*kib), random(2, 40*kib)
	refs.set("flat", b.put(flat).Blob)
	refs.set("nested", b.put(nested).Blob)
	b.put(random(3, 40*kib)) // 40 chunks and 2 lists that nobody refers to
	if s := b.sweep(&refs); s.Marked != 42 || s.Freed != 0 || b.state().Msgs != 87 {
		t.Fatalf("first sweep: %+v, %d chunks left", s, b.state().Msgs)
	}
	if s := b.sweep(&refs); s.Freed != 42 || s.Bytes < 40*kib || b.state().Msgs != 45 {
		t.Fatalf("second sweep: %+v, %d chunks left", s, b.state().Msgs)
	}
	b.equal(b.put(flat), flat)
	b.equal(b.put(nested), nested)
	if s := b.sweep(&refs); s.Marked != 0 || s.Freed != 0 {
		t.Fatalf("third sweep: %+v", s)
	}
	if n := b.marks(); n != 0 {
		t.Errorf("%d marks are left", n)
	}
}

func (b *bench) marks() uint64 {
	b.t.Helper()
	st, err := b.js.Stream(b.t.Context(), subject.BlobMarkStream)
	if err != nil {
		b.t.Fatal(err)
	}
	return st.CachedInfo().State.Msgs
}

func TestWhatIsYoungIsNotJudged(t *testing.T) {
	b := newBench(t)
	b.grace = time.Hour
	b.put(random(1, 3*kib))
	for range 3 {
		if s := b.sweep(&references{}); s != (Swept{}) {
			t.Fatalf("%+v", s)
		}
	}
	b.grace = 500 * time.Millisecond
	time.Sleep(b.grace)
	for range 2 { // the marks are young now
		if s := b.sweep(&references{}); s.Marked != 3 || s.Freed != 0 {
			t.Fatalf("%+v", s)
		}
	}
	time.Sleep(b.grace)
	if s := b.sweep(&references{}); s.Freed != 3 {
		t.Fatalf("%+v", s)
	}
}

func TestAnEmptyStoreCostsNothing(t *testing.T) {
	b := newBench(t)
	_, err := b.Sweep(t.Context(), b.grace, func(context.Context, func(context.Context, *content.Blob) error) error {
		return errors.New("the logs are not to be read")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.js.DeleteStream(t.Context(), subject.BlobStream); err != nil {
		t.Fatal(err)
	}
	b.sweep(&references{})
}

func TestNothingIsRemovedAfterAPartialReading(t *testing.T) {
	b := newBench(t)
	data := random(1, 40*kib)
	r := b.put(data)
	var refs references
	b.sweep(&refs) // doomed
	refs.err = errors.New("the log cannot be read")
	if _, err := b.Sweep(t.Context(), b.grace, refs.read); !errors.Is(err, refs.err) {
		t.Fatalf("got %v", err)
	}
	b.equal(r, data)
	refs.err = nil
	refs.set("a", r.Blob)
	lost := r.Blob.Chunks[0] // a part of the list: what it lists is not known now
	b.lose(lost)
	_, err := b.Sweep(t.Context(), b.grace, refs.read)
	wantFault(t, err, fault.Park, fault.BlobMissing)
	if n := b.state().Msgs; n != 41 {
		t.Errorf("%d chunks are left", n)
	}
}

func TestAPutSparesWhatIsDoomed(t *testing.T) {
	for name, known := range map[string]func(content.Digest) bool{
		"and sends it": nil, "and knows it": func(content.Digest) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			data := random(1, 40*kib)
			b.put(data)
			b.sweep(&references{})
			refs := references{begun: make(chan struct{}), after: make(chan struct{})}
			done := make(chan Swept)
			go func() { done <- b.another().sweep(&refs) }()
			<-refs.begun // and has not seen what follows
			r, err := b.Put(t.Context(), bytes.NewReader(data), known)
			if err != nil {
				t.Fatal(err)
			}
			close(refs.after)
			if s := <-done; s.Freed != 0 {
				t.Errorf("%+v", s)
			}
			b.equal(r, data)
		})
	}
}

func TestAPutDoesNotRelyOnWhatIsClaimed(t *testing.T) {
	b := newBench(t)
	data := random(1, kib)
	r := b.put(data)
	b.sweep(&references{})
	d := r.Blob.Chunks[0]
	m, err := b.markOf(t.Context(), d)
	if err != nil || m.state != doomed {
		t.Fatalf("%+v, %v", m, err)
	}
	seq, err := b.setMark(t.Context(), d, claimed, m.chunk, m) // and the collector stops here
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Put(t.Context(), bytes.NewReader(data), func(content.Digest) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if err := b.carryOut(t.Context(), mark{chunk: m.chunk, seq: seq}); err != nil { // it goes on, late
		t.Fatal(err)
	}
	b.equal(again, data)
}

func TestConfirmTellsWhatWasRemoved(t *testing.T) {
	b := newBench(t)
	b.trust = 0
	data := random(1, 40*kib)
	r := b.put(data)
	if err := b.Confirm(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	b.sweep(&references{})
	if err := b.Confirm(t.Context(), r); err != nil { // spares
		t.Fatal(err)
	}
	if s := b.sweep(&references{}); s.Freed != 0 {
		t.Fatalf("%+v", s)
	}
	b.sweep(&references{})
	err := b.Confirm(t.Context(), r)
	wantFault(t, err, fault.Retry, fault.BlobMissing)
	if m, ok := errors.AsType[*MissingError](err); !ok || len(m.Digests) != 42 {
		t.Errorf("got %v", err)
	}
	b.equal(b.put(data), data)
}

func TestASweepThatIsBrokenOffIsContinued(t *testing.T) {
	b := newBench(t)
	keep := random(1, 40*kib)
	var refs references
	refs.set("keep", b.put(keep).Blob)
	for i := range uint64(6) {
		b.put(random(10+i, 40*kib))
	}
	kept := &content.Payload{Blob: refs.blobs["keep"], Size: int64(len(keep)), SHA256: digestOf(keep)}
	for i := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i)*time.Millisecond)
		_, _ = b.another().Sweep(ctx, b.grace, refs.read)
		cancel()
	}
	b.sweep(&refs)
	b.sweep(&refs)
	b.sweep(&refs)
	if got, err := b.read(t.Context(), kept); err != nil || !bytes.Equal(got, keep) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	if n := b.state().Msgs; n != 42 || b.marks() != 0 {
		t.Errorf("%d chunks and %d marks are left", n, b.marks())
	}
}

func TestSeveralCollectorsFreeEachChunkOnce(t *testing.T) {
	b := newBench(t)
	var refs references
	data := random(1, 40*kib)
	r := b.put(data)
	refs.set("keep", r.Blob)
	b.put(random(2, 40*kib))
	for range 3 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { b.another().sweep(&refs) })
		}
		wg.Wait()
	}
	b.equal(r, data)
	if n := b.state().Msgs; n != 42 {
		t.Errorf("%d chunks are left", n)
	}
}

func TestADamagedMarkIsNoReasonToRemoveAnything(t *testing.T) {
	b := newBench(t)
	data := random(1, kib)
	r := b.put(data)
	b.sweep(&references{})
	d := r.Blob.Chunks[0]
	for _, body := range []string{"", "claimed", "claimed x", "\x00\xff", "doomed 99999999999999999999999"} {
		if _, err := b.js.Publish(t.Context(), subject.BlobMark(d), []byte(body)); err != nil {
			t.Fatal(err)
		}
		if s := b.sweep(&references{}); s.Freed != 0 {
			t.Fatalf("mark %q: %+v", body, s)
		}
		b.equal(b.put(data), data)
	}
}

// What a source does: it puts, refers, confirms, and replaces what it refers to, while
// collectors run all the time. Grace is short, but not shorter than the time from a
// Put to its reference.
func TestNothingThatIsReferredToIsEverLost(t *testing.T) {
	b := newBench(t)
	b.grace, b.trust = 300*time.Millisecond, 100*time.Millisecond
	if err := stream.Ensure(t.Context(), b.js, stream.BlobMarks()); err != nil {
		t.Fatal(err)
	}
	var refs references
	var done atomic.Bool
	var collectors, sources sync.WaitGroup
	var freed atomic.Int64
	for range 2 {
		o := b.another()
		collectors.Go(func() {
			for !done.Load() {
				freed.Add(int64(o.sweep(&refs).Freed))
				time.Sleep(time.Millisecond)
			}
		})
	}
	for i := range 3 {
		o := b.another()
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		sources.Go(func() { o.work(rng, string(rune('a'+i)), &refs, 4*time.Second) })
	}
	sources.Wait()
	done.Store(true)
	collectors.Wait()
	if freed.Load() == 0 {
		t.Error("the collectors have never freed anything")
	}
	b.collectAll(&refs)
}

// pool is which contents there are: few, so that they come back, and overlapping, so
// that chunks are shared.
func pool(i int) []byte {
	data := random(uint64(i%5), 12*kib)
	return append(data, random(uint64(100+i), kib)...)
}

func (b *bench) work(rng *rand.Rand, key string, refs *references, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		i := rng.IntN(12)
		known := func(content.Digest) bool { return rng.IntN(2) == 0 }
		r, err := b.Put(b.t.Context(), bytes.NewReader(pool(i)), known)
		if err != nil {
			b.t.Error(err)
			return
		}
		time.Sleep(time.Duration(rng.IntN(150)) * time.Millisecond)
		refs.set(key, r.Blob)
		if err := b.Confirm(b.t.Context(), r); err != nil {
			b.t.Errorf("confirm: %v", err) // does not happen within the grace
			return
		}
		time.Sleep(time.Duration(rng.IntN(600)) * time.Millisecond)
		got, err := b.read(b.t.Context(), payload(r))
		if err != nil || !bytes.Equal(got, pool(i)) {
			b.t.Errorf("content %d is lost while it is referred to: %d bytes, %v", i, len(got), err)
			return
		}
		if rng.IntN(2) == 0 {
			refs.set(key, nil)
			time.Sleep(time.Duration(rng.IntN(1200)) * time.Millisecond)
		}
	}
}

// collectAll sweeps until only what is referred to can be left, and looks.
func (b *bench) collectAll(refs *references) {
	b.t.Helper()
	b.grace = 0
	for range 3 {
		b.sweep(refs)
	}
	want := map[content.Digest]bool{}
	walk := b.Walk(func(d content.Digest) { want[d] = true })
	if err := refs.read(b.t.Context(), walk.Blob); err != nil {
		b.t.Fatal(err)
	}
	for d := range want {
		if !b.isStored(d) {
			b.t.Errorf("chunk %x is lost", d)
		}
	}
	if n := b.state().Msgs; n != uint64(len(want)) {
		b.t.Errorf("%d chunks are left, %d are referred to", n, len(want))
	}
}

// One step after the other, so that a failure can be repeated from its seed.
func TestRandomStepsAgreeWithAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	b := newBench(t)
	var refs references
	now := 0                             // counts sweeps
	orphaned := map[content.Digest]int{} // since which sweep nothing refers to a chunk
	for range 150 {
		switch key := string(rune('a' + rng.IntN(4))); rng.IntN(5) {
		case 0, 1:
			i := rng.IntN(12)
			refs.set(key, b.put(pool(i)).Blob)
		case 2:
			refs.set(key, nil)
		case 3:
			b.put(pool(rng.IntN(12))) // never referred to
		case 4:
			b.sweep(&refs)
			now++
		}
		b.agree(&refs, orphaned, now)
		if t.Failed() {
			return
		}
	}
	b.collectAll(&refs)
}

// agree looks that everything that is referred to is there, and that nothing is that
// two sweeps have found without a reference.
func (b *bench) agree(refs *references, orphaned map[content.Digest]int, now int) {
	b.t.Helper()
	referred := map[content.Digest]bool{}
	walk := b.Walk(func(d content.Digest) { referred[d] = true })
	if err := refs.read(b.t.Context(), walk.Blob); err != nil {
		b.t.Error(err)
	}
	for d := range referred {
		delete(orphaned, d)
		if !b.isStored(d) {
			b.t.Errorf("chunk %x is lost", d)
		}
	}
	st, err := b.handle(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	info, err := st.Info(b.t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		b.t.Fatal(err)
	}
	stored := map[content.Digest]bool{}
	for subj := range info.State.Subjects {
		d, _ := subject.BlobDigest(subj)
		stored[d] = true
		if referred[d] {
			continue
		}
		if since, ok := orphaned[d]; !ok {
			orphaned[d] = now
		} else if now-since > 4 { // put again in between it may be spared once
			b.t.Errorf("chunk %x is garbage since %d sweeps", d, now-since)
		}
	}
	for d := range orphaned {
		if !stored[d] {
			delete(orphaned, d)
		}
	}
}
