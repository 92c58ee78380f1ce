package transfer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"synchro.example/services/bridge/queue"
)

// world is two queues, and a server that leads to the second.
type world struct {
	t                  *testing.T
	home, source, dest string
	host               string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "")
	dir := t.TempDir()
	w := &world{t: t, home: filepath.Join(dir, "home"), source: filepath.Join(dir, "one"), dest: filepath.Join(dir, "two")}
	w.must(queue.Create(w.source))
	w.must(queue.Create(w.dest))
	w.must(os.MkdirAll(filepath.Join(w.home, ".ssh"), 0o700))
	w.serve()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) key() (ssh.Signer, []byte) {
	w.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	w.must(err)
	block, err := ssh.MarshalPrivateKey(private, "")
	w.must(err)
	s, err := ssh.NewSignerFromKey(private)
	w.must(err)
	return s, pem.EncodeToMemory(block)
}

// serve runs an SSH server with SFTP that takes the user's key.
func (w *world) serve() {
	host, _ := w.key()
	user, private := w.key()
	w.must(os.WriteFile(filepath.Join(w.home, ".ssh/id_ed25519"), private, 0o600))
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if string(k.Marshal()) != string(user.PublicKey().Marshal()) {
			return nil, errors.New("another key")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(host)
	l, err := new(net.ListenConfig).Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	w.must(err)
	w.t.Cleanup(func() { _ = l.Close() })
	w.host = l.Addr().String()
	w.trust(host.PublicKey())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answer(conn, config)
		}
	}()
}

func (w *world) trust(k ssh.PublicKey) {
	line := knownhosts.Line([]string{w.host}, k) + "\n"
	w.must(os.WriteFile(filepath.Join(w.home, ".ssh/known_hosts"), []byte(line), 0o600))
}

func answer(conn net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		server, err := sftp.NewServer(channel)
		if err != nil {
			return
		}
		go func() { _ = server.Serve(); _ = channel.Close() }()
	}
}

func (w *world) run() (int, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	c, done, err := Dial(ctx, w.home, "somebody", w.host)
	w.must(err)
	defer func() { w.must(done()) }()
	return Run(ctx, c, Options{Source: w.source, Dest: w.dest, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil))})
}

// put makes a file of the n-th second.
func (w *world) put(folder string, n int, suffix string) string {
	w.t.Helper()
	name, err := queue.NewName("u", time.Unix(1_700_000_000+int64(n), 0), n)
	w.must(err)
	w.must(os.WriteFile(filepath.Join(folder, name.String()+suffix), fmt.Appendf(nil, "content %d", n), 0o600))
	return name.String()
}

func (w *world) list(folder string) []string {
	w.t.Helper()
	entries, err := os.ReadDir(folder)
	w.must(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (w *world) wantList(folder string, want []string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.list(folder); !slices.Equal(got, want) {
		w.t.Errorf("%s has %d files %.200q, want %d %.200q", folder, len(got), got, len(want), want)
	}
}

func TestFilesAreMovedWhole(t *testing.T) {
	w := newWorld(t)
	var names []string
	for n := range 200 {
		names = append(names, w.put(filepath.Join(w.source, "EXPORT/TO_PROCESS"), n, ""))
	}
	busy := w.put(filepath.Join(w.source, "EXPORT/TO_PROCESS"), 999, ".lock")
	moved, err := w.run()
	w.must(err)
	if moved != 200 {
		t.Errorf("%d files are moved", moved)
	}
	w.wantList(filepath.Join(w.dest, "IMPORT/TO_PROCESS"), names)
	w.wantList(filepath.Join(w.source, "EXPORT/DONE"), slices.Clone(names))
	w.wantList(filepath.Join(w.source, "EXPORT/PROCESSING"), nil)
	w.wantList(filepath.Join(w.source, "EXPORT/TO_PROCESS"), []string{busy + ".lock"})
	if b, err := os.ReadFile(filepath.Join(w.dest, "IMPORT/TO_PROCESS", names[7])); err != nil || !strings.HasPrefix(string(b), "content ") {
		t.Errorf("a file has %q, %v", b, err)
	}
}

func TestKilledRunIsGoneOnWithAndNothingDoubled(t *testing.T) {
	w := newWorld(t)
	processing := filepath.Join(w.source, "EXPORT/PROCESSING")
	sent := w.put(processing, 1, "") // its importer has had it meanwhile
	w.put(filepath.Join(w.dest, "IMPORT/DONE"), 1, "")
	left := w.put(processing, 2, "")
	locked := w.put(processing, 3, ".lock")
	moved, err := w.run()
	w.must(err)
	if moved != 3 {
		t.Errorf("%d files are moved", moved)
	}
	w.wantList(filepath.Join(w.dest, "IMPORT/TO_PROCESS"), []string{left, locked})
	w.wantList(filepath.Join(w.source, "EXPORT/DONE"), []string{sent, left, locked})
}

func TestOtherSideMustBeAQueue(t *testing.T) {
	w := newWorld(t)
	w.put(filepath.Join(w.source, "EXPORT/TO_PROCESS"), 1, "")
	w.dest += "-nowhere"
	if _, err := w.run(); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("the error is %v", err)
	}
	if waiting := w.list(filepath.Join(w.source, "EXPORT/TO_PROCESS")); len(waiting) != 1 {
		t.Errorf("TO_PROCESS has %q", waiting)
	}
}

func TestUnknownHostIsRefused(t *testing.T) {
	w := newWorld(t)
	other, _ := w.key()
	w.trust(other.PublicKey())
	if _, _, err := Dial(t.Context(), w.home, "somebody", w.host); err == nil || !strings.Contains(err.Error(), "key") {
		t.Errorf("the error is %v", err)
	}
}

func TestLockOfALiveProcessHoldsAndOthersAreTakenOver(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "synchro.lock")
	for _, old := range []string{"", "999999999", "no number"} {
		if err := os.WriteFile(file, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		release, err := Lock(dir, "synchro")
		if err != nil {
			t.Fatalf("a lock with %q: %v", old, err)
		}
		if _, err := Lock(dir, "synchro"); err == nil {
			t.Error("two have the lock")
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte(fmt.Sprint(os.Getppid())), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir, "synchro"); err == nil {
		t.Error("the lock of a live process is taken over")
	}
}
