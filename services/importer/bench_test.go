package importer

import (
	"fmt"
	"testing"
	"time"

	"synchro.example/shared/content"
)

// BenchmarkWorkers imports a tree of sections, folders and pages into a site that takes
// 10 ms for each object:
//
//	go test -run '^$' -bench Workers -benchtime 1x ./services/importer
//
// Sections and folders hold back what lies below them, and nothing else.
func BenchmarkWorkers(b *testing.B) {
	for _, workers := range []int{1, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				w := newWorld(b)
				w.site.Delay, w.site.Size = 10*time.Millisecond, 1
				w.site.OnApplied = nil
				count := w.publishTree()
				b.StartTimer()
				start := time.Now()
				w.settle(func(o *Options) { o.Workers, o.Window = workers, 1000 })
				b.ReportMetric(float64(count)/time.Since(start).Seconds(), "objects/s")
			}
		})
	}
}

// publishTree makes 10 sections of 10 folders of 60 pages each.
func (w *world) publishTree() (count int) {
	var changes []*content.Change
	for s := range 10 {
		section := fmt.Sprintf("section-%d", s)
		changes = append(changes, w.put(section, folder()))
		for f := range 10 {
			inner := fmt.Sprintf("%s/folder-%d", section, f)
			changes = append(changes, w.put(inner, folder()))
			for p := range 60 {
				changes = append(changes, w.put(fmt.Sprintf("%s/page-%d", inner, p), page("text")))
			}
		}
	}
	w.publish(changes...)
	return len(changes)
}
