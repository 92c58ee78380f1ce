package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"synchro.example/shared/config"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

const (
	// pingWait is how long a program may take to say that it is there.
	pingWait = 2 * time.Second
	// maxCalls is how many calls of a program are under way at the same time.
	maxCalls = 4
	// maxReason bounds what a program's reason may add to an error.
	maxReason = 1000

	contentType = "Content-Type"
)

// inside is a plugin that is part of the program.
type inside struct{ Plugin }

func (p inside) parts(ctx context.Context, c *Call) ([]Part, error) {
	ask := p.Import
	if c.Side == Export {
		ask = p.Export
	}
	if ask == nil {
		return nil, nil
	}
	return ask(ctx, c)
}

func (p inside) place(ctx context.Context, c *Call) (Place, error) {
	if p.Locate == nil {
		return Place{}, Refuse("it has no side that says where objects belong")
	}
	return p.Locate(ctx, c)
}

// remote is a program that answers in the broker.
type remote struct {
	config.Plugin
	nc     *nats.Conn
	health *health
	slots  chan struct{} // one for each call that may be under way
}

func (r *remote) parts(ctx context.Context, c *Call) ([]Part, error) {
	a, err := r.ask(ctx, c)
	if err != nil {
		return nil, err
	}
	return a.parts()
}

func (r *remote) place(ctx context.Context, c *Call) (Place, error) {
	a, err := r.ask(ctx, c)
	if err != nil {
		return Place{}, err
	}
	return a.place()
}

// ask sends a call and waits for the answer.
func (r *remote) ask(ctx context.Context, c *Call) (*answer, error) {
	m := nats.NewMsg(subject.Plugin(r.ID, string(c.Side)))
	m.Header.Set(contentType, mediaTypes[r.Format])
	var err error
	if m.Data, err = encode(c, r.Format); err != nil {
		return nil, err
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	within, cancel := context.WithTimeout(ctx, time.Duration(r.Timeout))
	defer cancel()
	got, err := r.nc.RequestMsgWithContext(within, m)
	if err != nil {
		return nil, r.unanswered(ctx, err)
	}
	if code := got.Header.Get(micro.ErrorCodeHeader); code != "" {
		return nil, r.refusal(code, got.Header.Get(micro.ErrorHeader))
	}
	return decode(got.Data, formatOf(got.Header.Get(contentType), r.Format))
}

// unanswered finds out why there is no answer: a program that is there but does not answer
// in time has trouble with this change, or with itself.
func (r *remote) unanswered(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, nats.ErrMaxPayload):
		return fault.Errorf(fault.Park, fault.Unsupported, "the change is too large for one message of the broker: %w", err)
	case errors.Is(err, nats.ErrNoResponders):
		return r.isDown()
	case !errors.Is(err, context.DeadlineExceeded) || !r.nc.IsConnected():
		return fault.OfSite(fault.Retry, fault.BrokerDown, fmt.Errorf("the broker cannot be asked: %w", err))
	case r.ping(ctx):
		return fault.Errorf(fault.Retry, fault.PluginFailed, "it has not answered within %v, and is there", time.Duration(r.Timeout))
	}
	return r.isDown()
}

func (r *remote) isDown() error {
	reason := fmt.Sprintf("nobody answers on %s; start the plugin's program", subject.Plugin(r.ID, "*"))
	r.health.down(reason)
	return fault.OfSite(fault.Retry, fault.PluginDown, errors.New(reason))
}

// ping asks whether the program is there.
func (r *remote) ping(ctx context.Context) bool {
	within, cancel := context.WithTimeout(ctx, pingWait)
	defer cancel()
	_, err := r.nc.RequestWithContext(within, subject.PluginPing(r.ID), nil)
	switch {
	case err == nil:
		r.health.up()
	case ctx.Err() == nil && r.nc.IsConnected():
		r.health.down("no micro service " + subject.PluginService(r.ID) + " answers")
	}
	return err == nil
}

// refusal is what a program says instead of an answer: with 503 that it cannot work at the
// moment, with another code of 500 and above that it has failed, else that it does not take
// the change.
func (r *remote) refusal(code, text string) error {
	reason := readable(text)
	switch {
	case code == "503":
		r.health.down(reason)
		return fault.OfSite(fault.Retry, fault.PluginDown, fmt.Errorf("it cannot work at the moment: %s", reason))
	case strings.HasPrefix(code, "5"):
		return fault.Errorf(fault.Retry, fault.PluginFailed, "it failed with %s: %s", readable(code), reason)
	}
	return Refuse("it refuses with %s: %s", readable(code), reason)
}

// readable makes foreign text fit for a log and a terminal.
func readable(s string) string {
	if s == "" {
		return "(no reason)"
	}
	s = strings.ToValidUTF8(s[:min(len(s), maxReason)], "?")
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
}
