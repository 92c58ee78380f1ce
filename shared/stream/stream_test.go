package stream_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/fault"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

func all() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		stream.Export("hq"), stream.Import("public"), stream.Ledger("paris"), stream.Errors(), stream.Replay(), stream.Blobs(), stream.BlobMarks(),
	}
}

func TestEnsureIsIdempotentAndConcurrent(t *testing.T) {
	js := brokertest.JetStream(t, brokertest.Conn(t))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := stream.Ensure(t.Context(), js, all()...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, c := range all() {
		s, err := js.Stream(t.Context(), c.Name)
		if err != nil {
			t.Fatal(err)
		}
		have := s.CachedInfo().Config
		if have.MaxMsgsPerSubject != 1 || have.Discard != jetstream.DiscardNew || have.Storage != jetstream.FileStorage ||
			have.AllowDirect == (c.Name == subject.BlobMarkStream) || have.MaxConsumers <= 0 || have.Replicas != 1 {
			t.Errorf("%s: %+v", c.Name, have)
		}
	}
}

func TestEnsureKeepsMessagesAndTheOperatorsSettings(t *testing.T) {
	js := brokertest.JetStream(t, brokertest.Conn(t))
	ctx := t.Context()
	older := stream.Export("hq", stream.MaxBytes(1<<20))
	older.AllowAtomicPublish = false
	older.Metadata = map[string]string{"team": "web"}
	if _, err := js.CreateStream(ctx, older); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, subject.ExportToProcess("hq", "a"), []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := stream.Ensure(ctx, js, stream.Export("hq")); err != nil {
		t.Fatal(err)
	}
	check := func(maxBytes int64) {
		t.Helper()
		s, err := js.Stream(ctx, subject.ExportStream("hq"))
		if err != nil {
			t.Fatal(err)
		}
		info := s.CachedInfo()
		if info.State.Msgs != 1 || !info.Config.AllowAtomicPublish || info.Config.MaxBytes != maxBytes || info.Config.Metadata["team"] != "web" {
			t.Errorf("%+v", info)
		}
	}
	check(1 << 20)
	if err := stream.Ensure(ctx, js, stream.Export("hq", stream.MaxBytes(2<<20))); err != nil {
		t.Fatal(err)
	}
	check(2 << 20)
}

func TestEnsureRefusesAStreamThatIsSomethingElse(t *testing.T) {
	for what, change := range map[string]func(*jetstream.StreamConfig){
		"storage":              func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"retention":            func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
		"messages per subject": func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 10 },
		"subjects":             func(c *jetstream.StreamConfig) { c.Subjects = []string{"orders.>"} },
	} {
		t.Run(what, func(t *testing.T) {
			js := brokertest.JetStream(t, brokertest.Conn(t))
			other := stream.Import("public")
			change(&other)
			if _, err := js.CreateStream(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			err := stream.Ensure(t.Context(), js, stream.Import("public"))
			if f := fault.Of(err); f.Class != fault.Stop || f.Code != fault.Misconfigured ||
				!strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "IMPORT_public") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEnsureRefusesSubjectsThatAnotherStreamOwns(t *testing.T) {
	js := brokertest.JetStream(t, brokertest.Conn(t))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ALL", Subjects: []string{"synchro.>"}}); err != nil {
		t.Fatal(err)
	}
	if err := stream.Ensure(t.Context(), js, stream.Errors()); fault.Of(err).Class != fault.Stop {
		t.Errorf("got %v", err)
	}
}

func TestANewMessageReplacesTheOldOneButAChunkStays(t *testing.T) {
	js := brokertest.JetStream(t, brokertest.Conn(t))
	ctx := t.Context()
	if err := stream.Ensure(ctx, js, all()...); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := js.Publish(ctx, subject.ImportDone("paris", "a"), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	chunk := subject.Blob([32]byte{1})
	if _, err := js.Publish(ctx, chunk, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, chunk, []byte("x")); err == nil {
		t.Error("a chunk was stored twice")
	}
}
