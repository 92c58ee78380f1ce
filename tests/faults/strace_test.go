package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/subject"
	"synchro.example/tests/fleet"
	"synchro.example/tests/history"
)

// needStrace skips where system calls cannot be traced.
func needStrace(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("strace is there on Linux only")
	}
	if out, err := exec.CommandContext(t.Context(), "strace", "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace is missing, or may not trace here: %v: %s", err, out)
	}
}

// syncsTraced watches the system calls of an importer, and holds them against what it
// told its ledger and when.
func syncsTraced(r *run) []history.Violation {
	trace := filepath.Join(r.fleet.Dir, "trace")
	importer := fleet.Importer("s1")
	r.fleet.Under(importer, "strace", "-f", "-y", "-xx", "-s", "40000", "-o", trace,
		"-e", "trace=renameat,renameat2,mkdirat,unlinkat,fsync,fdatasync,syncfs,write")
	r.fill(40)
	r.start()
	r.settle(time.Minute)
	r.must(r.source.Gather(60, 30))
	found := r.verdict(time.Minute)
	r.must(r.fleet.Stop(importer))
	f, err := os.Open(trace)
	r.must(err)
	defer f.Close()
	calls, err := history.ReadTrace(f)
	r.must(err)
	writes, err := history.ReadWrites(r.fleet.Writes("s1"))
	r.must(err)
	paths := map[string][]string{}
	for _, w := range writes {
		paths[w.UID] = append(paths[w.UID], w.Path)
	}
	told := 0
	late := history.JudgeTrace("s1", calls, r.fleet.Path("s1"), strings.TrimSuffix(subject.ImportDone("s1", "x"), "x"), func(uid string) []string {
		told++
		return paths[uid]
	})
	if told < r.source.Len() {
		r.t.Fatalf("the trace shows %d entries of the ledger, want %d and more", told, r.source.Len())
	}
	r.hist.Count("ledger entries traced", told)
	return append(found, late...)
}

// diesInCall are the calls in the course of which an importer or exporter is killed.
var diesInCall = []string{"renameat", "fsync", "syncfs", "mkdirat", "unlinkat", "write", "openat", "symlinkat"}

// TestImporterKilledInTheNthSystemCall kills an importer from outside of the program, at
// calls that no list of steps names.
func TestImporterKilledInTheNthSystemCall(t *testing.T) {
	t.Parallel()
	needStrace(t)
	r := begin(t, 41, fleet.Options{Receivers: 1})
	r.fill(60)
	r.start()
	r.settle(time.Minute)
	importer := fleet.Importer("s1")
	for range tier(1, 10) {
		for _, call := range diesInCall {
			r.injected(importer, call, fmt.Sprintf("signal=SIGKILL:when=%d", 1+r.rnd.IntN(6)), true)
			r.hist.Count("kills in a system call", 1)
		}
	}
	r.alone(importer)
	r.clean(time.Minute)
}

// TestSystemCallsOfTheImporterFail makes each kind of call fail now and then, as a disk
// does that is full or broken.
func TestSystemCallsOfTheImporterFail(t *testing.T) {
	t.Parallel()
	needStrace(t)
	r := begin(t, 42, fleet.Options{Receivers: 1, Site: map[string]string{"s1": "attempts: 50"}})
	r.fill(60)
	r.start()
	r.settle(time.Minute)
	importer := fleet.Importer("s1")
	for _, failing := range []string{
		"fsync:error=EIO:when=2+5", "syncfs:error=EIO:when=1+2", "renameat:error=ENOSPC:when=3+4",
		"mkdirat:error=ENOSPC:when=1+2", "unlinkat:error=EIO:when=1+3", "openat:error=EMFILE:when=40+25",
		"pwrite64,copy_file_range:error=ENOSPC:when=1+3", "fchmodat:error=EIO:when=1+2",
		"utimensat:error=EIO:when=2+5",
	} {
		call, how, _ := strings.Cut(failing, ":")
		r.injected(importer, call, how, false)
		r.hist.Count("syscalls failed", 1)
	}
	r.alone(importer)
	r.clean(2 * time.Minute)
}

// injected runs a role with faults in a system call and works meanwhile: until it has
// died of that, or for a while.
func (r *run) injected(role fleet.Role, call, how string, dies bool) {
	r.t.Helper()
	_ = r.converge(10 * time.Second) // a call that fails may keep it from that
	r.fleet.KillAll(role)
	r.hist.Add("fault", "inject", call, how)
	r.fleet.Under(role, "strace", "-f", "-o", os.DevNull, "-e", "trace="+call, "-e", "inject="+call+":"+how)
	before := r.fleet.Exits(role)
	r.must(r.fleet.Start(r.ctx, role))
	limit := tier(2*time.Second, 5*time.Second)
	if dies {
		limit = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		err := r.fleet.AwaitExit(ctx, role, before)
		if dies && errors.Is(err, context.DeadlineExceeded) {
			r.hist.Add("note", "nothing died", call, how)
		}
	}()
	r.source.Rest()
	for {
		select {
		case <-stop:
			return
		case <-time.After(30 * time.Millisecond):
			r.must(r.source.StepOnce())
		}
	}
}

// alone runs a role without a tracer again.
func (r *run) alone(role fleet.Role) {
	r.t.Helper()
	r.fleet.KillAll(role)
	r.fleet.Under(role)
	r.must(r.fleet.Start(r.ctx, role))
}
