package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/status"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

const patience = 20 * time.Second

// world is a broker with what the services of a site have written there, and a mirror of it.
type world struct {
	t     *testing.T
	nc    *nats.Conn
	js    jetstream.JetStream
	path  string
	clock *version.Clock
}

func newWorld(t *testing.T) *world {
	t.Helper()
	nc := brokertest.Conn(t)
	w := &world{t, nc, brokertest.JetStream(t, nc), filepath.Join(t.TempDir(), "mirror"), version.NewClock(0, nil)}
	w.must(stream.Ensure(t.Context(), w.js, stream.Export("paris"), stream.Import("public"), stream.Ledger("paris"), stream.Errors()))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mirror(side Side) *Mirror {
	w.t.Helper()
	return New(Options{
		Site: "paris", Side: side, Path: w.path, Channels: []string{"public"}, NC: w.nc, JS: w.js,
		Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	})
}

func (w *world) settle(side Side) {
	w.t.Helper()
	w.must(w.mirror(side).Settle(w.t.Context()))
}

// run keeps a mirror until the test ends.
func (w *world) run(side Side) {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.mirror(side).Run(ctx, ctx) }()
	w.t.Cleanup(func() {
		stop()
		w.must(<-ended)
	})
}

func (w *world) publish(m *nats.Msg, err error) uint64 {
	w.t.Helper()
	w.must(err)
	ack, err := w.js.PublishMsg(w.t.Context(), m)
	w.must(err)
	return ack.Sequence
}

func (w *world) change(uid string, kind content.Kind) *content.Change {
	body := []byte("the bytes of " + uid)
	c := &content.Change{
		Source: "hq", Kind: kind, Version: w.clock.Next(), CapturedAt: time.Unix(1_700_000_000, 0).UTC(),
		Object:   content.Object{UID: uid, Name: uid, Path: "d/" + uid, Type: content.TypeFile, Meta: map[string]any{"mode": "0644"}},
		Payloads: []content.Payload{{Plugin: content.PluginFSS, MediaType: "text/plain", Inline: body, SHA256: sha256.Sum256(body), Size: int64(len(body))}},
	}
	c.ID, c.Digest = c.Version.String(), content.DigestOf(c.Payloads)
	return c
}

// arrive puts a new state of an object into the channel's log.
func (w *world) arrive(uid string) *content.Change {
	w.t.Helper()
	c := w.change(uid, content.Modified)
	w.publish(envelope.Message(subject.ImportToProcess("public", uid), c, "", ""))
	return c
}

// export puts a new state of an object into the site's own log.
func (w *world) export(uid string) (seq uint64) {
	w.t.Helper()
	return w.publish(envelope.Message(subject.ExportToProcess("paris", uid), w.change(uid, content.Modified), "", ""))
}

// apply writes into the ledger that a change has taken effect.
func (w *world) apply(c *content.Change, change ...func(*ledger.Entry)) {
	w.t.Helper()
	e := &ledger.Entry{
		UID: c.Object.UID, Name: c.Object.Name, Type: c.Object.Type, Kind: c.Kind, Version: c.Version, Channel: "public", Source: c.Source, At: time.Now(),
	}
	for _, f := range change {
		f(e)
	}
	w.publish(ledger.Message("paris", e, time.Hour))
}

func (w *world) fail(c *content.Change) *deadletter.Entry {
	w.t.Helper()
	now := time.Now().UTC()
	e := &deadletter.Entry{
		Stage: deadletter.Import, Site: "paris", Channel: "public", UID: c.Object.UID, Path: c.Object.Path, Version: c.Version,
		Code: fault.NotEmpty, Class: fault.Park, Reason: "it is not empty", Attempts: 1, First: now, Last: now,
	}
	raw, err := envelope.Encode(c)
	w.must(err)
	w.publish(deadletter.Message(e, raw))
	return e
}

// files gives what lies in the folders, as "IMPORT/DONE/uid".
func (w *world) files() (all []string) {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.path, "*/*/*"))
	w.must(err)
	for _, f := range found {
		rel, _ := filepath.Rel(w.path, f)
		parts := strings.Split(filepath.Base(f), "_")
		if len(parts) == 4 {
			rel = filepath.Join(filepath.Dir(rel), parts[1])
		}
		all = append(all, filepath.ToSlash(rel))
	}
	slices.Sort(all)
	return all
}

func (w *world) want(want ...string) {
	w.t.Helper()
	if got := w.files(); !slices.Equal(got, want) {
		w.t.Fatalf("the mirror has %q, want %q", got, want)
	}
}

func (w *world) eventually(want ...string) {
	w.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if slices.Equal(w.files(), want) {
			return
		}
	}
	w.want(want...)
}

