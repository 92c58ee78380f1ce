package lifecycle

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFailureStopsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		err := Run(t.Context(), time.Second,
			Part{"bad", func(context.Context, context.Context) error { return boom }},
			Part{"good", func(soft, _ context.Context) error { <-soft.Done(); return nil }},
		)
		if !errors.Is(err, boom) || !strings.Contains(err.Error(), "bad: boom") {
			t.Errorf("got %v", err)
		}
	})
}

func TestSoftThenHard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var softAt, hardAt time.Duration
		time.AfterFunc(time.Second, cancel)
		err := Run(ctx, 10*time.Second, Part{"slow", func(soft, hard context.Context) error {
			<-soft.Done()
			softAt = time.Since(start)
			<-hard.Done()
			hardAt = time.Since(start)
			return nil
		}})
		if err != nil || softAt != time.Second || hardAt != 11*time.Second {
			t.Errorf("soft at %v, hard at %v, error %v", softAt, hardAt, err)
		}
	})
}

func TestAPartThatNeverEndsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		release := make(chan struct{})
		err := Run(ctx, time.Second, Part{"stuck", func(context.Context, context.Context) error { <-release; return nil }})
		if err == nil || !strings.Contains(err.Error(), "did not stop in time: stuck") {
			t.Errorf("got %v", err)
		}
		close(release)
	})
}

func TestPartsThatEndByThemselves(t *testing.T) {
	err := Run(t.Context(), time.Second, Part{"short", func(context.Context, context.Context) error { return nil }})
	if err != nil {
		t.Error(err)
	}
}
