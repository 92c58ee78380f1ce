// Package brokertest gives tests a broker of their own: real, in the process,
// without a port.
package brokertest

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/embedded"
)

// Start runs a broker on a temporary directory until the test ends. It does not wait
// for the disk.
func Start(t testing.TB) *embedded.Server {
	t.Helper()
	return StartWith(t, embedded.Options{NoSync: true})
}

// StartWith is Start with options; Dir is a temporary one when it is empty.
func StartWith(t testing.TB, o embedded.Options) *embedded.Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := embedded.Start(o)
	if err != nil {
		t.Fatalf("start a broker: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Connect opens a connection to s that is closed when the test ends.
func Connect(t testing.TB, s *embedded.Server) *nats.Conn {
	t.Helper()
	nc, err := s.Connect(t.Name())
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Conn gives a connection to a broker of the test's own.
func Conn(t testing.TB) *nats.Conn {
	t.Helper()
	return Connect(t, Start(t))
}

// JetStream is the streams of a connection.
func JetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatalf("use JetStream: %v", err)
	}
	return js
}

// Restart stops the broker and starts it again on the same directory. Connections
// come back by themselves.
func Restart(t testing.TB, s *embedded.Server) {
	t.Helper()
	if err := s.Restart(); err != nil {
		t.Fatalf("restart the broker: %v", err)
	}
}