// says gives what the only file of an object in a folder says.
func (w *world) says(folder, uid string) map[string]any {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.path, folder, "data_"+uid+"_*.json"))
	w.must(err)
	if len(found) != 1 {
		w.t.Fatalf("%s has %q of %s, want one file", folder, found, uid)
	}
	raw, err := os.ReadFile(found[0])
	w.must(err)
	var said map[string]any
	w.must(json.Unmarshal(raw, &said))
	if bytes.Contains(raw, []byte("the bytes of")) {
		w.t.Errorf("%s has the bytes of the object", found[0])
	}
	return said
}

func TestEachStateHasItsFolder(t *testing.T) {
	w := newWorld(t)
	w.arrive("waiting")
	w.apply(w.arrive("done"))
	w.fail(w.arrive("failed"))
	old := w.arrive("again")
	w.apply(old)
	w.arrive("again") // a newer state of what is done
	gone := w.change("gone", content.Removed)
	w.publish(envelope.Message(subject.ImportToProcess("public", "gone"), gone, "", ""))
	w.apply(gone)
	given := w.arrive("given-up")
	w.apply(given, func(e *ledger.Entry) { e.Discarded = e.Version })
	w.settle(Import)
	w.want("IMPORT/DONE/again", "IMPORT/DONE/done", "IMPORT/DONE/gone", "IMPORT/ERROR/failed", "IMPORT/TO_PROCESS/again", "IMPORT/TO_PROCESS/waiting")
}

func TestFilesSayWhatTheEnvelopeSaysWithoutItsBytes(t *testing.T) {
	w := newWorld(t)
	w.arrive("waiting")
	w.apply(w.arrive("done"))
	w.fail(w.arrive("failed"))
	w.settle(Import)
	waiting := w.says("IMPORT/TO_PROCESS", "waiting")
	change, _ := waiting["change"].(map[string]any)
	if waiting["state"] != "IMPORT/TO_PROCESS" || waiting["channel"] != "public" || change["path"] != "d/waiting" || change["source"] != "hq" {
		t.Errorf("what waits says %v", waiting)
	}
	payload, _ := change["data"].([]any)[0].(map[string]any)
	if payload["plugin"] != "fss" || payload["size"] != 20.0 || len(fmt.Sprint(payload["sha256"])) != 64 {
		t.Errorf("its payload is %v", payload)
	}
	done, _ := w.says("IMPORT/DONE", "done")["done"].(map[string]any)
	if done["kind"] != "modified" || done["at"] == "" {
		t.Errorf("what is done says %v", done)
	}
	failed := w.says("IMPORT/ERROR", "failed")
	entry, _ := failed["error"].(map[string]any)
	if entry["code"] != "not-empty" || entry["reason"] != "it is not empty" || failed["change"] == nil {
		t.Errorf("what failed says %v", failed)
	}
	counts, err := os.ReadFile(filepath.Join(w.path, "IMPORT", countsFile))
	if err != nil || !strings.Contains(string(counts), `"ERROR": 1`) || !strings.Contains(string(counts), `"PROCESSING": 0`) {
		t.Errorf("counts.json says %s, %v", counts, err)
	}
}

func TestMetadataThatJSONCannotHoldIsLeftOut(t *testing.T) {
	c := contents{Change: &change{Object: map[string]any{"x": math.NaN()}, UID: "u"}}
	raw, err := c.bytes()
	if err != nil || !strings.Contains(string(raw), `"uid": "u"`) {
		t.Errorf("it says %s, %v", raw, err)
	}
	c = contents{Change: &change{Object: map[string]any{"x": strings.Repeat("y", maxFile)}}}
	if raw, err = c.bytes(); err != nil || len(raw) > 1000 {
		t.Errorf("it has %d bytes, %v", len(raw), err)
	}
}

func TestARunningMirrorFollows(t *testing.T) {
	w := newWorld(t)
	w.run(Import)
	c := w.arrive("a")
	w.eventually("IMPORT/TO_PROCESS/a")
	w.must(w.nc.Publish(subject.ImportProcessing("paris", "a"), nil))
	w.eventually("IMPORT/PROCESSING/a")
	e := w.fail(c)
	w.eventually("IMPORT/ERROR/a")
	w.apply(c)
	w.publish(deadletter.Message(e.Close(deadletter.Closing{As: deadletter.Applied}), nil))
	w.eventually("IMPORT/DONE/a")
}

func TestWhatAnImporterHadInHandWaitsAgainWhenAnotherTakesOver(t *testing.T) {
	w := newWorld(t)
	w.run(Import)
	w.arrive("a")
	w.eventually("IMPORT/TO_PROCESS/a")
	w.must(w.nc.Publish(subject.ImportProcessing("paris", "a"), nil))
	w.eventually("IMPORT/PROCESSING/a")
	m := nats.NewMsg(subject.ImportLease("paris"))
	m.Data = []byte(`{"id": "another"}`)
	w.publish(m, nil)
	w.eventually("IMPORT/TO_PROCESS/a")
}

