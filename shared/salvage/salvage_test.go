package salvage_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/changelog"
	"synchro.example/shared/salvage"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

var name = subject.ExportStream("hq")

func subj(i int) string { return subject.ExportToProcess("hq", fmt.Sprintf("uid-%d", i)) }

type world struct {
	*testing.T
	dir    string
	broker *embedded.Server
	js     jetstream.JetStream
}

// newWorld is a broker with n messages, to begin with.
func newWorld(t *testing.T, n int) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir()}
	w.start()
	w.must(stream.Ensure(t.Context(), w.js, stream.Export("hq")))
	for i := range n {
		w.must(w.put(i))
	}
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) start() {
	w.broker = brokertest.StartWith(w.T, embedded.Options{Dir: w.dir, NoSync: true})
	w.js = brokertest.JetStream(w.T, brokertest.Connect(w.T, w.broker))
}

func (w *world) put(i int) error {
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Second)
	defer cancel()
	m := nats.NewMsg(subj(i))
	m.Data = fmt.Appendf(nil, "%500d", i)
	m.Header.Set(nats.MsgIdHdr, nuid.Next())
	_, err := w.js.PublishMsg(ctx, m)
	return err
}

// damage flips bytes in the messages while the broker is away.
func (w *world) damage(flips int) {
	w.Helper()
	w.broker.Close()
	files, err := filepath.Glob(filepath.Join(w.dir, "jetstream", "*", "streams", name, "msgs", "*.blk"))
	w.must(err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		w.must(err)
		for n := 0; n < flips; {
			if i := rand.IntN(len(b)); bytes.HasPrefix(b[i:], []byte("     ")) { // in what a message holds
				b[i] ^= 0x20
				n++
			}
		}
		w.must(os.WriteFile(f, b, 0o600))
	}
	w.start()
}

func (w *world) read() (read map[string]string, err error) {
	read = map[string]string{}
	err = changelog.Scan(w.Context(), w.js, name, changelog.Options{Whole: true}, func(m jetstream.Msg) error {
		read[m.Subject()] = string(m.Data())
		return nil
	})
	return read, err
}

func TestADamagedStreamIsMadeAnewWithWhatCanBeReadAndTakesEverything(t *testing.T) {
	for _, flips := range []int{1, 2, 9} {
		w := newWorld(t, 100)
		w.damage(flips)
		doctor := &salvage.Doctor{JS: w.js, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
		var before, after map[string]string
		calls := 0
		w.must(doctor.Reading(t.Context(), name, func() (err error) {
			if calls++; calls == 1 {
				before, err = w.read()
				return err
			}
			after, err = w.read()
			return err
		}))
		if calls != 2 || len(after) != len(before) || len(after) == 100 {
			t.Fatalf("%d flips: read %d times, %d messages and then %d", flips, calls, len(before), len(after))
		}
		for subj, data := range before {
			if after[subj] != data {
				t.Fatalf("%d flips: %s was %q and is %q", flips, subj, data, after[subj])
			}
		}
		for i := range 100 {
			w.must(w.put(i))
		}
		if all, err := w.read(); err != nil || len(all) != 100 {
			t.Fatalf("%d flips: %d messages are there, %v", flips, len(all), err)
		}
		w.broker.Close()
	}
}

func TestAWholeStreamIsLeftAsItIs(t *testing.T) {
	w := newWorld(t, 20)
	s, err := w.js.Stream(t.Context(), name)
	w.must(err)
	created := s.CachedInfo().Created
	doctor := &salvage.Doctor{JS: w.js, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	w.must(doctor.Examine(t.Context(), name, "NONE"))
	w.must(doctor.Check(t.Context(), name, "NONE"))
	info, err := s.Info(t.Context())
	w.must(err)
	if !info.Created.Equal(created) || info.State.Msgs != 20 {
		t.Errorf("%+v", info)
	}
}
