package sender

import (
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/services/bridge/queue"
	"synchro.example/shared/changelog"
	"synchro.example/shared/signature"
	"synchro.example/shared/subject"
)

func TestWhatAQueueSendsIsSignedAndRemovalsAreToo(t *testing.T) {
	w := newWorld(t)
	k, err := signature.Create(filepath.Join(t.TempDir(), "key"))
	w.must(err)
	w.key = k
	w.put(queue.ToProcess, "u1", "news/a", file("news/a", "one"))
	w.put(queue.ToProcess, "u2", "news/b", file("news/b", "two"))
	w.put(queue.ToProcess, "u2", "news/b", deleted("news/b"))
	w.settle()
	rule, count := signature.OfSource("old", []string{k.Public()}), 0
	w.must(changelog.Scan(t.Context(), w.js, subject.ExportStream("old"), changelog.Options{}, func(m jetstream.Msg) error {
		count++
		return rule.Check(m.Subject(), m.Headers(), m.Data())
	}))
	if count != 3 {
		t.Errorf("the log has %d changes", count)
	}
}
