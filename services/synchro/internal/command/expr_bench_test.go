package command

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/publish"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/shared/tales"
	"synchro.example/shared/version"
)

// BenchmarkExpr tries an expression on the log of a source with 50,000 objects, as
// `synchro expr` does.
func BenchmarkExpr(b *testing.B) {
	const objects = 50_000
	nc := brokertest.Conn(b)
	js := brokertest.JetStream(b, nc)
	if err := stream.Ensure(b.Context(), js, stream.Export("hq")); err != nil {
		b.Fatal(err)
	}
	log, clock := publish.New(nc, js, publish.Options{}), version.NewClock(0, nil)
	var batch []*nats.Msg
	for i := range objects {
		name := fmt.Sprintf("page-%d.html", i)
		c := &content.Change{
			ID: uuid.NewString(), Source: "hq", Kind: content.Modified, Version: clock.Next(), Digest: content.DigestOf(nil),
			Object: content.Object{UID: name, Name: name, Path: name, Type: "Document", Meta: map[string]any{"review_state": "published"}},
		}
		m, err := envelope.Message(subject.ExportToProcess("hq", name), c, "", "")
		if err != nil {
			b.Fatal(err)
		}
		if batch = append(batch, m); len(batch) == 1000 {
			if _, err := log.Publish(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = nil
		}
	}
	e, err := tales.Compile("python: object.review_state == 'published' and object.getId().endswith('.html')")
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		all, err := logged(b.Context(), js, "hq")
		if err != nil {
			b.Fatal(err)
		}
		if _, n := judge(e, all, trial{}, ""); n.matching != objects {
			b.Fatalf("it meets %d of %d", n.matching, n.objects)
		}
	}
}
