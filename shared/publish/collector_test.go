package publish_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
)

func closeIt(t *testing.T, c *publish.Collector) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.Close(ctx)
}

func TestCollectorStoresInOrderAndTellsInOrder(t *testing.T) {
	l := newLog(t, brokertest.Start(t), nil)
	c := publish.NewCollector(l.publisher(publish.Options{}), publish.CollectorOptions{})
	var told []uint64
	for i, m := range messages(3000, "a") {
		err := c.Enqueue(t.Context(), m, func(seq uint64, err error) {
			if err != nil {
				t.Error(err)
			}
			told = append(told, seq)
		})
		if err != nil {
			t.Fatal(i, err)
		}
	}
	var stored uint64
	if err := c.Then(t.Context(), func(err error) { stored = l.info().State.LastSeq }); err != nil {
		t.Fatal(err)
	}
	if err := closeIt(t, c); err != nil {
		t.Fatal(err)
	}
	if len(told) != 3000 || stored != 3000 {
		t.Fatalf("told %d times; %d stored at the barrier", len(told), stored)
	}
	for i, seq := range told {
		if seq != uint64(i+1) {
			t.Fatalf("callback %d got sequence %d", i, seq)
		}
	}
	if err := c.Enqueue(t.Context(), nil, nil); !errors.Is(err, publish.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := closeIt(t, c); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestCollectorGathersConcurrentCallers(t *testing.T) {
	l := newLog(t, brokertest.StartWith(t, embedded.Options{}), nil)
	c := publish.NewCollector(l.publisher(publish.Options{}), publish.CollectorOptions{})
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 100 {
				stored := make(chan error, 1)
				m := message(fmt.Sprint(w), fmt.Sprint(w, "-", i))
				if err := c.Enqueue(t.Context(), m, func(_ uint64, err error) { stored <- err }); err != nil {
					t.Error(err)
					return
				}
				if i%25 == 0 {
					if err := <-stored; err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for w := range 16 {
		if _, id := l.newest(fmt.Sprint(w)); id != fmt.Sprint(w, "-99") {
			t.Errorf("writer %d: newest is %s", w, id)
		}
	}
	if err := closeIt(t, c); err != nil {
		t.Fatal(err)
	}
}

func TestFlushHurryAndALoneBarrierDoNotWait(t *testing.T) {
	l := newLog(t, brokertest.Start(t), nil)
	c := publish.NewCollector(l.publisher(publish.Options{}), publish.CollectorOptions{MaxWait: time.Hour})
	ran := make(chan error, 1)
	if err := c.Then(t.Context(), func(err error) { ran <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if err := c.Enqueue(t.Context(), message("a", "1"), nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, id := l.newest("a"); id != "1" {
		t.Errorf("newest is %q", id)
	}
	if err := c.Enqueue(t.Context(), message("a", "2"), func(_ uint64, err error) { ran <- err }); err != nil {
		t.Fatal(err)
	}
	if err := c.Hurry(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if err := closeIt(t, c); err != nil {
		t.Fatal(err)
	}
}

func TestAfterAFailureTheCollectorStoresNothingMore(t *testing.T) {
	l := newLog(t, brokertest.Start(t), nil)
	c := publish.NewCollector(l.publisher(publish.Options{}), publish.CollectorOptions{})
	bad := message("a", "1")
	bad.Data = make([]byte, 2<<20)
	errs := make(chan error, 4)
	enqueue := func(f func(done func(uint64, error)) error) {
		t.Helper()
		if err := f(func(_ uint64, err error) { errs <- err }); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	enqueue(func(done func(uint64, error)) error { return c.Enqueue(ctx, nil, done) })
	enqueue(func(done func(uint64, error)) error { return c.Enqueue(ctx, bad, done) })
	enqueue(func(done func(uint64, error)) error { return c.Enqueue(ctx, nil, done) })
	enqueue(func(done func(uint64, error)) error { return c.Enqueue(ctx, message("b", "1"), done) })
	if err := c.Flush(ctx); fault.Of(err).Code != fault.Invalid {
		t.Errorf("Flush: %v", err)
	}
	for i := range 4 {
		if err := <-errs; (err == nil) != (i == 0) {
			t.Errorf("callback %d got %v", i, err)
		}
	}
	if err := closeIt(t, c); err == nil || !strings.Contains(err.Error(), "2 messages are not stored") {
		t.Errorf("Close: %v", err)
	}
}

func TestCollectorHoldsBackWhileTheBrokerIsAway(t *testing.T) {
	s := brokertest.Start(t)
	l := newLog(t, s, nil)
	c := publish.NewCollector(l.publisher(publish.Options{}), publish.CollectorOptions{MaxMessages: 10, MaxBatches: 2})
	s.Stop()
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err = c.Enqueue(ctx, message(fmt.Sprint(n), fmt.Sprint(n)), nil)
		cancel()
	}
	if !errors.Is(err, context.DeadlineExceeded) || n > 31 {
		t.Errorf("after %d messages: %v", n, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	err = c.Close(ctx)
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprintf("%d messages are not stored", n-1)) {
		t.Errorf("Close: %v", err)
	}
	if time.Since(start) > 2*time.Second {
		t.Errorf("Close took %v", time.Since(start))
	}
}

func TestCollectorGoesOnWhenTheBrokerIsBack(t *testing.T) {
	s := brokertest.Start(t)
	l := newLog(t, s, nil)
	c := publish.NewCollector(l.publisher(publish.Options{}), publish.CollectorOptions{MaxMessages: 100})
	go func() {
		for range 3 {
			time.Sleep(30 * time.Millisecond)
			if err := s.Restart(); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range 50 {
		for _, m := range messages(40, fmt.Sprint(i)) {
			if err := c.Enqueue(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err := closeIt(t, c); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	l.has(40, "49")
}
