package receiver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/wire"
	"synchro.example/services/bridge/zexp"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/version"
)

// world is a queue, and the classic importer behind it.
type world struct {
	t    *testing.T
	path string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t, filepath.Join(t.TempDir(), "queue")}
	w.must(queue.Create(w.path))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open(change ...func(*Options)) *Target {
	w.t.Helper()
	o := Options{
		Site: "old", Path: w.path, Accept: []string{content.PluginFSS, content.PluginDelete}, Allowed: zexp.Default(),
		Look: 10 * time.Millisecond, Keep: time.Hour, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	}
	for _, f := range change {
		f(&o)
	}
	target, err := Open(o)
	w.must(err)
	w.t.Cleanup(func() { w.must(target.Close()) })
	return target
}

func (w *world) list(state queue.State) []string {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.path, queue.Folder(queue.Import, state)))
	w.must(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// importer moves whatever comes, until the test ends, as the classic one does.
func (w *world) importer(to queue.State) {
	ctx, stop := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	w.t.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			w.importOnce(to)
			time.Sleep(time.Millisecond)
		}
	}()
}

func (w *world) importOnce(to queue.State) {
	for _, name := range w.list(queue.ToProcess) {
		from := filepath.Join(w.path, queue.Folder(queue.Import, queue.ToProcess), name)
		busy := filepath.Join(w.path, queue.Folder(queue.Import, queue.Processing), name)
		if os.Rename(from, busy) == nil {
			w.must(os.Rename(busy, filepath.Join(w.path, queue.Folder(queue.Import, to), name)))
		}
	}
}

// read gives what the only file in a folder says.
func (w *world) read(state queue.State) *zs.Change {
	w.t.Helper()
	names := w.list(state)
	if len(names) != 1 {
		w.t.Fatalf("%s has %q, want one file", state, names)
	}
	f, err := os.Open(filepath.Join(w.path, queue.Folder(queue.Import, state), names[0]))
	w.must(err)
	defer f.Close()
	c, err := zs.Decode(f, zs.Options{})
	w.must(err)
	return c
}

func payload(plugin, media string, body []byte, names ...string) content.Payload {
	return content.Payload{Plugin: plugin, MediaType: media, Names: names, Inline: body, SHA256: sha256.Sum256(body), Size: int64(len(body))}
}

func op(at version.Version, from, to string, payloads ...content.Payload) content.Op {
	c := &content.Change{
		Source: "hq", Kind: content.Modified, Version: at, Payloads: payloads,
		Object: content.Object{UID: "u1", Type: content.TypeFile, Name: filepath.Base(to)},
	}
	if to == "" {
		c.Kind = content.Removed
	}
	return content.Op{
		Change: c, From: from, To: to, Note: &content.Note{},
		Open: func(_ context.Context, p *content.Payload) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(p.Inline)), nil
		},
	}
}

func apply(t *testing.T, target *Target, o content.Op) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return target.Apply(ctx, []content.Op{o})[0]
}

func wantCode(t *testing.T, err error, want fault.Code) {
	t.Helper()
	if err == nil || fault.Of(err).Code != want {
		t.Fatalf("the result is %v, want code %s", err, want)
	}
}

func TestFieldArrivesAsItWas(t *testing.T) {
	w := newWorld(t)
	w.importer(queue.Done)
	o := op(1, "", "d/f.bin", payload(content.PluginContent, "application/json", []byte("{}")), payload(content.PluginFSS, "image/png", []byte("a\x00b"), "file", "ü.bin"))
	w.must(apply(t, w.open(), o))
	if o.Note.State != "handed over" {
		t.Errorf("the ledger is told %q", o.Note.State)
	}
	c := w.read(queue.Done)
	f := c.Part(zs.FSS).Fields[0]
	if !slices.Equal(c.Path, []string{"d", "f.bin"}) || c.UID != "u1" || f.Name != "file" || f.Filename != "ü.bin" || !f.Text || f.MIMEType != "image/png" {
		t.Errorf("the file says %+v", c)
	}
	r, err := f.File.Open()
	w.must(err)
	if b, _ := io.ReadAll(r); string(b) != "a\x00b" {
		t.Errorf("the value is %q", b)
	}
}

