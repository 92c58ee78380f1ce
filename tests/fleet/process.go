package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"synchro.example/tests/history"
)

// Role names what a process does: "up", "broker", "relay", "exporter", or
// "importer SITE". A second one of a role has "#2" behind.
type Role string

// process is one service that is kept running: it is started again after it ended,
// whatever the reason, as a service manager would.
type process struct {
	role Role
	args []string
	hist *history.History
	log  string

	mu      sync.Mutex
	before  []string // a command to run it under, such as strace
	env     []string
	cmd     *exec.Cmd
	wanted  bool
	stopped bool // by SIGSTOP
	exits   int
	codes   []int
	ended   chan struct{} // of the supervisor
	changed chan struct{} // closed when a process ended or began
}

// restartPause is how long a service manager waits.
const restartPause = 200 * time.Millisecond

func newProcess(role Role, hist *history.History, dir string, args ...string) *process {
	log := filepath.Join(dir, fileName(role)+".log")
	return &process{role: role, args: args, hist: hist, log: log, changed: make(chan struct{})}
}

func fileName(role Role) string {
	b := []byte(role)
	for i, c := range b {
		if c == ' ' || c == '#' {
			b[i] = '-'
		}
	}
	return string(b)
}

// start keeps it running from now on.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted {
		return nil
	}
	p.wanted = true
	if err := p.launch(); err != nil {
		return err
	}
	p.ended = make(chan struct{})
	go p.supervise(p.ended)
	return nil
}

func (p *process) launch() error {
	argv := append(append([]string(nil), p.before...), p.args...)
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(context.Background(), argv[0], argv[1:]...) // it ends by a signal of ours
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), p.env...)
	if err := startBound(cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.role, err)
	}
	p.cmd = cmd
	p.stopped = false
	p.signalChange()
	return nil
}

func (p *process) signalChange() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// supervise waits for the process and starts it again, as long as that is wanted.
func (p *process) supervise(ended chan struct{}) {
	defer close(ended)
	for {
		p.mu.Lock()
		cmd := p.cmd
		p.mu.Unlock()
		err := cmd.Wait()
		p.mu.Lock()
		p.exits++
		p.codes = append(p.codes, exitCode(err))
		p.hist.Add("exit", fmt.Sprint(exitCode(err)), string(p.role), nil)
		p.signalChange()
		wanted := p.wanted
		p.mu.Unlock()
		if !wanted {
			return
		}
		time.Sleep(restartPause)
		p.mu.Lock()
		if !p.wanted {
			p.mu.Unlock()
			return
		}
		err = p.launch()
		p.mu.Unlock()
		if err != nil {
			p.hist.Add("note", err.Error(), string(p.role), nil)
			return
		}
	}
}

// exitCode is -1 for a signal.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return e.ExitCode()
	}
	return -1
}

// signal sends a signal to the process, or to the group that strace and it are in.
func (p *process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.Process == nil {
		return nil
	}
	switch sig {
	case syscall.SIGSTOP:
		p.stopped = true
	case syscall.SIGCONT:
		p.stopped = false
	}
	err := syscall.Kill(-p.cmd.Process.Pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return nil // it has just ended
	}
	return err
}

// stop ends it for good, by a signal, and waits.
func (p *process) stop(sig syscall.Signal, limit time.Duration) error {
	p.mu.Lock()
	if !p.wanted {
		p.mu.Unlock()
		return nil
	}
	p.wanted = false
	ended := p.ended
	p.mu.Unlock()
	if err := p.signal(sig); err != nil {
		return err
	}
	_ = p.signal(syscall.SIGCONT)
	select {
	case <-ended:
		return nil
	case <-time.After(limit):
		_ = p.signal(syscall.SIGKILL)
		<-ended
		return fmt.Errorf("%s did not end within %v of %v", p.role, limit, sig)
	}
}

// exitCount is how often it ended; next is closed when that changes.
func (p *process) exitCount() (n int, next <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exits, p.changed
}
