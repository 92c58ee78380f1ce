//go:build unix

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"synchro.example/services/bridge/classictest"
	"synchro.example/services/bridge/queue"
)

// crossing is two queues with a server between them.
type crossing struct {
	t            testing.TB
	server       *sshServer
	dir          string
	source, dest string
	sent         map[string][sha256.Size]byte // by name
}

func newCrossing(t testing.TB, server *sshServer, files int) *crossing {
	t.Helper()
	dir := t.TempDir()
	c := &crossing{t, server, dir, filepath.Join(dir, "one"), filepath.Join(dir, "two"), map[string][sha256.Size]byte{}}
	must(t, queue.Create(c.source))
	must(t, queue.Create(c.dest))
	chance := rand.NewChaCha8([32]byte{1})
	for n := range files {
		name, err := queue.NewName(fmt.Sprintf("%032x", n), time.Unix(1_700_000_000, int64(n)*1000), n)
		must(t, err)
		content := make([]byte, 2000)
		_, _ = chance.Read(content)
		must(t, os.WriteFile(filepath.Join(c.source, "EXPORT/TO_PROCESS", name.String()), content, 0o644))
		c.sent[name.String()] = sha256.Sum256(content)
	}
	return c
}

// synchro is our synchronize_queue, original the one of 2008.
func (c *crossing) synchro() *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(programs, synchro), "queue", "sync",
		"-s", c.source, "-d", c.dest, "-u", c.server.user, "-H", c.server.address, "-l", c.dir, "-V", c.dir)
	cmd.Env = c.server.env()
	return cmd
}

func (c *crossing) original(peer *classictest.Peer) *exec.Cmd {
	cmd := peer.Sync(c.t, "-s", c.source, "-d", c.dest, "-u", c.server.user, "-H", "classic-peer", "-l", c.dir, "-V", c.dir)
	cmd.Env = append(c.server.env(), "TMPDIR="+c.dir)
	return cmd
}

// run gives how long a command took to bring all files over.
func (c *crossing) run(cmd *exec.Cmd) time.Duration {
	c.t.Helper()
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	if err != nil {
		c.t.Fatalf("%v\n%s", err, out)
	}
	c.arrived()
	return took
}

// arrived holds that each file has come once and as it was, and is in DONE here.
func (c *crossing) arrived() {
	c.t.Helper()
	found := map[string]int{}
	for _, state := range []string{"TO_PROCESS", "PROCESSING", "DONE", "ERROR"} {
		for _, name := range c.list(filepath.Join(c.dest, "IMPORT", state)) {
			found[name]++
			content, err := os.ReadFile(filepath.Join(c.dest, "IMPORT", state, name))
			must(c.t, err)
			if sha256.Sum256(content) != c.sent[name] {
				c.t.Errorf("%s has %d other bytes", name, len(content))
			}
		}
	}
	for name := range c.sent {
		if found[name] != 1 {
			c.t.Errorf("%s came %d times", name, found[name])
		}
	}
	if done := c.list(filepath.Join(c.source, "EXPORT/DONE")); len(found) != len(c.sent) || len(done) != len(c.sent) {
		c.t.Errorf("of %d files %d came, and %d are in DONE", len(c.sent), len(found), len(done))
	}
}

func (c *crossing) list(folder string) []string {
	c.t.Helper()
	entries, err := os.ReadDir(folder)
	must(c.t, err)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestKilledTransferLosesAndDoublesNothing kills synchronize_queue as a power cut would, again
// and again, while somebody imports on the other side.
func TestKilledTransferLosesAndDoublesNothing(t *testing.T) {
	long(t)
	server := startSSHServer(t)
	c := newCrossing(t, server, pick(1000, 5000))
	kills := 0
	for {
		cmd := c.synchro()
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		must(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("after %d kills: %v\n%s", kills, err, said.String())
			}
			c.arrived()
			if left := c.list(c.dest + ".synchro/arriving"); len(left) > 0 {
				t.Errorf("%d files are left beside the queue", len(left))
			}
			figure(t, "a transfer that was killed", "%d times, %d files", kills, len(c.sent))
			if kills < 3 {
				t.Errorf("it was killed %d times only", kills)
			}
			return
		case <-c.came(kills):
			must(t, cmd.Process.Kill())
			<-ended
			kills++
			c.importSome()
		}
	}
}

// came is told when another fifth of the files or so has come.
func (c *crossing) came(times int) <-chan struct{} {
	told := make(chan struct{})
	enough := len(c.sent) / 5 * (times + 1)
	go func() {
		for c.t.Context().Err() == nil {
			done, err := os.ReadDir(filepath.Join(c.source, "EXPORT/DONE"))
			if err == nil && len(done) >= enough && len(done) < len(c.sent) {
				close(told)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return told
}

// importSome does with half of the files that have come what the importer there does.
func (c *crossing) importSome() {
	c.t.Helper()
	for n, name := range c.list(filepath.Join(c.dest, "IMPORT/TO_PROCESS")) {
		if n%2 == 0 {
			must(c.t, os.Rename(filepath.Join(c.dest, "IMPORT/TO_PROCESS", name), filepath.Join(c.dest, "IMPORT/DONE", name)))
		}
	}
}

// BenchmarkQueueOverSSH brings files from queue to queue over a real OpenSSH server, with
// the original and with ours by turns:
//
//	go test -run '^$' -bench QueueOverSSH -benchtime 1x ./services/synchro/e2e
func BenchmarkQueueOverSSH(b *testing.B) {
	const files = 5000
	peer := classictest.New(b)
	server := startSSHServer(b)
	var theirs, ours time.Duration
	for b.Loop() {
		c := newCrossing(b, server, files)
		theirs += c.run(c.original(peer))
		c = newCrossing(b, server, files)
		ours += c.run(c.synchro())
	}
	all := float64(files * b.N)
	b.ReportMetric(0, "ns/op") // which would be of both together
	b.ReportMetric(all/theirs.Seconds(), "original-files/s")
	b.ReportMetric(all/ours.Seconds(), "synchro-files/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-faster")
}
