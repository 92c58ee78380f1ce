package collect

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/blob"
	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/lifecycle"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// bench is a broker with two logs of which no configuration knows.
type bench struct {
	t     *testing.T
	js    jetstream.JetStream
	blobs *blob.Store
	next  version.Version
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchOn(t, brokertest.Start(t))
}

func newBenchOn(t *testing.T, srv *embedded.Server) *bench {
	t.Helper()
	b := &bench{t: t, js: brokertest.JetStream(t, brokertest.Connect(t, srv))}
	b.blobs = blob.New(b.js)
	if err := stream.Ensure(t.Context(), b.js, stream.Export("hq"), stream.Import("news"), stream.Blobs()); err != nil {
		t.Fatal(err)
	}
	return b
}

// change puts bytes and makes the change that refers to them.
func (b *bench) change(uid string, data []byte) *content.Change {
	b.t.Helper()
	b.next++
	c := &content.Change{
		ID: fmt.Sprint(uid, b.next), Source: "hq", Kind: content.Modified, Version: b.next, CapturedAt: time.Now(),
		Object: content.Object{UID: uid, Name: uid, Type: content.TypeFile},
	}
	if data != nil {
		r, err := b.blobs.Put(b.t.Context(), bytes.NewReader(data), nil)
		if err != nil {
			b.t.Fatal(err)
		}
		c.Payloads = []content.Payload{{Plugin: content.PluginFSS, Blob: r.Blob, SHA256: r.SHA256, Size: r.Size}}
	}
	c.Digest = content.DigestOf(c.Payloads)
	return c
}