func TestManyFieldsTravelAsOnePayload(t *testing.T) {
	w := newWorld(t)
	w.importer(queue.Done)
	sent := zs.Change{Path: []string{"d"}, UID: "u1", Parts: []zs.Part{{Kind: zs.FSS, Fields: []zs.Field{
		{Path: "d/a", Name: "file", Filename: "\xff", File: zs.Bytes([]byte("one"))},
		{Path: "d", Name: "icon", Filename: "i", File: zs.Bytes([]byte("two"))},
	}}}}
	if wire.IsPlain(&sent, &sent.Parts[0]) {
		t.Fatal("two values are taken for one")
	}
	packed := wire.Pack(&sent, &sent.Parts[0])
	body, err := io.ReadAll(packed)
	w.must(err)
	w.must(apply(t, w.open(), op(1, "", "here/e", payload(content.PluginFSS, wire.MediaFields, body))))
	var got []string
	for _, f := range w.read(queue.Done).Part(zs.FSS).Fields {
		got = append(got, f.Path+" "+f.Name+" "+f.Filename)
	}
	if !slices.Equal(got, []string{"e/a file \xff", "e icon i"}) {
		t.Errorf("the fields are %q", got)
	}
}

func TestNothingIsDoneBeforeTheImporterSaysSo(t *testing.T) {
	w := newWorld(t)
	target := w.open()
	ended := make(chan error, 1)
	go func() {
		ended <- target.Apply(t.Context(), []content.Op{op(1, "", "f", payload(content.PluginFSS, "", []byte("x")))})[0]
	}()
	for len(w.list(queue.ToProcess)) == 0 || target.Waiting() != 1 {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-ended:
		t.Fatalf("the change ended with %v while its file waits", err)
	case <-time.After(100 * time.Millisecond):
	}
	w.importOnce(queue.Done)
	w.must(<-ended)
}

func TestChangeThatIsAskedForAgainIsNotPlacedTwice(t *testing.T) {
	w := newWorld(t)
	o := op(1, "", "f", payload(content.PluginFSS, "", []byte("x")))
	first := w.open()
	first.Release()
	wantCode(t, apply(t, first, o), fault.TargetDown)
	w.importer(queue.Done)
	w.must(apply(t, w.open(), o))
	w.must(apply(t, w.open(), o))
	if all := w.list(queue.Done); len(all) != 1 {
		t.Errorf("the file was placed as %q", all)
	}
}

// refuse applies a change whose file the importer moves to ERROR.
func (w *world) refuse(target *Target, o content.Op) {
	w.t.Helper()
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		for len(w.list(queue.Failed)) == 0 {
			w.importOnce(queue.Failed)
			time.Sleep(time.Millisecond)
		}
	}()
	wantCode(w.t, apply(w.t, target, o), fault.Refused)
	<-refused
}

func TestErrorIsToldAndReplayed(t *testing.T) {
	w := newWorld(t)
	target := w.open()
	o := op(1, "", "f", payload(content.PluginFSS, "", []byte("x")))
	w.refuse(target, o)
	w.importer(queue.Done)
	w.must(apply(t, target, o))
	if failed, done := w.list(queue.Failed), w.list(queue.Done); len(failed) != 0 || len(done) != 1 {
		t.Errorf("after a replay ERROR has %q and DONE %q", failed, done)
	}
}

func TestNewerChangeTakesTheFileOfTheFailedOneAway(t *testing.T) {
	w := newWorld(t)
	target := w.open()
	w.refuse(target, op(1, "", "f", payload(content.PluginFSS, "", []byte("x"))))
	w.importer(queue.Done)
	w.must(apply(t, target, op(2, "", "f", payload(content.PluginFSS, "", []byte("y")))))
	if failed, done := w.list(queue.Failed), w.list(queue.Done); len(failed) != 0 || len(done) != 1 {
		t.Errorf("ERROR has %q and DONE %q", failed, done)
	}
}

func TestWhatIsGivenUpLeavesTheQueue(t *testing.T) {
	w := newWorld(t)
	target := w.open()
	o := op(1, "", "f", payload(content.PluginFSS, "", []byte("x")))
	w.refuse(target, o)
	name := w.list(queue.Failed)[0]
	for range 2 { // it may be asked for again
		w.must(target.Discard(o.Change.Object.UID))
	}
	kept := filepath.Join(w.path+".synchro/discarded", name)
	if _, err := os.Stat(kept); err != nil || len(w.list(queue.Failed)) != 0 {
		t.Errorf("ERROR has %q, and the file is not beside the queue: %v", w.list(queue.Failed), err)
	}
	w.must(target.Discard("of which nothing failed"))
	w.importer(queue.Done)
	w.must(apply(t, target, op(2, "", "f", payload(content.PluginFSS, "", []byte("y")))))
	w.must(target.sweep(time.Now().Add(2 * time.Hour)))
	if _, err := os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is not swept: %v", err)
	}
}

