package sender

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/blob"
	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

// failures gives the open ones as "code path", in order.
func (w *world) failures() []string {
	w.t.Helper()
	open, err := deadletter.New(w.js).OfExport(w.t.Context(), "old")
	w.must(err)
	var all []string
	for _, e := range open {
		all = append(all, string(e.Code)+" "+e.Path)
		if e.Stage != deadletter.Export || e.Site != "old" || e.Class != fault.Park || e.Reason == "" || e.Attempts < 1 || e.Host != "here" {
			w.t.Errorf("the entry is %+v", e)
		}
	}
	slices.Sort(all)
	return all
}

func (w *world) wantFailures(want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.failures(); !slices.Equal(got, want) {
		w.t.Fatalf("what failed is %q, want %q", got, want)
	}
}

// ask makes a request about all that has failed, as the commands do.
func (w *world) ask(r deadletter.Request) {
	w.t.Helper()
	open, err := deadletter.New(w.js).OfExport(w.t.Context(), "old")
	w.must(err)
	for i := range open {
		w.askFor(&open[i], r)
	}
}

func (w *world) askFor(e *deadletter.Entry, r deadletter.Request) {
	w.t.Helper()
	m, err := deadletter.Ask(e, r)
	w.must(err)
	_, err = w.js.PublishMsg(w.t.Context(), m)
	w.must(err)
}

func (w *world) closed() (all []deadletter.Entry) {
	w.t.Helper()
	all, err := deadletter.New(w.js).Closed(w.t.Context())
	w.must(err)
	return all
}

func TestRefusedFilesAreListed(t *testing.T) {
	w := newWorld(t)
	hostile := w.put(queue.ToProcess, "u3", "y", file("y", "?"))
	w.must(os.WriteFile(filepath.Join(w.path, "EXPORT/TO_PROCESS", hostile.String()), []byte("cos\nsystem\n"), 0o600))
	w.put(queue.ToProcess, "u0", "d/x", zs.Part{Kind: zs.ZEXP, Export: zs.Bytes([]byte("ZEXP"))})
	w.settle()
	w.wantFailures("invalid "+hostile.String(), "unsupported d/x")
	w.settle()
	w.wantFailures("invalid "+hostile.String(), "unsupported d/x")
}

func TestReplayReadsARefusedFileAgain(t *testing.T) {
	w := newWorld(t)
	refused := w.put(queue.ToProcess, "u4", "never", deleted("never"))
	w.settle()
	w.wantFailures("unsupported never")
	w.ask(deadletter.Request{By: "me"})
	w.settle() // in vain
	w.wantFailures("unsupported never")

	came, err := queue.NewName("u4", refused.Time.Add(-time.Second), 1)
	w.must(err)
	w.write(queue.ToProcess, came, "u4", "never", file("never", "here it is"))
	w.settle()
	w.ask(deadletter.Request{By: "me"})
	w.settle()
	w.wantLog("-never")
	w.settle() // which looks where the file is
	w.wantFailures()
	w.want(queue.Failed)
	w.want(queue.Done, came.String(), refused.String())
	if c := w.closed(); len(c) != 1 || c[0].Closed.As != deadletter.Applied || c[0].Attempts != 2 {
		t.Errorf("it was settled as %+v", c)
	}
	if left, _ := os.ReadDir(w.path + ".synchro/refused"); len(left) > 0 {
		t.Errorf("the reason is still there: %v", left)
	}
}

func TestDiscardTakesARefusedFileOutOfTheQueue(t *testing.T) {
	w := newWorld(t)
	refused := w.put(queue.ToProcess, "u4", "never", deleted("never"))
	w.settle()
	w.ask(deadletter.Request{Discard: true, By: "ann", Why: "not needed"})
	w.settle()
	w.wantFailures()
	w.want(queue.Failed)
	if c := w.closed(); len(c) != 1 || c[0].Closed.As != deadletter.Discarded || c[0].Closed.By != "ann" {
		t.Errorf("it was settled as %+v", c)
	}
	if _, err := os.Stat(filepath.Join(w.path+".synchro/discarded", refused.String())); err != nil {
		t.Error(err)
	}
}

func TestFileThatIsTakenAwayHasNotFailedAnyMore(t *testing.T) {
	w := newWorld(t)
	refused := w.put(queue.ToProcess, "u4", "never", deleted("never"))
	w.settle()
	w.must(os.Remove(filepath.Join(w.path, "EXPORT/ERROR", refused.String())))
	w.settle()
	w.wantFailures()
}

func TestFailuresThatTheBrokerHasLostAreToldAgain(t *testing.T) {
	w := newWorld(t)
	refused := w.put(queue.ToProcess, "u4", "never", deleted("never"))
	w.settle()
	w.lose(subject.ErrorStream)
	w.settle()
	w.wantFailures("unsupported " + refused.String())
	w.lose(subject.ErrorStream)
	w.must(os.RemoveAll(w.path + ".synchro"))
	w.settle()
	w.wantFailures("invalid " + refused.String())
}

