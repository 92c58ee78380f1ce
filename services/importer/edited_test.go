package importer

import (
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/stream"
)

func TestAnEditThatTheExporterHasNotSentIsNotTouched(t *testing.T) {
	for name, next := range map[string]func(w *world) *content.Change{
		"by a newer state": func(w *world) *content.Change { return w.put("a", page("newer")) },
		"by a move":        func(w *world) *content.Change { return w.move("a", "b", page("first")) },
		"by a removal":     func(w *world) *content.Change { return w.remove("a", content.TypeFile) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.must(stream.Ensure(t.Context(), w.js, stream.Export("paris")))
			w.publish(w.put("a", page("first")))
			w.settle(onCircle, w.inspected)
			w.must(w.site.Put("a", page("edited here")))
			change := next(w)
			w.publish(change)
			w.settle(onCircle, w.inspected)
			w.wantFailures(change.Object.Path + " edited")
			w.wantData("a", "edited here")
		})
	}
}
