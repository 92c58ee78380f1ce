package importer

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/fault"
)

// dies applies what the log has and is killed between the effect and the ledger.
func (w *world) dies(change ...func(*Options)) {
	w.t.Helper()
	ctx, kill := context.WithCancel(w.t.Context())
	before := w.site.OnApplied
	w.site.OnApplied = func(context.Context, content.Op) error {
		kill()
		time.Sleep(300 * time.Millisecond) // the result comes when nobody listens any more
		return nil
	}
	w.must(w.importer(change...).Run(ctx, ctx))
	w.site.OnApplied = before
}

func TestWhatWasDoneBeforeACrashAndNotRecordedGoesWhenItIsRemoved(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("page", contenttest.Leaf("text", 1)))
	w.dies()
	w.want("page")
	w.publish(w.remove("page", content.TypeFile))
	w.settle(w.inspected)
	w.want()
	w.wantFailures()
}

func TestWhatWasDoneBeforeACrashAndNotRecordedMoves(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("page", contenttest.Leaf("text", 1)))
	w.dies()
	w.want("page")
	w.uids["moved"] = w.uids["page"]
	w.publish(w.put("moved", contenttest.Leaf("text", 1)))
	w.settle(w.inspected)
	w.want("moved")
	w.wantFailures()
}

func TestAFolderGoesWithWhatWasDoneInItBeforeACrash(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("news", contenttest.Container(1)))
	w.settle(w.inspected)
	w.publish(w.put("news/page", contenttest.Leaf("text", 1)))
	w.dies()
	w.want("news", "news/page")
	w.publish(w.remove("news/page", content.TypeFile), w.remove("news", content.TypeFolder))
	w.settle(w.inspected)
	w.want()
	w.wantFailures()
}

func TestWhatHadSteppedAsideBeforeACrashGoesToWhereItBelongs(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("page", contenttest.Leaf("text", 1)))
	w.settle(w.inspected)
	aside := w.put("page", contenttest.Leaf("text", 1)) // its payloads say how it is called otherwise
	aside.Object.Name = asideName + "page"
	w.publish(aside)
	w.dies()
	w.want(aside.Object.Name)
	w.uids["moved"] = w.uids["page"]
	w.publish(w.put("moved", contenttest.Leaf("text", 1)))
	w.settle(w.inspected)
	w.want("moved")
	w.wantFailures()
}

func TestWhatWasDoneAndGivenUpAllTheSameMoves(t *testing.T) {
	w := newWorld(t)
	var broken atomic.Bool
	broken.Store(true)
	w.site.OnApplied = func(context.Context, content.Op) error {
		if broken.Load() {
			return fault.Errorf(fault.Retry, fault.Unknown, "it was done, and nobody can say so")
		}
		return nil
	}
	w.publish(w.put("page", contenttest.Leaf("text", 1)))
	w.start(w.importer(w.inspected))
	w.eventually("it is given up", func() bool { return len(w.failures()) == 1 })
	w.want("page")
	broken.Store(false)
	w.uids["moved"] = w.uids["page"]
	w.publish(w.put("moved", contenttest.Leaf("text", 1)))
	w.eventually("it has moved and not stayed", func() bool { return w.has("moved") && len(w.failures()) == 0 })
}
