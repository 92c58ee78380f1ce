package plant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"sync"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Script says what a site does about changes, by the site's name. The file is read again
// whenever it changed.
type Script map[string]Behaviour

// Behaviour is that of one site. The zero value is a site that works.
type Behaviour struct {
	// Down refuses everything, as a site that is not there.
	Down bool `json:"down,omitempty"`
	// Poison is a pattern of paths that cannot be applied.
	Poison string `json:"poison,omitempty"`
	// FailBefore and FailAfter are the shares of changes that fail before or after they
	// have taken effect; both may be tried again.
	FailBefore float64 `json:"fail_before,omitempty"`
	FailAfter  float64 `json:"fail_after,omitempty"`
	// Delay is how long each change takes.
	Delay time.Duration `json:"delay,omitempty"`
}

// Target wraps a target in what the environment asks for.
func Target(site string, t content.Target, err error) (content.Target, error) {
	if err != nil {
		return t, err
	}
	switch {
	case On("drop-one-in-thousand"):
		return &dropping{Target: t}, nil
	case On("swap-two-changes"):
		return &swapping{Target: t, held: map[string]content.Op{}}, nil
	}
	file := os.Getenv(ScriptVariable)
	if file == "" {
		return t, nil
	}
	return &scripted{Target: t, site: site, file: file}, nil
}

// scripted is a site with moods. What it does it does for real.
type scripted struct {
	content.Target
	site, file string

	mu   sync.Mutex
	read time.Time
	now  Behaviour
}

func (s *scripted) behaviour() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.file)
	if err != nil || info.ModTime().Equal(s.read) {
		return s.now
	}
	b, err := os.ReadFile(s.file)
	var script Script
	if err == nil && json.Unmarshal(b, &script) == nil {
		s.now, s.read = script[s.site], info.ModTime()
	}
	return s.now
}

func (s *scripted) Apply(ctx context.Context, ops []content.Op) []error {
	b := s.behaviour()
	errs := make([]error, len(ops))
	if b.Down {
		for i := range errs {
			errs[i] = fault.OfSite(fault.Retry, fault.TargetDown, errors.New("503: the site is down"))
		}
		return errs
	}
	var pass []content.Op
	var at []int
	for i, op := range ops {
		if errs[i] = b.refusal(op); errs[i] == nil {
			pass, at = append(pass, op), append(at, i)
		}
	}
	time.Sleep(b.Delay * time.Duration(len(pass)))
	for n, err := range s.Target.Apply(ctx, pass) {
		if err == nil && rand.Float64() < b.FailAfter {
			err = fault.Errorf(fault.Retry, fault.Unknown, "504: no answer, although it was done")
		}
		errs[at[n]] = err
	}
	return errs
}

func (b *Behaviour) refusal(op content.Op) error {
	path := op.To
	if path == "" {
		path = op.From
	}
	if b.Poison != "" && regexp.MustCompile(b.Poison).MatchString(path) {
		return fault.Errorf(fault.Park, fault.Invalid, "400: %s is poison", path)
	}
	if rand.Float64() < b.FailBefore {
		return fmt.Errorf("500: it went wrong at %s", path)
	}
	return nil
}

// dropping says of one in a thousand that it is done.
type dropping struct {
	content.Target
	mu sync.Mutex
	n  int
}

func (d *dropping) Apply(ctx context.Context, ops []content.Op) []error {
	errs := make([]error, len(ops))
	for i, op := range ops {
		d.mu.Lock()
		d.n++
		drop := d.n%1000 == 0
		d.mu.Unlock()
		if !drop {
			errs[i] = d.Target.Apply(ctx, ops[i:i+1])[0]
		}
		_ = op
	}
	return errs
}

// swapping keeps an edit back until the next one of the same object has been made.
type swapping struct {
	content.Target
	mu   sync.Mutex
	held map[string]content.Op
	n    int
}

func (s *swapping) Apply(ctx context.Context, ops []content.Op) []error {
	errs := make([]error, len(ops))
	for i, op := range ops {
		errs[i] = s.one(ctx, op)
	}
	return errs
}

func (s *swapping) one(ctx context.Context, op content.Op) error {
	uid := op.Change.Object.UID
	s.mu.Lock()
	defer s.mu.Unlock()
	before, waits := s.held[uid]
	delete(s.held, uid)
	edit := op.From == op.To && !op.SameBytes && op.Change.Kind == content.Modified
	s.n++
	if edit && !waits && s.n%5 == 0 {
		s.held[uid] = op
		return nil
	}
	err := s.Target.Apply(ctx, []content.Op{op})[0]
	if waits && edit && err == nil {
		return s.Target.Apply(ctx, []content.Op{before})[0]
	}
	return err
}
