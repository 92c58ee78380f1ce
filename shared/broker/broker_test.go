package broker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/broker"
	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/fault"
)

// logs is a log that a test may read while it is written.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("%s: not within 10 s", what)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestDialSaysThatNobodyAnswers(t *testing.T) {
	addr := freeAddress(t)
	_, err := broker.Dial(t.Context(), broker.Options{URL: "nats://" + addr})
	if want := "nobody answers at nats://" + addr + ": connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if !broker.IsAbsent(err) || fault.Of(err).Code != fault.BrokerDown || !fault.Of(err).WholeSite {
		t.Errorf("%#v is not the fault of an absent broker", err)
	}
}

func TestDialSaysThatSomethingElseAnswers(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n"))
			_ = conn.Close()
		}
	}()
	_, err = broker.Dial(t.Context(), broker.Options{URL: "nats://me:secret@" + l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "not a NATS broker") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	if broker.IsAbsent(err) || fault.Of(err).Code != fault.Misconfigured {
		t.Errorf("%v is classed wrongly", err)
	}
}

func TestABrokerThatBreaksOffIsTriedAgain(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // as a broker that is killed does
		}
	}()
	_, err = broker.Dial(t.Context(), broker.Options{URL: "nats://" + l.Addr().String()})
	if broker.IsAbsent(err) || fault.Of(err).Class != fault.Retry || fault.Of(err).Code != fault.BrokerDown {
		t.Errorf("%v is classed wrongly", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = broker.Dial(ctx, broker.Options{URL: "nats://" + l.Addr().String()})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}

func TestTokenIsAskedForAndNotTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out logs
	s := brokertest.StartWith(t, embedded.Options{Listen: "127.0.0.1:0", TokenFile: file, NoSync: true, Log: out.logger()})
	_, err := broker.Dial(t.Context(), broker.Options{URL: s.URL(), Log: out.logger()})
	if fault.Of(err).Code != fault.Misconfigured || !strings.Contains(err.Error(), "refuses this client") {
		t.Errorf("without the token: %v", err)
	}
	nc, err := broker.Dial(t.Context(), broker.Options{URL: s.URL(), TokenFile: file, Name: "test", Log: out.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	brokertest.Connect(t, s)
	if strings.Contains(out.String(), "s3cret") {
		t.Error("the log tells the token")
	}
}

func TestMissingFilesAreNamed(t *testing.T) {
	for _, o := range []broker.Options{{Creds: "/no/creds"}, {TokenFile: "/no/token"}, {CAFile: "/no/ca"}, {CertFile: "/no/cert", KeyFile: "/no/cert"}} {
		o.URL = "nats://127.0.0.1:1"
		if _, err := broker.Dial(t.Context(), o); fault.Of(err).Code != fault.Misconfigured || !strings.Contains(err.Error(), "/no/") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestConnectionComesBackAfterARestart(t *testing.T) {
	var out logs
	s := brokertest.StartWith(t, embedded.Options{Listen: freeAddress(t), NoSync: true})
	ctx, cancel := context.WithCancel(t.Context())
	nc, err := broker.Dial(ctx, broker.Options{URL: s.URL(), Log: out.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	cancel() // ends nothing that stands
	brokertest.Restart(t, s)
	await(t, "connection is back", func() bool { return nc.Stats().Reconnects > 0 && nc.IsConnected() })
	await(t, "log says so", func() bool {
		return strings.Contains(out.String(), "is lost") && strings.Contains(out.String(), "is back")
	})
}

func TestARefusedPermissionIsLogged(t *testing.T) {
	var out logs
	opts := nats.GetDefaultOptions()
	for _, o := range broker.Common("test", out.logger()) {
		if err := o(&opts); err != nil {
			t.Fatal(err)
		}
	}
	opts.AsyncErrorCB(nil, nil, nats.ErrPermissionViolation)
	if !strings.Contains(out.String(), "refuses a permission") || !strings.Contains(out.String(), "level=ERROR") {
		t.Errorf("the log says %q", out.String())
	}
}
