//go:build unix

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a program that runs until it is stopped.
type process struct {
	w       *world
	name    string
	cmd     *exec.Cmd
	log     string
	ended   chan struct{}
	status  int // once ended is closed; -1 after a signal
	stopped bool
}

// start runs a program, named by its first argument, in the folder of the world.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	return w.startWith(w.command(args...), strings.Join(args, " "))
}

func (w *world) startWith(cmd *exec.Cmd, name string) *process {
	w.t.Helper()
	p := &process{w: w, name: name, cmd: cmd, ended: make(chan struct{})}
	p.log = w.path(fmt.Sprintf("process-%d.log", len(w.processes)))
	log, err := os.Create(p.log)
	must(w.t, err)
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	must(w.t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		p.status = p.cmd.ProcessState.ExitCode()
		close(p.ended)
	}()
	w.processes = append(w.processes, p)
	return p
}

func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.t.Context(), filepath.Join(programs, args[0]), append(args[1:], "--config", w.path("synchro.yaml"))...)
	cmd.Dir = w.dir
	cmd.Cancel = func() error { return nil } // the world ends its processes itself, in its order
	if w.account != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: w.account}
	}
	return cmd
}

func nobodyAccount() *syscall.Credential { return &syscall.Credential{Uid: nobody, Gid: nobody} }

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) died() bool { return !p.stopped && !p.running() }

// kill ends the process as a power cut would, as far as it can see.
func (p *process) kill() {
	p.stopped = true
	_ = p.cmd.Process.Kill() // it may be gone
	<-p.ended
}

// tellWhere has the process write into its log where it is, and end.
func (p *process) tellWhere() {
	p.stopped = true
	_ = p.cmd.Process.Signal(syscall.SIGQUIT) // it may be gone
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
	}
}

// stop asks the process to end and fails if it does not, or not well.
func (p *process) stop() {
	t := p.w.t
	t.Helper()
	p.stopped = true
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not stop", p.name)
	}
	if p.status != 0 {
		t.Fatalf("%s ends with status %d when it is stopped:\n%s", p.name, p.status, tail(p.output(), 15))
	}
}

func (p *process) output() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// judge fails the test for what no process may ever do.
func (p *process) judge() { judge(p.w, p.name, p.output()) }

func judge(w *world, name, output string) {
	w.t.Helper()
	for _, bad := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if at := strings.Index(output, bad); at >= 0 {
			w.t.Errorf("%s:\n%s", name, output[at:min(len(output), at+4000)])
		}
	}
}

// result is what a command left when it ended.
type result struct {
	stdout, stderr string
	status         int
}

// synchro runs a command of the binary to its end.
func (w *world) synchro(args ...string) result {
	w.t.Helper()
	return w.run(append([]string{synchro}, args...)...)
}

func (w *world) run(args ...string) result {
	w.t.Helper()
	var out, errOut bytes.Buffer
	cmd := w.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if _, isExit := errors.AsType[*exec.ExitError](err); err != nil && !isExit {
		w.t.Fatal(err)
	}
	judge(w, strings.Join(args, " "), errOut.String())
	return result{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// succeeds runs a command that must end with status 0.
func (w *world) succeeds(args ...string) result {
	w.t.Helper()
	r := w.synchro(args...)
	if r.status != 0 {
		w.t.Fatalf("synchro %s ends with status %d\n%s%s", strings.Join(args, " "), r.status, r.stdout, tail(r.stderr, 15))
	}
	return r
}

// once runs `synchro up --once`, which must succeed, and gives its summary: what the
// source published and what each receiver applied.
func (w *world) once() map[string]int {
	w.t.Helper()
	return w.summary(w.succeeds("up", "--once"))
}

func (w *world) summary(r result) map[string]int {
	w.t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(r.stdout) {
		var name, published, applied string
		var n int
		_, _ = fmt.Sscan(line, &name, &published, &applied) // the check below is for all lines
		if _, err := fmt.Sscan(published, &n); err == nil {
			counts[name] = n
		} else if _, err := fmt.Sscan(applied, &n); err == nil {
			counts[name] = n
		}
	}
	if len(counts) != 1+len(w.receivers) {
		w.t.Fatalf("the summary of `up --once` is not one line for each site:\n%s", r.stdout)
	}
	return counts
}
