package plugin

import (
	"context"
	"sync"
	"time"

	"synchro.example/shared/fault"
	"synchro.example/shared/preflight"
	"synchro.example/shared/status"
)

// pingEvery is how often plugins outside are asked whether they are there.
const pingEvery = 5 * time.Second

// health is what is known of a plugin from asking it.
type health struct {
	mu     sync.Mutex
	report status.Plugin
}

// measured counts a call.
func (h *health) measured(call func() error) error {
	start := time.Now()
	err := call()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report.Calls++
	h.report.Seconds += time.Since(start).Seconds()
	if err != nil {
		h.report.Errors++
	}
	if err == nil || answered(fault.Of(err).Code) {
		h.report.State, h.report.Reason = status.Up, ""
	}
	return err
}

// answered tells whether an error shows that the plugin is there.
func answered(code fault.Code) bool {
	return code == fault.PluginRefused || code == fault.PluginAnswer || code == fault.PluginFailed
}

func (h *health) up() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report.State, h.report.Reason = status.Up, ""
}

func (h *health) down(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report.State, h.report.Reason = status.Down, reason
}

func (h *health) read() status.Plugin {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.report
}

// Health says how the plugins are that have one of the sides.
func (s *Set) Health(sides ...Side) (list []status.Plugin) {
	if s == nil {
		return nil
	}
	for _, one := range s.steps {
		for _, side := range sides {
			if one.Has(string(side)) {
				r := one.read()
				r.ID = one.ID
				list = append(list, r)
				break
			}
		}
	}
	return list
}

// Check tells which plugins are there.
func (s *Set) Check(ctx context.Context) (r preflight.Report) {
	for _, one := range s.steps {
		asked, isOutside := one.caller.(*remote)
		switch {
		case !isOutside:
			r.Good("plugin "+one.ID, "it is part of the program")
		case asked.ping(ctx):
			r.Good("plugin "+one.ID, "its program answers")
		default:
			r.Fail("plugin "+one.ID, fault.Advice(fault.PluginDown), "%s", one.read().Reason)
		}
	}
	return r
}

// Watch asks the plugins outside whether they are there, until ctx ends: one that nobody
// needs at the moment should not look as if it were.
func (s *Set) Watch(ctx context.Context) {
	if s == nil {
		return
	}
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		for _, one := range s.steps {
			if r, ok := one.caller.(*remote); ok {
				r.ping(ctx)
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
