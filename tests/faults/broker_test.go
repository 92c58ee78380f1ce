package faults

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/subject"
	"synchro.example/tests/fleet"
)

// The streams of a fleet.
var (
	sourceLog  = subject.ExportStream(fleet.Source)
	channelLog = subject.ImportStream(fleet.Channel)
)

func ledgerOf(site string) string { return subject.LedgerStream(site) }

func (r *run) deleteStream(name string) {
	r.t.Helper()
	r.hist.Add("fault", "delete", name, nil)
	r.hist.Count("damages", 1)
	r.must(r.in.JS.DeleteStream(r.ctx, name))
}

func (r *run) purgeStream(name string) {
	r.t.Helper()
	r.hist.Add("fault", "purge", name, nil)
	r.hist.Count("damages", 1)
	s, err := r.in.JS.Stream(r.ctx, name)
	r.must(err)
	r.must(s.Purge(r.ctx))
}

func (r *run) deleteConsumer(stream, consumer string) {
	r.t.Helper()
	r.hist.Add("fault", "delete consumer", consumer, stream)
	r.hist.Count("damages", 1)
	r.must(r.in.JS.DeleteConsumer(r.ctx, stream, consumer))
}

// reconcileEvery is the period of runs that damage what the broker has.
const reconcileEvery = "reconcile: 3s\n"

// TestStreamsAndConsumersDeletedWhileAllRuns takes everything from the broker that can be
// taken through its interface, one after the other, while the source changes.
func TestStreamsAndConsumersDeletedWhileAllRuns(t *testing.T) {
	t.Parallel()
	r := begin(t, 31, fleet.Options{Receivers: 2, Top: reconcileEvery})
	r.blind()
	r.fill(150)
	r.start()
	r.settle(30 * time.Second)
	for _, fault := range []func(){
		func() { r.deleteStream(channelLog) },
		func() { r.deleteStream(ledgerOf("s1")) },
		func() { r.deleteStream(sourceLog) },
		func() { r.purgeStream(channelLog) },
		func() { r.purgeStream(ledgerOf("s2")) },
		func() { r.purgeStream(sourceLog) },
		func() { r.deleteConsumer(channelLog, subject.SiteConsumer("s1")) },
		func() { r.deleteConsumer(sourceLog, subject.RelayConsumer(fleet.Channel)) },
		func() { r.deleteStream(subject.ErrorStream) },
		func() { r.deleteStream(subject.ReplayStream) },
	} {
		fault()
		r.gather(tier(15, 100), 40)
		r.settle(40 * time.Second)
		r.hist.Count("repaired", 1)
	}
	r.clean(30 * time.Second)
}

// TestDeletedStreamIsRepairedWithinOnePeriod deletes streams while nothing changes. The period
// is longer than it waits: each is missed by who has its lease, or a consumer of it.
func TestDeletedStreamIsRepairedWithinOnePeriod(t *testing.T) {
	t.Parallel()
	r := begin(t, 32, fleet.Options{Receivers: 2, Top: "reconcile: 2m\n"})
	r.blind()
	r.fill(100)
	r.start()
	r.settle(30 * time.Second)
	for _, name := range []string{channelLog, sourceLog, ledgerOf("s1")} {
		r.eventually(20*time.Second, "the stream "+name+" is filled", func() bool { return r.objects(name) == r.source.Len() })
		r.deleteStream(name)
		start := time.Now()
		r.eventually(20*time.Second, "the stream "+name+" is filled again", func() bool { return r.objects(name) == r.source.Len() })
		t.Logf("%s was there again after %v", name, time.Since(start).Round(100*time.Millisecond))
		r.hist.Count("repaired", 1)
	}
	r.clean(20 * time.Second)
}

// objects counts the objects that a stream has, without leases; none where there is no
// stream.
func (r *run) objects(stream string) int {
	s, err := r.in.JS.Stream(r.ctx, stream)
	if err != nil {
		return 0
	}
	info, err := s.Info(r.ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return 0
	}
	n := 0
	for subj := range info.State.Subjects {
		if !subject.IsAside(subj) {
			n++
		}
	}
	return n
}