func TestMoveIsADeletionAndThenTheNewState(t *testing.T) {
	w := newWorld(t)
	w.importer(queue.Done)
	w.must(apply(t, w.open(), op(1, "a/f", "b/g", payload(content.PluginFSS, "", []byte("x")))))
	q, err := queue.Open(w.path)
	w.must(err)
	defer q.Close()
	found, err := q.List(queue.Import, queue.Done)
	w.must(err)
	var said []string
	for _, name := range found.Names {
		f, err := q.Open(queue.Import, queue.Done, name.String())
		w.must(err)
		c, err := zs.Decode(f, zs.Options{})
		w.must(err)
		said = append(said, string(c.Parts[0].Kind)+" "+filepath.Join(c.Path...))
		w.must(f.Close())
	}
	if !slices.Equal(said, []string{"delete a/f", "fss b/g"}) {
		t.Errorf("by their times the files say %q", said)
	}
}

func TestContainerWithItsNameOnlyNeedsNoFile(t *testing.T) {
	w := newWorld(t)
	o := op(1, "", "d")
	o.Change.Object.Type = content.TypeFolder
	w.must(apply(t, w.open(), o))
	if all := w.list(queue.ToProcess); len(all) != 0 {
		t.Errorf("the queue has %q", all)
	}
}

func TestChangeWithoutClassicFormIsParked(t *testing.T) {
	w := newWorld(t)
	for name, o := range map[string]content.Op{
		"content only":        op(1, "", "page", payload(content.PluginContent, "application/json", []byte("{}"))),
		"a plugin of its own": op(1, "", "page", payload("mine", "", nil)),
		"an untrusted export": op(1, "", "page", payload(content.PluginZEXP, "", []byte("ZEXP"))),
		"a moved container":   op(1, "a", "b"),
	} {
		t.Run(name, func(t *testing.T) {
			err := apply(t, w.open(), o)
			wantCode(t, err, fault.Unsupported)
			if fault.Of(err).Class != fault.Park {
				t.Errorf("the class is %s", fault.Of(err).Class)
			}
		})
	}
	trusting := w.open(func(o *Options) { o.Accept = append(o.Accept, content.PluginZEXP) })
	wantCode(t, apply(t, trusting, op(1, "", "page", payload(content.PluginZEXP, "", []byte("ZEXP no export")))), fault.Invalid)
	if all := w.list(queue.ToProcess); len(all) != 0 {
		t.Errorf("the queue has %q", all)
	}
}

func TestFilesOfAnotherQueueAreHeldAgainstTheSite(t *testing.T) {
	w := newWorld(t)
	target := w.open(func(o *Options) { o.Accept = append(o.Accept, content.PluginZEXP) })
	export := func(body []byte) *zs.Change {
		return &zs.Change{Path: []string{"d", "a"}, UID: "u1", Parts: []zs.Part{{Kind: zs.ZEXP, Export: zs.Bytes(body)}}}
	}
	wantCode(t, target.Forward(t.Context(), export([]byte("ZEXP no export"))), fault.Invalid)
	wantCode(t, w.open().Forward(t.Context(), export(nil)), fault.Unsupported)
	if all := w.list(queue.ToProcess); len(all) != 0 {
		t.Fatalf("the queue has %q", all)
	}
	good, err := os.ReadFile("../zexp/testdata/golden/content.python2.zexp")
	w.must(err)
	w.must(target.Forward(t.Context(), export(good)))
	c := w.read(queue.ToProcess)
	if !slices.Equal(c.Path, []string{"d", "a"}) || c.UID != "u1" || c.Part(zs.ZEXP).Export.Size != int64(len(good)) {
		t.Errorf("the file says %+v", c)
	}
}

func TestTimesRiseAboveWhatIsThere(t *testing.T) {
	w := newWorld(t)
	ahead, err := queue.NewName("x", time.Now().Add(time.Hour), 1)
	w.must(err)
	w.must(os.WriteFile(filepath.Join(w.path, "IMPORT/DONE", ahead.String()), nil, 0o600))
	target := w.open()
	last := ahead
	for range 100 {
		name, err := target.nextName("y")
		w.must(err)
		if name.Compare(last) <= 0 {
			t.Fatalf("%s does not come after %s", name, last)
		}
		last = name
	}
}

func TestDoneIsSweptAfterItsTime(t *testing.T) {
	w := newWorld(t)
	target := w.open()
	for n, age := range []struct{ made, came time.Duration }{
		{2 * time.Hour, 2 * time.Hour}, {2 * time.Hour, time.Minute}, {time.Minute, time.Minute},
	} {
		name, err := queue.NewName("x", time.Now().Add(-age.made), n)
		w.must(err)
		file := filepath.Join(w.path, "IMPORT/DONE", name.String())
		w.must(os.WriteFile(file, nil, 0o600))
		w.must(os.Chtimes(file, time.Time{}, time.Now().Add(-age.came)))
	}
	w.must(target.sweep(time.Now()))
	if left := w.list(queue.Done); len(left) != 2 {
		t.Errorf("DONE has %q", left)
	}
}
