package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

func TestBytesOfEverySizeComeBack(t *testing.T) {
	b := newBench(t)
	perList := kib / len(content.Digest{})
	for i, chunks := range []int{0, 1, 2, 7, 8, 9, perList, perList + 1, 8 * perList, 8*perList + 1} {
		for _, more := range []int{-1, 0, 1} {
			n := chunks*kib + more
			if n < 0 {
				continue
			}
			data := random(uint64(3*i+more+1), n)
			r := b.put(data)
			if r.Size != int64(n) || r.SHA256 != digestOf(data) {
				t.Fatalf("%d bytes are described as %d", n, r.Size)
			}
			if len(r.Blob.Chunks) > b.inline {
				t.Fatalf("%d bytes: %d chunks are listed inline, the most is %d", n, len(r.Blob.Chunks), b.inline)
			}
			b.equal(r, data)
		}
	}
}

func TestListsAreNestedAsDeepAsNeedBe(t *testing.T) {
	b := newBench(t)
	b.chunk, b.inline = 64, 2 // two digests in a chunk of a list
	for chunks, depth := range map[int]int{1: 0, 2: 0, 3: 1, 4: 1, 5: 2, 8: 2, 9: 3, 16: 3} {
		data := random(uint64(chunks), 64*chunks)
		r := b.put(data)
		if r.Blob.Depth != depth {
			t.Errorf("%d chunks: depth %d, want %d", chunks, r.Blob.Depth, depth)
		}
		b.equal(r, data)
	}
}

func TestChunksThatRepeatAreStoredOnce(t *testing.T) {
	b := newBench(t)
	a, c := random(1, kib), random(2, kib)
	for name, data := range map[string][]byte{
		"one after the other": bytes.Repeat(a, 50),
		"in turns":            bytes.Repeat(append(bytes.Clone(a), c...), 50),
	} {
		r := b.put(data)
		b.equal(r, data)
		if r.Blob.Depth != 1 {
			t.Errorf("%s: depth %d", name, r.Blob.Depth)
		}
	}
	lists := 2 + 2 + 1 // 50 and 100 digests of 32 bytes in chunks of 1 KiB: 2 and 4 parts, some alike
	if n := b.state().Msgs; n > uint64(2+lists) {
		t.Errorf("%d chunks are stored", n)
	}
}

func TestUnchangedContentSendsNothing(t *testing.T) {
	b := newBench(t)
	data := random(1, 40*kib)
	first := b.put(data)
	stored := map[content.Digest]bool{}
	walk := b.Walk(func(d content.Digest) { stored[d] = true })
	if err := walk.Blob(t.Context(), first.Blob); err != nil {
		t.Fatal(err)
	}
	if len(stored) != 42 {
		t.Fatalf("the walk visits %d chunks, want 40 and 2 lists", len(stored))
	}
	before := b.js.Conn().Stats().OutBytes
	again, err := b.Put(t.Context(), bytes.NewReader(data), func(d content.Digest) bool { return stored[d] })
	if err != nil {
		t.Fatal(err)
	}
	if sent := b.js.Conn().Stats().OutBytes - before; sent > 16*kib {
		t.Errorf("%d bytes were sent for %d that are stored", sent, len(data))
	}
	if again.SHA256 != first.SHA256 || b.state().Msgs != 42 {
		t.Errorf("%d chunks are stored", b.state().Msgs)
	}
	b.equal(again, data)
}

