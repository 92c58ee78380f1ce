// Package embedded runs a NATS server with JetStream inside the process: the broker
// of those who do not want to run one. Everything acknowledged is on the disk.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"synchro.example/shared/broker"
	"synchro.example/shared/fault"
)

// Bounds.
const (
	startLimit = 10 * time.Minute // reading a large store after a power cut takes long
	closeLimit = 30 * time.Second
)

// Options are what a broker is started with. Only Dir is required.
type Options struct {
	// Dir is the directory that is the broker's alone; it is made when it is missing.
	Dir string
	// Listen is the address for others, host:port. Empty: this process alone.
	Listen string
	// TokenFile holds the token that every client must show. Empty: none.
	TokenFile string
	// MaxStore is how many bytes all streams together may take, 0 for three quarters
	// of what is free on the disk.
	MaxStore int64
	// NoSync acknowledges before the disk has it. A power cut loses what was
	// acknowledged, whole streams included: for tests.
	NoSync bool
	Log    *slog.Logger
}

// Server is a running broker. Its methods may be called from several goroutines.
type Server struct {
	opts  Options
	token string
	lock  *os.File

	mu     sync.Mutex
	srv    *server.Server
	closed bool
}

// Start runs a broker. It returns when the broker answers, or with a fault of class
// Stop that says what stands in the way: the directory is another's, the address is
// taken. Nothing of the store is opened before that is known.
func Start(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: o}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	srv, err := s.run()
	if err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	s.srv = srv
	return s, nil
}

// prepare takes the directory and looks at the address.
func (s *Server) prepare() (err error) {
	if s.opts.TokenFile != "" {
		if s.token, err = broker.ReadToken(s.opts.TokenFile); err != nil {
			return err
		}
	}
	if s.lock, err = lock(s.opts.Dir); err != nil {
		return err
	}
	if err = probe(s.opts.Listen); err != nil {
		return errors.Join(err, s.lock.Close())
	}
	s.warnIfOpen()
	return nil
}

// probe tells whether the address can be had.
func probe(addr string) error {
	if addr == "" {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fault.Errorf(fault.Stop, fault.Misconfigured,
			"the broker cannot listen at %s: %w; stop whoever has that address, or choose another one (broker.embedded.listen)", addr, err)
	}
	return l.Close()
}

func (s *Server) warnIfOpen() {
	if s.opts.Listen == "" || s.token != "" {
		return
	}
	host, _, _ := net.SplitHostPort(s.opts.Listen)
	if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
		s.opts.Log.Warn("the broker takes anybody who can reach its address, set a token_file", "listen", s.opts.Listen)
	}
}

func (s *Server) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: "synchro", JetStream: true, StoreDir: s.opts.Dir, SyncAlways: !s.opts.NoSync,
		JetStreamMaxStore: s.opts.MaxStore, Authorization: s.token,
		NoSigs: true, DisableJetStreamBanner: true, DontListen: s.opts.Listen == "",
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1},
	}
	if o.DontListen {
		return o, nil
	}
	host, port, err := net.SplitHostPort(s.opts.Listen)
	if err != nil {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "broker.embedded.listen: %w", err)
	}
	if o.Port, err = strconv.Atoi(port); err != nil {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "broker.embedded.listen: the port of %s is not a number", s.opts.Listen)
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.Host = host
	return o, nil
}

func (s *Server) run() (*server.Server, error) {
	o, err := s.options()
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "start the broker in %s: %w", s.opts.Dir, err)
	}
	log := &logger{log: s.opts.Log}
	srv.SetLoggerV2(log, false, false, false)
	go srv.Start()
	if err := await(srv, log); err != nil {
		stop(srv)
		return nil, fmt.Errorf("start the broker in %s: %w", s.opts.Dir, err)
	}
	return srv, nil
}

// await waits until the server answers or says why it never will.
func await(srv *server.Server, log *logger) error {
	for end := time.Now().Add(startLimit); time.Now().Before(end); {
		if srv.ReadyForConnections(100 * time.Millisecond) {
			break
		}
		if reason, dead := log.died(); dead {
			return fault.Errorf(fault.Stop, fault.Misconfigured, "%s", reason)
		}
	}
	reason, dead := log.died()
	switch {
	case dead:
		return fault.Errorf(fault.Stop, fault.Misconfigured, "%s", reason)
	case !srv.JetStreamEnabled():
		return fault.Errorf(fault.Stop, fault.Misconfigured, "it does not answer after %v, or without its store", startLimit)
	}
	return nil
}

// Dir is the directory of the store.
func (s *Server) Dir() string { return filepath.Clean(s.opts.Dir) }

// URL is where others reach the broker, empty when it does not listen.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.Listen == "" || s.srv == nil {
		return ""
	}
	return s.srv.ClientURL()
}

// Connect opens a connection inside the process, without a socket. The caller closes it.
func (s *Server) Connect(name string) (*nats.Conn, error) {
	opts := append(broker.Common(name, s.opts.Log), nats.InProcessServer(s), nats.Token(s.token))
	nc, err := nats.Connect("", opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to the broker of this process: %w", err)
	}
	return nc, nil
}

// InProcessConn is for nats.InProcessServer: a connection outlives Restart.
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return nil, errors.New("the broker of this process is stopped")
	}
	return s.srv.InProcessConn()
}

// Stop stops the broker but keeps the directory, for Restart. Tests use it to let
// clients live through an outage.
func (s *Server) Stop() {
	s.mu.Lock()
	srv := s.srv
	s.srv = nil
	s.mu.Unlock()
	if srv != nil {
		stop(srv)
	}
}

// Restart stops the broker and runs it again on the same directory. Connections
// come back by themselves.
func (s *Server) Restart() error {
	s.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the broker is closed")
	}
	srv, err := s.run()
	if err == nil {
		s.srv = srv
	}
	return err
}

// Close stops the broker and frees its directory. It waits until the store is
// closed, for half a minute at most. Calling it again does nothing.
func (s *Server) Close() {
	s.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		_ = s.lock.Close()
	}
}

func stop(srv *server.Server) {
	done := make(chan struct{})
	go func() {
		srv.Shutdown()
		srv.WaitForShutdown()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(closeLimit):
	}
}
