package embedded_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/fault"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("SYNCHRO_TEST_OWN"); dir != "" {
		own(dir)
		return
	}
	os.Exit(m.Run())
}

// own is another process that owns a directory until its input ends.
func own(dir string) {
	if _, err := embedded.Start(embedded.Options{Dir: dir, NoSync: true}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("started")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	os.Exit(0) // as a process that dies: nothing is closed
}

func TestADirectoryBelongsToOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "broker")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "SYNCHRO_TEST_OWN="+dir)
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "started\n" {
		t.Fatalf("the other process says %q", line)
	}
	_, err := embedded.Start(embedded.Options{Dir: dir})
	f := fault.Of(err)
	if f.Class != fault.Stop || f.Code != fault.Misconfigured || !strings.Contains(f.Error(), fmt.Sprint("process ", cmd.Process.Pid)) {
		t.Errorf("got %v, want a fault that names process %d", err, cmd.Process.Pid)
	}
	_ = stdin.Close()
	_ = cmd.Wait()
	s, err := embedded.Start(embedded.Options{Dir: dir, NoSync: true})
	if err != nil {
		t.Fatalf("after the owner died: %v", err)
	}
	s.Close()
}

func TestADirectoryThatIsSoonFreeIsWaitedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "broker")
	first, err := embedded.Start(embedded.Options{Dir: dir, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, first.Close)
	second, err := embedded.Start(embedded.Options{Dir: dir, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

func TestABusyAddressIsNamedBeforeTheStoreIsOpened(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	_, err = embedded.Start(embedded.Options{Dir: dir, Listen: l.Addr().String()})
	f := fault.Of(err)
	if f.Class != fault.Stop || f.Code != fault.Misconfigured || !strings.Contains(f.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "jetstream")); !os.IsNotExist(err) {
		t.Errorf("the store was opened: %v", err)
	}
	brokertest.StartWith(t, embedded.Options{Dir: dir, NoSync: true}) // the directory is free again
}

func TestWrongOptionsAreFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]embedded.Options{
		"directory is a file": {Dir: file},
		"no port":             {Dir: t.TempDir(), Listen: "127.0.0.1"},
		"foreign address":     {Dir: t.TempDir(), Listen: "192.0.2.1:4222"},
		"empty token":         {Dir: t.TempDir(), TokenFile: file},
	} {
		if _, err := embedded.Start(o); fault.Of(err).Code != fault.Misconfigured || fault.Of(err).Class != fault.Stop {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsStoredSurvivesARestart(t *testing.T) {
	s := brokertest.StartWith(t, embedded.Options{})
	nc := brokertest.Connect(t, s)
	js := brokertest.JetStream(t, nc)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	brokertest.Restart(t, s)
	st, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := st.GetLastMsgForSubject(t.Context(), "s.1"); err != nil || string(m.Data) != "one" {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestCloseIsIdempotentAndFreesTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "broker")
	for range 3 {
		s, err := embedded.Start(embedded.Options{Dir: dir, Listen: "127.0.0.1:0", NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(s.URL(), "nats://127.0.0.1:") {
			t.Errorf("URL is %q", s.URL())
		}
		s.Close()
		s.Close()
		if _, err := s.Connect("late"); err == nil {
			t.Error("a closed broker takes a connection")
		}
		if err := s.Restart(); err == nil {
			t.Error("a closed broker starts again")
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
}

func TestAnOpenAddressWithoutTokenIsWarnedOf(t *testing.T) {
	for listen, want := range map[string]bool{"0.0.0.0:0": true, ":0": true, "127.0.0.1:0": false, "localhost:0": false} {
		var out bytes.Buffer
		s, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Listen: listen, NoSync: true, Log: slog.New(slog.NewTextHandler(&out, nil))})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if got := strings.Contains(out.String(), "set a token_file"); got != want {
			t.Errorf("%s: warned %v: %s", listen, got, out.String())
		}
	}
}
