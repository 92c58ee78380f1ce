package sender

import (
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/control"
	"synchro.example/shared/envelope"
	"synchro.example/shared/signature"
	"synchro.example/shared/subject"
)

// world is a broker, and a queue that a classic site exports into.
type world struct {
	t    *testing.T
	nc   *nats.Conn
	js   jetstream.JetStream
	path string
	time int64
	keep time.Duration // of what is in DONE
	key  *signature.Key
}

func newWorld(t *testing.T) *world {
	t.Helper()
	nc := brokertest.Conn(t)
	w := &world{t, nc, brokertest.JetStream(t, nc), filepath.Join(t.TempDir(), "queue"), 1_700_000_000, 0, nil}
	w.must(queue.Create(w.path))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) settle() {
	w.t.Helper()
	told, err := control.Follow(w.t.Context(), w.js)
	w.must(err)
	s, err := New(w.t.Context(), Options{
		Keep: w.keep, Key: w.key, Host: "here", Software: "test",
		Site: "old", Path: w.path, Accept: []string{content.PluginFSS, content.PluginDelete}, NC: w.nc, JS: w.js,
		Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Control: told,
	})
	w.must(err)
	w.must(s.Settle(w.t.Context()))
}

// put exports a change into a folder, each a second after the one before.
func (w *world) put(state queue.State, uid, at string, parts ...zs.Part) queue.Name {
	w.t.Helper()
	w.time++
	name, err := queue.NewName(uid, time.Unix(w.time, 0), 1)
	w.must(err)
	w.write(state, name, uid, at, parts...)
	return name
}

func (w *world) write(state queue.State, name queue.Name, uid, at string, parts ...zs.Part) {
	w.t.Helper()
	f, err := os.Create(filepath.Join(w.path, queue.Folder(queue.Export, state), name.String()))
	w.must(err)
	w.must(zs.Encode(f, &zs.Change{Path: strings.Split(at, "/"), UID: uid, Parts: parts}))
	w.must(f.Close())
}

func file(at, value string) zs.Part {
	return zs.Part{Kind: zs.FSS, Fields: []zs.Field{{Path: path.Base(at), Name: "file", Filename: "f", File: zs.Bytes([]byte(value))}}}
}

func deleted(at string) zs.Part { return zs.Part{Kind: zs.Delete, ID: path.Base(at)} }

// log gives what the log has, as "path=bytes", or "-path" for a removal.
func (w *world) log() []string {
	w.t.Helper()
	var all []string
	err := changelog.Scan(w.t.Context(), w.js, subject.ExportStream("old"), changelog.Options{}, func(m jetstream.Msg) error {
		c, err := envelope.Decode(m.Data())
		if err != nil {
			return err
		}
		switch p := c.Payload(content.PluginFSS); {
		case c.Kind == content.Removed:
			all = append(all, "-"+c.Object.Path)
		case p == nil:
			all = append(all, c.Object.Path+"/")
		default:
			all = append(all, fmt.Sprintf("%s=%s", c.Object.Path, p.Inline))
		}
		return nil
	})
	w.must(err)
	return all
}

func (w *world) wantLog(want ...string) {
	w.t.Helper()
	if got := w.log(); !slices.Equal(got, want) {
		w.t.Errorf("the log has %q, want %q", got, want)
	}
}

func (w *world) want(state queue.State, want ...string) {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.path, queue.Folder(queue.Export, state)))
	w.must(err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("%s has %q, want %q", state, got, want)
	}
}

func TestFilesAreSentInOrderAndDone(t *testing.T) {
	w := newWorld(t)
	a := w.put(queue.ToProcess, "u1", "d/a", file("a", "one"))
	b := w.put(queue.ToProcess, "u2", "d/b", file("b", "two"))
	c := w.put(queue.ToProcess, "u1", "d/a", file("a", "three"))
	w.settle()
	w.wantLog("d/", "d/b=two", "d/a=three")
	w.want(queue.Done, a.String(), b.String(), c.String())
	w.want(queue.Processing)
}

func TestDeletionRemovesWhatWasSentBelow(t *testing.T) {
	w := newWorld(t)
	w.put(queue.ToProcess, "u1", "d/a", file("a", "one"))
	w.settle()
	w.put(queue.ToProcess, "ud", "d", deleted("d"))
	w.settle()
	w.wantLog("-d/a", "-d")
}

func TestSameUIDElsewhereIsAMove(t *testing.T) {
	w := newWorld(t)
	w.put(queue.ToProcess, "u1", "a", file("a", "one"))
	w.put(queue.ToProcess, "u1", "b", file("b", "one"))
	w.settle()
	w.wantLog("b=one")
}

func TestOlderFileChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.put(queue.ToProcess, "u1", "a", file("a", "new"))
	w.settle()
	old, err := queue.NewName("u1", time.Unix(w.time-1, 0), 1)
	w.must(err)
	w.write(queue.ToProcess, old, "u1", "a", file("a", "old"))
	w.settle()
	w.wantLog("a=new")
	w.want(queue.ToProcess)
}

func TestNumbersOrderFilesOfOneTime(t *testing.T) {
	w := newWorld(t)
	write := func(number int, text string) {
		name, err := queue.NewName("u1", time.Unix(w.time, 0), number)
		w.must(err)
		w.write(queue.ToProcess, name, "u1", "a", file("a", text))
		w.settle()
	}
	write(7, "new")
	write(3, "old") // comes late: another sender had it in hand and put it back
	w.wantLog("a=new")
	write(8, "newest")
	w.wantLog("a=newest")
}

func TestADeletionOfWhatIsGoneOutlivesAFileThatComesLate(t *testing.T) {
	w := newWorld(t)
	w.put(queue.ToProcess, "u1", "a", file("a", "one"))
	w.put(queue.ToProcess, "u1", "a", deleted("a"))
	w.settle()
	w.time++
	late, err := queue.NewName("u1", time.Unix(w.time, 0), 1) // another sender has it in hand
	w.must(err)
	w.put(queue.ToProcess, "u1", "a", deleted("a"))
	w.settle()
	w.write(queue.ToProcess, late, "u1", "a", file("a", "two")) // and puts it back
	w.settle()
	w.wantLog("-a")
	w.want(queue.ToProcess)
	w.put(queue.ToProcess, "u1", "a", file("a", "three"))
	w.settle()
	w.wantLog("a=three")
}

func TestWhatAnEarlierRunLeftIsSentOnce(t *testing.T) {
	w := newWorld(t)
	sent := w.put(queue.ToProcess, "u1", "a", file("a", "one"))
	w.settle()
	w.must(os.Rename( // as if it had died before that
		filepath.Join(w.path, "EXPORT/DONE", sent.String()), filepath.Join(w.path, "EXPORT/PROCESSING", sent.String())))
	left := w.put(queue.Processing, "u2", "b", file("b", "two"))
	before, err := changelog.Newest(t.Context(), w.js, subject.ExportStream("old"), subject.ExportToProcess("old", "u1"))
	w.must(err)
	w.must(os.Chtimes(filepath.Join(w.path, "EXPORT/PROCESSING"), time.Time{}, time.Now().Add(-time.Minute)))
	w.settle()
	w.wantLog("a=one", "b=two")
	w.want(queue.Done, sent.String(), left.String())
	after, err := changelog.Newest(t.Context(), w.js, subject.ExportStream("old"), subject.ExportToProcess("old", "u1"))
	w.must(err)
	if before.Sequence != after.Sequence {
		t.Error("the change was sent twice")
	}
}

func TestFilesOfARunningClassicSenderAreLeftToIt(t *testing.T) {
	w := newWorld(t)
	busy := w.put(queue.Processing, "u1", "a", file("a", "one"))
	w.settle()
	w.want(queue.Processing, busy.String())
	w.wantLog()
}

func TestRefusedFileIsExplainedBesideTheQueue(t *testing.T) {
	w := newWorld(t)
	bad := w.put(queue.ToProcess, "u0", "x", zs.Part{Kind: zs.ZEXP, Export: zs.Bytes([]byte("ZEXP"))})
	broken := w.put(queue.ToProcess, "u3", "y", file("y", "?"))
	w.must(os.WriteFile(filepath.Join(w.path, "EXPORT/TO_PROCESS", broken.String()), []byte("no pickle"), 0o600))
	unknown := w.put(queue.ToProcess, "u4", "never", deleted("never"))
	good := w.put(queue.ToProcess, "u1", "a", file("a", "one"))
	w.settle()
	w.wantLog("a=one")
	w.want(queue.Failed, bad.String(), broken.String(), unknown.String())
	w.want(queue.Done, good.String())
	for name, want := range map[queue.Name]string{bad: "accept", broken: "byte 0", unknown: "never came"} {
		text, err := os.ReadFile(filepath.Join(w.path+".synchro/refused", name.String()+".txt"))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("the reason of %s is %q, %v", name, text, err)
		}
	}
}

func TestStrayFilesAndLocksStayWhereTheyAre(t *testing.T) {
	w := newWorld(t)
	names := []string{"README", "data_u_1700000000.000000_1.zs.lock", "data_a_b_1700000000.000000_1.zs", "data_u_nan_1.zs"}
	for _, name := range names {
		w.must(os.WriteFile(filepath.Join(w.path, "EXPORT/TO_PROCESS", name), nil, 0o600))
	}
	w.put(queue.ToProcess, "u1", "a", file("a", "one"))
	w.settle()
	w.wantLog("a=one")
	w.want(queue.ToProcess, names...)
}