func TestFailureOnTheWayIntoAChannelIsDiscarded(t *testing.T) {
	w := newWorld(t)
	w.settle() // makes the streams
	e := &deadletter.Entry{Stage: deadletter.Export, Site: "old", Channel: "all", UID: "u", Path: "p", Version: 7, Code: fault.BadExpression, Class: fault.Park}
	m, err := deadletter.Message(e, nil)
	w.must(err)
	_, err = w.js.PublishMsg(t.Context(), m)
	w.must(err)
	w.askFor(e, deadletter.Request{Discard: true, By: "ann"})
	w.settle()
	if c := w.closed(); len(c) != 1 || c[0].Channel != "all" {
		t.Errorf("closed are %+v", c)
	}
}

// large is more than travels in an envelope.
var large = strings.Repeat("0123456789abcdef", 1<<15)

// bytesOf gives what the broker has of an object.
func (w *world) bytesOf(uid string) (string, error) {
	w.t.Helper()
	c, err := changelog.NewestChange(w.t.Context(), w.js, subject.ExportStream("old"), subject.ExportToProcess("old", uid))
	w.must(err)
	r, err := blob.New(w.js).Open(w.t.Context(), c.Payload(content.PluginFSS))
	if err != nil {
		return "", err
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	return string(raw), err
}

// lose empties a stream. A stream that is deleted and made again at once may have some of its
// messages back.
func (w *world) lose(stream string) {
	w.t.Helper()
	s, err := w.js.Stream(w.t.Context(), stream)
	w.must(err)
	w.must(s.Purge(w.t.Context()))
}

func (w *world) wantBytes(uid string) {
	w.t.Helper()
	w.askFor(&deadletter.Entry{Stage: deadletter.Export, Site: "old", UID: uid}, deadletter.Request{Upload: true, By: "importer"})
	w.settle()
}

func TestBytesThatTheBrokerHasLostAreSentAgainFromDone(t *testing.T) {
	w := newWorld(t)
	w.put(queue.ToProcess, "u1", "d/a", file("a", large))
	same, err := queue.NewName("u2", time.Unix(w.time, 0), 0) // at the same time
	w.must(err)
	w.write(queue.ToProcess, same, "u2", "d/b", file("b", "another"))
	w.settle()
	w.lose(subject.BlobStream)
	if _, err := w.bytesOf("u1"); err == nil {
		t.Fatal("the bytes are still there")
	}
	w.wantBytes("u1")
	if got, err := w.bytesOf("u1"); err != nil || got != large {
		t.Errorf("%d bytes are there, %v", len(got), err)
	}
	w.wantFailures()
}

func TestBytesThatAreNotInDoneAnyMoreAreMissedOpenly(t *testing.T) {
	w := newWorld(t)
	done := w.put(queue.ToProcess, "u1", "d/a", file("a", large))
	w.settle()
	w.lose(subject.BlobStream)
	w.must(os.Rename(filepath.Join(w.path, "EXPORT/DONE", done.String()), w.path+".kept"))
	w.wantBytes("u1")
	w.wantFailures("blob-missing d/a")

	w.must(os.Rename(w.path+".kept", filepath.Join(w.path, "EXPORT/DONE", done.String())))
	w.ask(deadletter.Request{By: "me"}) // a replay looks again
	w.settle()
	w.wantFailures()

	w.lose(subject.BlobStream)
	w.must(os.Remove(filepath.Join(w.path, "EXPORT/DONE", done.String())))
	w.wantBytes("u1")
	w.wantFailures("blob-missing d/a")
	w.put(queue.ToProcess, "u1", "d/a", file("a", large+"new"))
	w.settle()
	w.settle()
	w.wantFailures()
	w.wantBytes("nobody knows this one")
	w.wantFailures()
}

func TestFilesOfOneTimeAreSentInOneOrder(t *testing.T) {
	w := newWorld(t)
	at := time.Unix(w.time, 0)
	for n, value := range []string{"first", "second", "third"} {
		name, err := queue.NewName("u1", at, n)
		w.must(err)
		w.write(queue.ToProcess, name, "u1", "a", file("a", value))
		other, err := queue.NewName(fmt.Sprint("v", n), at, 7)
		w.must(err)
		w.write(queue.ToProcess, other, fmt.Sprint("v", n), fmt.Sprint("b", n), file(fmt.Sprint("b", n), value))
	}
	w.settle()
	w.wantLog("a=third", "b0=first", "b1=second", "b2=third")
	w.wantFailures()
}

func TestWhatWasGivenUpLongAgoIsSwept(t *testing.T) {
	w := newWorld(t)
	w.keep = time.Hour
	dir := w.path + ".synchro/discarded"
	w.must(os.MkdirAll(dir, 0o700))
	for name, age := range map[string]time.Duration{"old": 2 * time.Hour, "young": time.Minute} {
		w.must(os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		w.must(os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Now().Add(-age)))
	}
	w.settle()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "young" {
		t.Errorf("%v are left, %v", left, err)
	}
}
