package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
	"synchro.example/tests/fleet"
)

// TestFullStreamsRefuseAndLoseNothing gives each stream in turn no room, sends a burst,
// and makes room again.
func TestFullStreamsRefuseAndLoseNothing(t *testing.T) {
	t.Parallel()
	r := begin(t, 81, fleet.Options{Receivers: 2})
	r.fill(60)
	r.start()
	r.settle(30 * time.Second)
	for _, name := range []string{sourceLog, channelLog, ledgerOf("s1")} {
		s, err := r.in.JS.Stream(r.ctx, name)
		r.must(err)
		info, err := s.Info(r.ctx)
		r.must(err)
		r.limit(name, int64(info.State.Bytes)+2000)
		r.must(r.source.Fill(60))
		r.work(tier(60, 300), 100)
		if len(r.differences()) == 0 {
			t.Fatalf("%s took everything, although it is full", name)
		}
		r.limit(name, -1)
		start := time.Now()
		r.settle(60 * time.Second)
		t.Logf("%s: equal %v after there was room", name, time.Since(start).Round(100*time.Millisecond))
		r.hist.Count("streams filled", 1)
	}
	r.clean(time.Minute)
}

func (r *run) limit(name string, bytes int64) {
	r.t.Helper()
	s, err := r.in.JS.Stream(r.ctx, name)
	r.must(err)
	c := s.CachedInfo().Config
	c.MaxBytes = bytes
	r.hist.Add("fault", "limit", name, bytes)
	_, err = r.in.JS.UpdateStream(r.ctx, c)
	r.must(err)
}

// TestSameChangesSentAgain publishes everything that the channel's log has once more,
// within and after the time in which the broker itself would notice, and from a second
// relay: nothing takes effect twice.
func TestSameChangesSentAgain(t *testing.T) {
	t.Parallel()
	r := begin(t, 82, fleet.Options{Receivers: 2})
	second := r.fleet.Second("relay")
	r.fill(150)
	r.start()
	r.must(r.fleet.Start(r.ctx, second))
	r.settle(30 * time.Second)
	before := r.effects()
	r.again(true)
	time.Sleep(stream.Duplicates + time.Second)
	r.again(true)
	r.again(false) // under other ids: nobody but the ledger can know them
	r.eventually(30*time.Second, "all copies are taken", func() bool {
		pending, _ := r.in.InFlight(r.ctx, r.fleet.Sites())
		return pending == 0
	})
	time.Sleep(time.Second)
	if after := r.effects(); after != before {
		t.Errorf("%d effects became %d by copies", before, after)
	}
	r.hist.Count("superseded", r.hist.Counts()["copies sent"]*r.fleet.Receivers)
	r.work(60, 60)
	r.clean(time.Minute)
}

// again sends every change of the channel's log once more, under the ids they have or
// under new ones.
func (r *run) again(sameIDs bool) {
	r.t.Helper()
	heads, err := r.in.Published(r.ctx)
	r.must(err)
	for uid := range heads {
		s, err := r.in.JS.Stream(r.ctx, channelLog)
		r.must(err)
		m, err := s.GetLastMsgForSubject(r.ctx, subject.ImportToProcess(fleet.Channel, uid))
		r.must(err)
		out := &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}
		if !sameIDs {
			out.Header.Set(nats.MsgIdHdr, nuid.Next())
		}
		for key := range out.Header { // what belongs to the batch that it was stored with
			if strings.HasPrefix(key, "Nats-Batch-") || key == jetstream.ExpectedLastSubjSeqHeader {
				out.Header.Del(key)
			}
		}
		_, err = r.in.JS.PublishMsg(r.ctx, out)
		r.must(err)
		r.hist.Count("copies sent", 1)
	}
}
