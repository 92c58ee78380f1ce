//go:build !linux

package fleet

import (
	"os/exec"
	"syscall"
)

func startBound(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}
