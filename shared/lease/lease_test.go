package lease

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

// ledger is a broker with the stream of a site, and a way to write into it.
type ledger struct {
	nc *nats.Conn
	js jetstream.JetStream
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	nc := brokertest.Conn(t)
	l := &ledger{nc, brokertest.JetStream(t, nc)}
	if err := stream.Ensure(t.Context(), l.js, stream.Ledger("paris")); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *ledger) lease() *Lease {
	return New(l.js, subject.LedgerStream("paris"), subject.ImportLease("paris"), slog.New(slog.DiscardHandler))
}

func (l *ledger) write(ctx context.Context, guard publish.Guard, count int) error {
	p := publish.New(l.nc, l.js, publish.Options{Guard: guard, Patience: 2 * time.Second})
	var msgs []*nats.Msg
	for i := range count {
		m := nats.NewMsg(subject.ImportDone("paris", strconv.Itoa(i)))
		m.Header.Set(nats.MsgIdHdr, nuid.Next())
		msgs = append(msgs, m)
	}
	_, err := p.Publish(ctx, msgs)
	return err
}

func acquire(t *testing.T, l *Lease) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := l.Acquire(ctx, nil); err != nil {
		t.Fatalf("acquire: %v", err)
	}
}

func TestAHolderWritesSinglesAndBatchesAndRenewsInBetween(t *testing.T) {
	l := newLedger(t)
	a := l.lease()
	acquire(t, a)
	for _, count := range []int{1, 3, 100, 2500} {
		if err := l.write(t.Context(), a, count); err != nil {
			t.Fatalf("write %d: %v", count, err)
		}
		if err := a.put(t.Context(), a.token); err != nil {
			t.Fatalf("renew: %v", err)
		}
	}
}

func TestAStandByWaitsAndIsTold(t *testing.T) {
	l := newLedger(t)
	a, b := l.lease(), l.lease()
	acquire(t, a)
	var told []Holder
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	err := b.Acquire(ctx, func(h Holder) { told = append(told, h) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("two have the lease: %v", err)
	}
	if len(told) != 1 || told[0].ID != a.self.ID {
		t.Fatalf("told %v, want once %v", told, a.self)
	}
	if err := b.Err(); !errors.Is(err, ErrLost) {
		t.Fatalf("the stand-by thinks that it may write: %v", err)
	}
}

func TestAReleasedLeaseIsFreeAtOnce(t *testing.T) {
	l := newLedger(t)
	a, b := l.lease(), l.lease()
	acquire(t, a)
	a.Release(t.Context())
	if h, err := b.try(t.Context()); h != nil || err != nil {
		t.Fatalf("not free: %v %v", h, err)
	}
}

func TestAStandByTakesOverWithinTenSecondsAndTheOldOneChangesNothing(t *testing.T) {
	l := newLedger(t)
	a, b := l.lease(), l.lease()
	acquire(t, a)
	start := time.Now()
	acquire(t, b)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the take-over took %v", took)
	}
	if err := a.Err(); !errors.Is(err, ErrLost) {
		t.Errorf("the old holder has not noticed: %v", err)
	}
	if err := a.Context(t.Context()).Err(); fault.Of(err).Code != fault.LeaseLost {
		t.Errorf("its context has not ended: %v", err)
	}
	a.expiry = time.Now().Add(time.Hour) // its clock stood still
	for _, count := range []int{1, 100} {
		if err := l.write(t.Context(), a, count); !errors.Is(err, publish.ErrExpectation) {
			t.Errorf("the old holder wrote %d: %v", count, err)
		}
	}
	if err := l.write(t.Context(), b, 100); err != nil {
		t.Errorf("the new one cannot write: %v", err)
	}
}

func TestKeepHoldsALeaseLongerThanItsTerm(t *testing.T) {
	l := newLedger(t)
	a, b := l.lease(), l.lease()
	a.term, b.term = 2*time.Second, 2*time.Second
	acquire(t, a)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	kept := make(chan error, 1)
	go func() { kept <- a.Keep(ctx) }()
	for ctx.Err() == nil {
		if h, err := b.try(ctx); h == nil && ctx.Err() == nil {
			t.Fatalf("the lease was free: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := <-kept; err != nil {
		t.Fatalf("keep: %v", err)
	}
}

func TestALeaseIsLostAtTheNextRenewalWhenItsStreamIsRemoved(t *testing.T) {
	l := newLedger(t)
	a := l.lease()
	a.term = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := a.Hold(ctx, ctx, nil, func(held context.Context) error {
		if err := l.js.DeleteStream(held, subject.LedgerStream("paris")); err != nil {
			return err
		}
		<-held.Done()
		if err := l.write(ctx, a, 1); fault.Of(err).Code != fault.LeaseLost {
			t.Errorf("a write afterwards: %v", err)
		}
		return nil
	})
	if !errors.Is(err, errGone) {
		t.Errorf("the work ends with %v", err)
	}
}

func TestTheLeaseOfADeadProcessIsFreeAtOnce(t *testing.T) {
	child := exec.CommandContext(t.Context(), "sleep", "60")
	if err := child.Start(); err != nil {
		t.Skipf("there is no program sleep: %v", err)
	}
	h := newHolder()
	if h.Space == "" {
		t.Skip("this system does not tell which processes there are")
	}
	h.PID, h.Started = child.Process.Pid, started(child.Process.Pid)
	if h.dead() {
		t.Fatal("a running process is taken for dead")
	}
	_ = child.Process.Kill()
	for end := time.Now().Add(5 * time.Second); !h.dead(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a killed process, not yet waited for, is taken for alive")
		}
	}
	_ = child.Wait()
	if !h.dead() {
		t.Fatal("a process that is gone is taken for alive")
	}
	h.Space = "another machine"
	if h.dead() {
		t.Fatal("the process of another machine is judged")
	}
	if self := newHolder(); self.dead() {
		t.Fatal("this process is taken for dead")
	}
}
