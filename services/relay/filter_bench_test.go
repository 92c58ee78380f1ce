package relay

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/subject"
)

// fill gives the source many objects, in containers of a hundred, every other one private.
func (w *scene) fill(objects int) {
	w.t.Helper()
	var batch []*nats.Msg
	flush := func() {
		_, err := w.log.Publish(context.Background(), batch)
		must(w.t, err)
		batch = nil
	}
	for i := range objects {
		o := content.Object{UID: fmt.Sprintf("d%d", i), Name: fmt.Sprintf("d%d", i), Type: "Document"}
		o.Meta = map[string]any{"title": fmt.Sprint("Page ", i), "review_state": []string{"published", "private"}[i%2]}
		if o.Path = o.Name; i%100 > 0 {
			o.ParentUID = fmt.Sprintf("d%d", i/100*100)
			o.Path = o.ParentUID + "/" + o.Name
		}
		id, err := uuid.NewV7()
		must(w.t, err)
		c := &content.Change{ID: id.String(), Source: w.source(), Kind: content.Modified, Object: o, Version: w.clock.Next(), Digest: content.DigestOf(nil)}
		m, err := envelope.Message(subject.ExportToProcess(w.source(), o.UID), c, "", "")
		must(w.t, err)
		if batch = append(batch, m); len(batch) == 1000 {
			flush()
		}
	}
	flush()
}

// BenchmarkAChangedExpression applies another expression to 50,000 objects, of which half
// enter the channel and half leave it.
func BenchmarkAChangedExpression(b *testing.B) {
	w := newScene(b, brokertest.Conn(b), "public")
	w.fill(50_000)
	states := []string{"published", "private"}
	run := func(i int) {
		r := w.relay(fmt.Sprintf("python: object.review_state == '%s'", states[i%2]))
		settle(b, r)
	}
	run(1)
	b.ResetTimer()
	for i := range b.N {
		run(i)
	}
}

// BenchmarkAnUnchangedExpression starts a relay again on 50,000 objects.
func BenchmarkAnUnchangedExpression(b *testing.B) {
	w := newScene(b, brokertest.Conn(b), "public")
	w.fill(50_000)
	settle(b, w.relay("python: object.review_state == 'published'"))
	b.ResetTimer()
	for range b.N {
		settle(b, w.relay("python: object.review_state == 'published'"))
	}
}