func TestAChunkThatIsOnlySaidToBeStoredIsSent(t *testing.T) {
	b := newBench(t)
	data := random(1, 20*kib)
	r, err := b.Put(t.Context(), bytes.NewReader(data), func(content.Digest) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	b.equal(r, data)
}

func TestConcurrentPutsOfTheSameBytesStoreEachChunkOnce(t *testing.T) {
	b := newBench(t)
	data := random(1, 60*kib)
	var wg sync.WaitGroup
	for range 8 {
		o := b.another()
		wg.Go(func() { o.equal(o.put(data), data) })
	}
	wg.Wait()
	if n := b.state().Msgs; n != 62 {
		t.Errorf("%d chunks are stored, want 60 and 2 lists", n)
	}
}

func TestInlineBytesAreVerified(t *testing.T) {
	s := New(nil)
	data := []byte("hello")
	p := &content.Payload{Inline: data, Size: 5, SHA256: digestOf(data)}
	r, err := s.Open(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %q, %v", got, err)
	}
	p.Size++
	_, err = s.Open(t.Context(), p)
	wantFault(t, err, fault.Park, fault.BlobDamaged)
	p.Size, p.Inline = 5, []byte("hallo")
	_, err = s.Open(t.Context(), p)
	wantFault(t, err, fault.Park, fault.BlobDamaged)
}

func TestErrorsOfTheReaderComeBackAsTheyAre(t *testing.T) {
	b := newBench(t)
	mine := errors.New("the disk is on fire")
	for _, want := range []error{mine, io.ErrUnexpectedEOF, fmt.Errorf("a closed file: %w", io.EOF)} {
		for _, n := range []int{0, 10, kib, 3*kib + 1} {
			r := io.MultiReader(bytes.NewReader(random(1, n)), iotest.ErrReader(want))
			if _, err := b.Put(t.Context(), r, nil); err != want { //nolint:errorlint // the very error
				t.Errorf("after %d bytes: got %v, want %v", n, err, want)
			}
		}
	}
}

func TestReadersOfSmallStepsMakeTheSameChunks(t *testing.T) {
	b := newBench(t)
	data := random(1, 5*kib+3)
	want := b.put(data)
	for name, r := range map[string]io.Reader{
		"one byte":                 iotest.OneByteReader(bytes.NewReader(data)),
		"half":                     iotest.HalfReader(bytes.NewReader(data)),
		"data and the end at once": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		got, err := b.Put(t.Context(), r, nil)
		if err != nil || got.SHA256 != want.SHA256 || len(got.Blob.Chunks) != 6 || got.Blob.Chunks[5] != want.Blob.Chunks[5] {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// zeros yields zeros without end.
type zeros struct{ read atomic.Int64 }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.read.Add(int64(len(p)))
	return len(p), nil
}

func TestAPutEndsWhenItIsCancelled(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(within(t, 20*time.Second))
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := b.Put(ctx, &zeros{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	_, err := b.Put(ctx, bytes.NewReader(random(1, 40*kib)), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAReadThatIsCancelledIsNotTakenForDamage(t *testing.T) {
	b := newBench(t)
	r := b.put(random(1, 300*kib))
	for i := range 60 {
		ctx, cancel := context.WithCancel(t.Context())
		rd, err := b.Open(ctx, payload(r))
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, kib)
		for range i {
			if _, err := io.ReadFull(rd, buf); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Duration(i%5) * time.Millisecond) // the queue is full now, or filling
		cancel()
		_, err = io.Copy(io.Discard, rd)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d chunks: got %v", i, err)
		}
		if err := rd.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAClosedReaderGivesNoMore(t *testing.T) {
	b := newBench(t)
	before := runtime.NumGoroutine()
	r := b.put(random(1, 300*kib))
	for range 20 {
		rd, err := b.Open(t.Context(), payload(r))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, rd, 10*kib); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(rd.Close(), rd.Close()); err != nil {
			t.Fatal(err)
		}
		if n, err := rd.Read(make([]byte, 10)); n != 0 || err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("read %d bytes, %v", n, err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if after := runtime.NumGoroutine(); after > before+5 {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func TestABrokerThatRestartsOnlyDelays(t *testing.T) {
	b := newBench(t)
	data := random(1, 2000*kib)
	// A reader that gives the broker a reason to restart in the middle.
	var once sync.Once
	restart := func(at int) io.Reader {
		return io.MultiReader(bytes.NewReader(data[:at]), readerFunc(func([]byte) (int, error) {
			once.Do(func() { go brokertest.Restart(t, b.srv) })
			return 0, io.EOF
		}), bytes.NewReader(data[at:]))
	}
	r, err := b.Put(t.Context(), restart(1000*kib), nil)
	if err != nil {
		t.Fatal(err)
	}
	rd, err := b.Open(t.Context(), payload(r))
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	head := make([]byte, 500*kib)
	if _, err := io.ReadFull(rd, head); err != nil {
		t.Fatal(err)
	}
	go brokertest.Restart(t, b.srv)
	rest, err := io.ReadAll(rd)
	if err != nil || !bytes.Equal(append(head, rest...), data) {
		t.Errorf("read %d bytes, %v", len(head)+len(rest), err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestABrokerThatStaysAwayIsAFaultOfTheSite(t *testing.T) {
	b := newBench(t)
	r := b.put(random(1, 20*kib))
	b.patience, b.wait = 300*time.Millisecond, 200*time.Millisecond
	b.srv.Close()
	_, err := b.Put(t.Context(), bytes.NewReader(random(2, 20*kib)), nil)
	wantFault(t, err, fault.Retry, fault.BrokerDown)
	_, err = b.read(t.Context(), payload(r))
	wantFault(t, err, fault.Retry, fault.BrokerDown)
	if !fault.Of(err).WholeSite {
		t.Error("it is taken for the fault of one object")
	}
}

func TestAFullStoreIsAFaultOfTheSite(t *testing.T) {
	b := newBench(t, stream.MaxBytes(30*kib))
	data := random(1, 12*kib)
	small := b.put(data)
	_, err := b.Put(t.Context(), bytes.NewReader(random(2, 40*kib)), nil)
	wantFault(t, err, fault.Retry, fault.BrokerFull)
	if !fault.Of(err).WholeSite {
		t.Error("it is taken for the fault of one object")
	}
	b.equal(small, data)
	b.equal(b.put(data), data) // what is stored already needs no room
	if err := stream.Ensure(t.Context(), b.js, stream.Blobs(stream.MaxBytes(1<<20))); err != nil {
		t.Fatal(err)
	}
	b.equal(b.put(random(2, 40*kib)), random(2, 40*kib))
}

func TestSubjectsAreThoseOfTheProtocol(t *testing.T) {
	b := newBench(t)
	r := b.put([]byte("hello"))
	d, ok := subject.BlobDigest("synchro.BLOB.2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
	if !ok || r.Blob.Chunks[0] != d || !b.isStored(d) {
		t.Errorf("%x", r.Blob.Chunks)
	}
}