func (b *bench) log(subj string, c *content.Change) {
	b.t.Helper()
	m, err := envelope.Message(subj, c, "", "")
	if err == nil {
		_, err = b.js.PublishMsg(b.t.Context(), m)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// referred gives what is found in the logs.
func (b *bench) referred(ctx context.Context) (map[content.Digest]bool, error) {
	all := map[content.Digest]bool{}
	err := logs{b.js}.blobs(ctx, func(_ context.Context, bl *content.Blob) error {
		for _, d := range bl.Chunks {
			all[d] = true
		}
		return nil
	})
	return all, err
}

func (b *bench) wants(data ...string) {
	b.t.Helper()
	got, err := b.referred(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, d := range data {
		if !got[sha256.Sum256([]byte(d))] {
			b.t.Errorf("%q is not found", d)
		}
	}
	if len(got) != len(data) {
		b.t.Errorf("%d chunks are referred to, want %d", len(got), len(data))
	}
}

func export(uid string) string { return subject.ExportToProcess("hq", uid) }

func TestAllLogsOfTheBrokerAreRead(t *testing.T) {
	b := newBench(t)
	b.wants()
	b.log(export("a"), b.change("a", []byte("one")))
	b.log(export("b"), b.change("b", nil))
	b.log(subject.ImportToProcess("news", "a"), b.change("a", []byte("two")))
	b.wants("one", "two")
	b.log(export("a"), b.change("a", []byte("three")))
	b.wants("three", "two")
	b.log(export("a"), b.change("a", nil))
	b.wants("two")
}

func TestAChangeThatFailedKeepsItsBytes(t *testing.T) {
	b := newBench(t)
	if err := stream.Ensure(t.Context(), b.js, stream.Errors()); err != nil {
		t.Fatal(err)
	}
	put := func(e *deadletter.Entry, body []byte) {
		t.Helper()
		m, err := deadletter.Message(e, body)
		if err == nil {
			_, err = b.js.PublishMsg(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	body, err := envelope.Encode(b.change("a", []byte("one")))
	if err != nil {
		t.Fatal(err)
	}
	failed := &deadletter.Entry{Site: "paris", UID: "a"}
	put(failed, body)
	put(&deadletter.Entry{Site: "paris", UID: "b"}, nil)
	put(&deadletter.Entry{Site: "paris", UID: "c"}, []byte("nobody can read this"))
	b.wants("one")
	put(failed.Close(deadletter.Closing{As: deadletter.Applied}), body)
	b.wants()
	put(&deadletter.Entry{Site: "paris", UID: "d"}, []byte{0x81, 0xa6, 's', 'c', 'h', 'e', 'm', 'a', 9})
	if _, err := b.referred(t.Context()); fault.Of(err).Code != fault.SchemaUnknown {
		t.Errorf("got %v", err)
	}
}

func TestManyChangesAreAllRead(t *testing.T) {
	b := newBench(t)
	var want []string
	for i := range 700 {
		text := fmt.Sprint("text ", i)
		want = append(want, text)
		b.log(export(fmt.Sprint(i)), b.change(fmt.Sprint(i), []byte(text)))
	}
	b.wants(want...)
}

func TestAMessageThatCannotBeReadEndsTheReading(t *testing.T) {
	for name, m := range map[string]*nats.Msg{
		"no headers": {Subject: export("x"), Data: []byte("junk")},
		"newer schema": {
			Subject: export("x"), Data: []byte{0x81, 0xa6, 's', 'c', 'h', 'e', 'm', 'a', 9},
			Header: nats.Header{subject.HeaderUID: {"x"}, subject.HeaderBlobs: {"1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.log(export("a"), b.change("a", []byte("one")))
			if _, err := b.js.PublishMsg(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if _, err := b.referred(t.Context()); err == nil || !strings.Contains(err.Error(), m.Subject) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The broker leaves a damaged message out of what it delivers, and says nothing.
func TestADamagedLogEndsTheReading(t *testing.T) {
	dir := t.TempDir()
	srv := brokertest.StartWith(t, embedded.Options{Dir: dir, NoSync: true})
	b := newBenchOn(t, srv)
	for _, uid := range []string{"a", "b", "c"} {
		b.log(export(uid), b.change(uid, []byte("the bytes of "+uid)))
	}
	srv.Close()
	flip(t, dir, []byte(export("b")))
	b = newBenchOn(t, brokertest.StartWith(t, embedded.Options{Dir: dir, NoSync: true}))
	if got, err := b.referred(t.Context()); err == nil && len(got) != 3 {
		t.Errorf("%d of 3 changes were read, and no error", len(got))
	}
}

// flip changes the last bit of what, in the message block that has it.
func flip(t *testing.T, dir string, what []byte) {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".blk") {
			return err
		}
		body, err := os.ReadFile(path)
		if i := bytes.Index(body, what); err == nil && i >= 0 {
			found = true
			body[i+len(what)+30] ^= 1 // in the headers
			err = os.WriteFile(path, body, 0o600)
		}
		return err
	})
	if err != nil || !found {
		t.Fatalf("the message is in no file: %v", err)
	}
}

// The whole of it, with the hour hand turned: what is marked is removed by the next sweep.
func TestACollectorSweepsUntilItIsStopped(t *testing.T) {
	b := newBench(t)
	b.log(export("a"), b.change("a", []byte("kept")))
	b.change("b", []byte("never referred to"))
	var out lines
	c := &collector{
		js: b.js, blobs: b.blobs, log: slog.New(slog.NewTextHandler(&out, nil)),
		first: time.Millisecond, period: time.Millisecond, again: time.Millisecond,
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		for ctx.Err() == nil && !strings.Contains(out.String(), "freed=1") {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	if err := lifecycle.Run(ctx, time.Second, lifecycle.Part{Name: "collector", Run: c.run}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, "level=INFO") != 1 || !strings.Contains(text, "freed=1 bytes=") {
		t.Errorf("the log has %s", text)
	}
	st, err := b.js.Stream(t.Context(), subject.BlobStream)
	if err != nil || st.CachedInfo().State.Msgs != 1 {
		t.Errorf("%d chunks are left, %v", st.CachedInfo().State.Msgs, err)
	}
}

func TestAFailureIsToldAndTriedAgain(t *testing.T) {
	b := newBench(t)
	b.change("b", []byte("garbage"))
	if _, err := b.js.Publish(t.Context(), export("x"), []byte("junk")); err != nil {
		t.Fatal(err)
	}
	var out lines
	c := &collector{js: b.js, blobs: b.blobs, log: slog.New(slog.NewTextHandler(&out, nil)), period: time.Hour, again: time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		for ctx.Err() == nil && strings.Count(out.String(), "level=WARN") < 3 {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	if err := c.run(ctx, t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, export("x")) || strings.Contains(text, "level=INFO") {
		t.Errorf("the log has %s", text)
	}
}

func TestAPartIsQuietOnAnEmptyBroker(t *testing.T) {
	js := brokertest.JetStream(t, brokertest.Conn(t))
	var out lines
	c := &collector{js: js, blobs: blob.New(js), log: slog.New(slog.NewTextHandler(&out, nil))}
	if err := c.sweep(t.Context()); err != nil || out.String() != "" {
		t.Errorf("got %v, logged %q", err, out.String())
	}
	if p := Part(js, slog.New(slog.DiscardHandler)); p.Name == "" || p.Run(cancelled(), cancelled()) != nil {
		t.Errorf("part %q does not stop", p.Name)
	}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