func TestTheSideOfASourceShowsHowFarItsRelaysAre(t *testing.T) {
	w := newWorld(t)
	w.export("a")
	w.export("b")
	w.export("c")
	w.fail(w.change("x", content.Modified)) // of the other side
	e := &deadletter.Entry{Stage: deadletter.Export, Site: "paris", UID: "y", Code: fault.ReadFailed, First: time.Now(), Last: time.Now()}
	w.publish(deadletter.Message(e, nil))
	w.settle(Export)
	w.want("EXPORT/ERROR/y", "EXPORT/TO_PROCESS/a", "EXPORT/TO_PROCESS/b", "EXPORT/TO_PROCESS/c")

	relay, err := w.js.CreateOrUpdateConsumer(t.Context(), subject.ExportStream("paris"), jetstream.ConsumerConfig{
		Durable: subject.RelayConsumer("public"), AckPolicy: jetstream.AckExplicitPolicy,
	})
	w.must(err)
	batch, err := relay.Fetch(2)
	w.must(err)
	first := <-batch.Messages()
	<-batch.Messages()
	w.must(first.DoubleAck(t.Context()))
	w.settle(Export)
	w.want("EXPORT/DONE/a", "EXPORT/ERROR/y", "EXPORT/PROCESSING/b", "EXPORT/TO_PROCESS/c")
}

func TestAMirrorThatIsDeletedComesBack(t *testing.T) {
	w := newWorld(t)
	w.run(Import)
	w.arrive("a")
	w.apply(w.arrive("b"))
	w.eventually("IMPORT/DONE/b", "IMPORT/TO_PROCESS/a")
	before := w.says("IMPORT/DONE", "b")
	w.must(os.RemoveAll(w.path))
	w.eventually("IMPORT/DONE/b", "IMPORT/TO_PROCESS/a")
	if after := w.says("IMPORT/DONE", "b"); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("it says %v, and said %v", after, before)
	}
	found, err := filepath.Glob(filepath.Join(w.path, "IMPORT/*/*.json"))
	w.must(err)
	w.must(os.Remove(found[0]))
	w.eventually("IMPORT/DONE/b", "IMPORT/TO_PROCESS/a")
	w.must(os.Rename(w.path, w.path+".moved"))
	w.eventually("IMPORT/DONE/b", "IMPORT/TO_PROCESS/a")
}

func TestWhatAnEarlierRunLeftIsMended(t *testing.T) {
	w := newWorld(t)
	c := w.arrive("a")
	w.settle(Import)
	file := filepath.Join(w.path, "IMPORT/TO_PROCESS", nameOf("a", c.Version))
	w.must(os.WriteFile(file, []byte(mark("paris")+"half"), 0o600))
	w.must(os.WriteFile(filepath.Join(w.path, "IMPORT/TO_PROCESS/data_old_1.000000_1.json"), nil, 0o600)) // the power went
	w.settle(Import)
	w.want("IMPORT/TO_PROCESS/a")
	w.says("IMPORT/TO_PROCESS", "a")
	w.apply(c)
	w.settle(Import)
	w.want("IMPORT/DONE/a")
}

func TestFilesOfOthersStayAsTheyAre(t *testing.T) {
	w := newWorld(t)
	c := w.arrive("a")
	w.settle(Import)
	foreign := map[string]string{
		"IMPORT/ERROR/README":                   "read me",
		"IMPORT/DONE/data_x_1.000000_1.json":    `{"mine": true}`,
		"IMPORT/DONE/data_y_1.000000_1.json":    mark("rome"),
		"IMPORT/DONE/data_u_1.000000_1.zs":      "a classic one",
		"IMPORT/DONE/" + nameOf("a", c.Version): "stands where a file belongs",
	}
	for name, text := range foreign {
		w.must(os.WriteFile(filepath.Join(w.path, name), []byte(text), 0o600))
	}
	w.must(os.Symlink("/etc/passwd", filepath.Join(w.path, "IMPORT/DONE/data_l_1.000000_1.json")))
	w.must(os.Mkdir(filepath.Join(w.path, "IMPORT/DONE/data_d_1.000000_1.json"), 0o700))
	w.apply(c)
	w.settle(Import)
	for name, text := range foreign {
		if raw, err := os.ReadFile(filepath.Join(w.path, name)); err != nil || string(raw) != text {
			t.Errorf("%s has %q, %v", name, raw, err)
		}
	}
	if to, err := os.Readlink(filepath.Join(w.path, "IMPORT/DONE/data_l_1.000000_1.json")); err != nil || to != "/etc/passwd" {
		t.Errorf("the link leads to %s, %v", to, err)
	}
}

