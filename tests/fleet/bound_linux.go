package fleet

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// The kernel kills a child when the thread that made it ends, so all are made by one
// thread that lives as long as the test's process: none outlives a test that is killed.
var starter = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for do := range work {
			do()
		}
	}()
	return work
})

func startBound(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	result := make(chan error)
	starter() <- func() { result <- cmd.Start() }
	return <-result
}
