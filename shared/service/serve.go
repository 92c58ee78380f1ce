package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"synchro.example/shared/config"
	"synchro.example/shared/dashboard"
	"synchro.example/shared/fault"
	"synchro.example/shared/lifecycle"
)

// Parts opens what a process of one role runs. site is empty where the role has none.
type Parts func(ctx context.Context, env *Env, site string) ([]lifecycle.Part, error)

// Serve runs parts until ctx ends or one of them cannot go on, and shows health
// meanwhile where the configuration has an address for it.
func Serve(ctx context.Context, env *Env, parts []lifecycle.Part) error {
	stop, err := serveHealth(ctx, env, parts)
	if err != nil {
		return err
	}
	defer stop()
	for _, p := range parts {
		env.Log.Info("service runs", "service", p.Name)
	}
	defer context.AfterFunc(ctx, func() { env.Log.Info("stopping; what is under way is finished first", "at_most", Grace) })()
	return lifecycle.Run(ctx, Grace, parts...)
}

// startPatience is how long a service that starts waits for the broker.
const startPatience = 30 * time.Second

// Run loads a configuration, connects to the broker, which it waits for, and serves what
// open gives.
func Run(ctx context.Context, file, site string, log *slog.Logger, open Parts) error {
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 100*time.Millisecond, 2*time.Second
	s, err := backoff.Retry(ctx, func() (*opened, error) {
		s, err := start(ctx, c, site, log, open)
		if f := fault.Of(err); err != nil && (f.Class != fault.Retry || f.Code != fault.BrokerDown) {
			err = backoff.Permanent(err)
		}
		return s, err
	}, backoff.WithBackOff(b), backoff.WithMaxElapsedTime(startPatience), backoff.WithNotify(func(err error, _ time.Duration) {
		log.Warn("the broker is not ready, it is tried again for a while", "for", startPatience, "error", err)
	}))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // it was told to stop
	case err != nil:
		return err
	}
	defer s.env.NC.Close()
	return Serve(ctx, s.env, s.parts)
}

// opened is a service that is ready to run.
type opened struct {
	env   *Env
	parts []lifecycle.Part
}

func start(ctx context.Context, c *config.Config, site string, log *slog.Logger, open Parts) (s *opened, err error) {
	nc, err := Dial(ctx, c, "synchro "+site, log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			nc.Close()
		}
	}()
	env, err := NewEnv(c, nc, log)
	if err != nil {
		return nil, err
	}
	if err := env.Follow(ctx); err != nil {
		return nil, err
	}
	parts, err := open(ctx, env, site)
	return &opened{env, parts}, err
}

// Main is the whole of a service's own program: options, signals, exit status.
func Main(name string, open Parts, withSite bool) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := runArgs(ctx, name, os.Args[1:], log, open, withSite)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	}
	if errors.Is(err, flag.ErrHelp) {
		err = nil
	}
	os.Exit(ExitStatus(err))
}

func runArgs(ctx context.Context, name string, args []string, log *slog.Logger, open Parts, withSite bool) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	file := flags.String("config", config.DefaultFile, "the configuration `FILE`")
	site := new(string)
	if withSite {
		site = flags.String("site", "", "the `NAME` of the site")
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fault.New(fault.Stop, fault.Misconfigured, err)
	case flags.NArg() > 0:
		return fault.Errorf(fault.Stop, fault.Misconfigured, "%q is one argument too many", flags.Arg(0))
	case withSite && *site == "":
		return fault.Errorf(fault.Stop, fault.Misconfigured, "--site NAME is missing")
	}
	return Run(ctx, *file, *site, log, open)
}

// serveHealth answers GET /healthz with 200 while the broker can be reached, GET /metrics, and
// everything else with the dashboard. Where another process has the address the services
// work without: that may well be one of the same configuration.
func serveHealth(ctx context.Context, env *Env, parts []lifecycle.Part) (stop func(), err error) {
	addr := env.Config.HTTP.Listen
	if addr == "" {
		return func() {}, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		env.Log.Warn("another process has the address for health, metrics and dashboard; this one shows none", "http_listen", addr)
		return func() {}, nil
	}
	if err != nil {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "http.listen: %w; is it an address of this machine?", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !env.NC.IsConnected() {
			http.Error(w, "the broker cannot be reached", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /metrics", metrics(env.NC, parts))
	mux.Handle("/", dashboard.Handler(env.Config, env.NC, env.JS, env.Log))
	env.Log.Info("a dashboard shows how all sites are", "url", "http://"+l.Addr().String())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	go func() { _ = srv.Serve(l) }()
	return func() { _ = srv.Close() }, nil
}
