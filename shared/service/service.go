// Package service is what every process of Synchro has in common: its connection to
// the broker, its logger, its way to start and to stop, and the meaning of its exit
// status.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker"
	"synchro.example/shared/config"
	"synchro.example/shared/control"
	"synchro.example/shared/fault"
	"synchro.example/shared/salvage"
	"synchro.example/shared/subject"
)

// Grace is how long services may finish what they do after they were told to stop.
const Grace = 15 * time.Second

// Exit statuses.
const (
	Done        = 0
	Failed      = 1
	Usage       = 2 // wrong usage or configuration
	LeftOver    = 3 // done, but items are in ERROR or held
	Differences = 4
)

// ErrLeftOver is returned by work that is done but for items that failed.
var ErrLeftOver = errors.New("some items are in ERROR")

// ErrHeld is returned by work that is done but for what waits for somebody's word.
var ErrHeld = errors.New("done, but for what is paused or held; `synchro status` tells what")

// ErrDifferent is returned by a comparison that found differences.
var ErrDifferent = errors.New("there are differences")

// ExitStatus maps an error to the status that a process ends with.
func ExitStatus(err error) int {
	switch {
	case err == nil:
		return Done
	case errors.Is(err, ErrLeftOver), errors.Is(err, ErrHeld):
		return LeftOver
	case errors.Is(err, ErrDifferent):
		return Differences
	case fault.Of(err).Code == fault.Misconfigured:
		return Usage
	}
	return Failed
}

// Env is what a service runs in.
type Env struct {
	Config *config.Config
	NC     *nats.Conn
	JS     jetstream.JetStream
	Log    *slog.Logger
	// Control is what people have told the services, once Follow was called.
	Control *control.Following
}

// Follow keeps Control up to date until ctx ends.
func (e *Env) Follow(ctx context.Context) (err error) {
	doctor := salvage.Doctor{JS: e.JS, Log: e.Log}
	if err := doctor.Check(ctx, subject.ControlStream, subject.ErrorStream); err != nil {
		return err
	}
	e.Control, err = control.Follow(ctx, e.JS)
	return err
}

// NewEnv makes an environment on an open connection.
func NewEnv(c *config.Config, nc *nats.Conn, log *slog.Logger) (*Env, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("use the broker: %w", err)
	}
	return &Env{Config: c, NC: nc, JS: js, Log: log}, nil
}

// Dial connects to the broker that the configuration names. Where that is the
// embedded one, another process must be running it.
func Dial(ctx context.Context, c *config.Config, name string, log *slog.Logger) (*nats.Conn, error) {
	b := c.Broker
	if e := b.Embedded; e != nil {
		return broker.Dial(ctx, broker.Options{URL: "nats://" + e.Listen, TokenFile: e.TokenFile, Name: name, Log: log})
	}
	return broker.Dial(ctx, broker.Options{
		URL: b.URL, Creds: b.Creds, TokenFile: b.TokenFile,
		CAFile: b.TLS.CA, CertFile: b.TLS.Cert, KeyFile: b.TLS.Key, Name: name, Log: log,
	})
}

// Host is this machine's name, as far as it has one.
func Host() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// Software names the version of the program.
func Software() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "synchro (built from source)"
	}
	return "synchro " + info.Main.Version
}
