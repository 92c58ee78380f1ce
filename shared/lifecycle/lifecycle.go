// Package lifecycle runs the parts of a process and ends them in two steps: a soft
// stop (take no new work, finish what is under way) and, when that takes too long,
// a hard one (leave the rest; the logs bring it back). Both are bounded.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Part is something that runs until it is told to stop. Run returns nil when it
// stopped because soft ended, also when it had to leave work because hard ended.
type Part struct {
	Name string
	Run  func(soft, hard context.Context) error
}

// lastWait is how long parts may take to return after the hard stop.
const lastWait = 5 * time.Second

// Run runs all parts until ctx ends or one of them fails, which stops the others.
// Parts get grace to finish after that. The error joins those of all parts; parts
// that did not return in time are named.
func Run(ctx context.Context, grace time.Duration, parts ...Part) error {
	soft, stop := context.WithCancel(ctx)
	defer stop()
	hard, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	r := &run{left: map[string]bool{}}
	for _, p := range parts {
		r.start(soft, hard, stop, p)
	}
	select {
	case <-soft.Done():
	case <-r.allDone():
	}
	stop()
	if !r.wait(grace) {
		abandon()
		r.wait(lastWait)
	}
	return r.result()
}

type run struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	left map[string]bool
	errs []error
}

func (r *run) start(soft, hard context.Context, stop func(), p Part) {
	r.mu.Lock()
	r.left[p.Name] = true
	r.mu.Unlock()
	r.wg.Go(func() {
		err := p.Run(soft, hard)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.left, p.Name)
		if err != nil {
			r.errs = append(r.errs, fmt.Errorf("%s: %w", p.Name, err))
			stop()
		}
	})
}

func (r *run) allDone() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		r.wg.Wait()
		close(done)
	}()
	return done
}

func (r *run) wait(limit time.Duration) bool {
	select {
	case <-r.allDone():
		return true
	case <-time.After(limit):
		return false
	}
}

func (r *run) result() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := r.errs
	if len(r.left) > 0 {
		var names []string
		for name := range r.left {
			names = append(names, name)
		}
		errs = append(errs, fmt.Errorf("did not stop in time: %s", strings.Join(names, ", ")))
	}
	return errors.Join(errs...)
}
