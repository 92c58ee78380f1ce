package importer

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// BenchmarkPoison fills a site of 6,110 objects, of which one in a thousand is refused, and
// measures until all that does not depend on those is there. Before each such run comes one
// in which nothing is refused:
//
//	go test -run '^$' -bench Poison -benchtime 10x ./services/importer
//
// One of those that are refused is a folder: the sixty pages below it are held.
func BenchmarkPoison(b *testing.B) {
	var clean, poisoned time.Duration
	for b.Loop() {
		clean += timeToFill(b, 0)
		poisoned += timeToFill(b, 60,
			"section-0/folder-7", "section-1/folder-3/page-0", "section-3/folder-9/page-59",
			"section-5/folder-0/page-7", "section-7/folder-5/page-30", "section-9/folder-9/page-12")
	}
	b.ReportMetric(clean.Seconds()/float64(b.N), "s/clean")
	b.ReportMetric(poisoned.Seconds()/float64(b.N), "s/poisoned")
}

// timeToFill imports into a site that refuses some paths, and with them holds others.
func timeToFill(b *testing.B, held int, refused ...string) time.Duration {
	b.Helper()
	w := newWorld(b)
	w.poison(fault.New(fault.Park, fault.Invalid, errors.New("poison")), refused...)
	w.site.Delay, w.site.OnApplied = time.Millisecond, nil
	want := int64(w.publishTree() - held - len(refused))
	start := time.Now()
	stop := w.start(w.importer())
	w.eventually("all that can arrive", func() bool { return w.site.Effects() == want })
	took := time.Since(start)
	stop()
	return took
}

// BenchmarkWorkers imports a tree of sections, folders and pages into a site that takes
// 10 ms for each object, with one worker and then with 64:
//
//	go test -run '^$' -bench Workers -benchtime 1x ./services/importer
//
// Sections and folders hold back what lies below them, and nothing else.
func BenchmarkWorkers(b *testing.B) {
	var one, many time.Duration
	for b.Loop() {
		one += timeToSettle(b, 1)
		many += timeToSettle(b, 64)
	}
	b.ReportMetric(one.Seconds()/float64(b.N), "s/one")
	b.ReportMetric(many.Seconds()/float64(b.N), "s/64")
	b.ReportMetric(one.Seconds()/many.Seconds(), "times-as-fast")
}

// timeToSettle imports a tree from the first look at the log until nothing is left.
func timeToSettle(b *testing.B, workers int) time.Duration {
	b.Helper()
	w := newWorld(b)
	w.site.Delay, w.site.Size, w.site.OnApplied = 10*time.Millisecond, 1, nil
	w.publishTree()
	start := time.Now()
	w.settle(func(o *Options) { o.Workers, o.Window = workers, 1000 })
	return time.Since(start)
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