func TestNothingIsWrittenThroughALinkOutOfTheMirror(t *testing.T) {
	w := newWorld(t)
	elsewhere := t.TempDir()
	w.must(os.MkdirAll(filepath.Join(w.path, "IMPORT"), 0o700))
	w.must(os.Symlink(elsewhere, filepath.Join(w.path, "IMPORT/TO_PROCESS")))
	w.arrive("a")
	if err := w.mirror(Import).Settle(t.Context()); err == nil {
		t.Error("a link out of the mirror was followed")
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
		t.Errorf("%v was written outside, %v", left, err)
	}
}

func TestAMirrorThatCannotBeWrittenIsToldAndTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.must(os.WriteFile(w.path, nil, 0o600)) // stands in the way
	w.arrive("a")
	w.run(Import)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		r, err := status.Ask(t.Context(), w.nc, status.MirrorImport, "paris")
		w.must(err)
		if r.State == status.Paused && strings.Contains(r.Reason, "mirror") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it says %+v", r)
		}
	}
	w.must(os.Remove(w.path))
	w.eventually("IMPORT/TO_PROCESS/a")
}

func TestTwoProcessesDoNotKeepOneSide(t *testing.T) {
	w := newWorld(t)
	one, err := openTree(w.path, "paris", Import, slog.New(slog.DiscardHandler))
	w.must(err)
	defer one.close()
	if _, err := openTree(w.path, "paris", Import, slog.New(slog.DiscardHandler)); !errors.Is(err, errTaken) {
		t.Errorf("got %v", err)
	}
	other, err := openTree(w.path, "paris", Export, slog.New(slog.DiscardHandler))
	w.must(err)
	other.close()
}

func TestAFolderShowsNoMoreThanItsLimit(t *testing.T) {
	s := shown{counts: map[State]int{}}
	var list []candidate
	for n := range limit + 5 {
		list = append(list, candidate{token: fmt.Sprint(n), version: version.Version(n + 1)})
	}
	s.add(ToProcess, list)
	s.add(Done, list)
	if n := len(s.files); n != 2*limit || s.counts[Done] != limit+5 {
		t.Fatalf("%d files of %v are shown", n, s.counts)
	}
	if s.files[0].token != "0" || s.files[len(s.files)-1].token != fmt.Sprint(limit+4) {
		t.Error("TO_PROCESS does not show the first, or DONE not the last")
	}
}

func TestNamesAreThoseOfAClassicQueueButForTheirEnd(t *testing.T) {
	v := version.Version(1_700_000_000_123<<16 | 7)
	if got := nameOf("u-1", v); got != "data_u-1_1700000000.123000_7.json" {
		t.Errorf("got %s", got)
	}
	got := nameOf(subject.Token("a/b_c"), v)
	if parts := strings.Split(got, "_"); len(parts) != 4 || !namePattern.MatchString(got) {
		t.Errorf("got %s", got)
	}
}

func TestALogThatIsMadeAnewIsReadAnew(t *testing.T) {
	w := newWorld(t)
	w.run(Import)
	w.arrive("a")
	w.eventually("IMPORT/TO_PROCESS/a")
	w.must(w.js.DeleteStream(t.Context(), subject.ImportStream("public")))
	time.Sleep(50 * time.Millisecond)
	w.must(stream.Ensure(t.Context(), w.js, stream.Import("public")))
	w.arrive("b")
	w.eventually("IMPORT/TO_PROCESS/b")
}

func TestMuchIsWrittenInPortionsAndNothingIsInAWrongFolderMeanwhile(t *testing.T) {
	w := newWorld(t)
	tr, err := openTree(w.path, "paris", Import, slog.New(slog.DiscardHandler))
	w.must(err)
	defer tr.close()
	text := func(f *file) ([]byte, error) { return []byte(mark("paris") + f.stamp), nil }
	of := func(state State, tokens ...string) (s shown) {
		s.counts = map[State]int{}
		var list []candidate
		for _, token := range tokens {
			list = append(list, candidate{token: token, version: 1 << 16})
		}
		s.add(state, list)
		return s
	}
	if _, left, err := tr.make(of(ToProcess, "a", "b"), time.Now().Add(time.Hour), text); left > 0 || err != nil {
		t.Fatal(left, err)
	}
	past := time.Now()
	if written, left, err := tr.make(of(Done, "a", "c"), past, text); written > 0 || left != 2 || err != nil {
		t.Fatal(written, left, err)
	}
	w.want("IMPORT/DONE/a")
	if written, left, err := tr.make(of(Done, "a", "c"), time.Now().Add(time.Hour), text); written != 2 || left > 0 || err != nil {
		t.Fatal(written, left, err)
	}
	w.want("IMPORT/DONE/a", "IMPORT/DONE/c")
}
