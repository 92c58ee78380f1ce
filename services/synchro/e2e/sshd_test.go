//go:build unix

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sshServer is a real OpenSSH server on loopback, with a key that it takes. It serves the
// account of the test.
type sshServer struct {
	dir, address, user string
}

// tool finds a program of OpenSSH, and leaves the test out where it is missing.
func tool(t testing.TB, name string, folders ...string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, folder := range folders {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path
		}
	}
	t.Skipf("there is no %s: OpenSSH's client and server are needed", name)
	return ""
}

func startSSHServer(t testing.TB) *sshServer {
	t.Helper()
	self, err := user.Current()
	must(t, err)
	s := &sshServer{dir: t.TempDir(), address: freeAddress(t), user: self.Username}
	sshd := tool(t, "sshd", "/usr/sbin", "/sbin", "/usr/local/sbin")
	sftp := tool(t, "sftp-server", "/usr/lib/openssh", "/usr/libexec/openssh", "/usr/libexec", "/usr/lib/ssh")
	must(t, os.MkdirAll(filepath.Join(s.dir, ".ssh"), 0o700))
	s.makeKey(t, "host")
	s.makeKey(t, ".ssh/id_ed25519")
	_, port, err := net.SplitHostPort(s.address)
	must(t, err)
	s.write(t, "sshd_config", fmt.Sprintf(`Port %s
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
Subsystem sftp %s
`, port, s.path("host"), s.path(".ssh/id_ed25519.pub"), sftp))
	public, err := os.ReadFile(s.path("host.pub"))
	must(t, err)
	s.write(t, ".ssh/known_hosts", fmt.Sprintf("[127.0.0.1]:%s %s", port, public))
	s.clients(t, port)
	if self.Uid == "0" {
		must(t, os.MkdirAll("/run/sshd", 0o755)) // where it wants to lock itself in
	}
	server := exec.CommandContext(t.Context(), sshd, "-D", "-e", "-f", s.path("sshd_config"))
	var said strings.Builder
	server.Stderr = &said
	must(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	for range 100 {
		if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.address); err == nil {
			must(t, conn.Close())
			return s
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the server does not listen:\n%s", said.String())
	return nil
}

// clients puts an ssh and an sftp into a folder that reach this server, whatever host is
// named: the original has no option for a port.
func (s *sshServer) clients(t testing.TB, port string) {
	t.Helper()
	s.write(t, "ssh_config", fmt.Sprintf(`Host *
  HostName 127.0.0.1
  Port %s
  IdentityFile %s
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %s
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
`, port, s.path(".ssh/id_ed25519"), s.path(".ssh/known_hosts")))
	for _, name := range []string{"ssh", "sftp"} {
		s.write(t, "bin/"+name, fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", tool(t, name), s.path("ssh_config")))
		must(t, os.Chmod(s.path("bin/"+name), 0o755))
	}
}

func (s *sshServer) makeKey(t testing.TB, name string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), tool(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", s.path(name))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func (s *sshServer) path(name string) string { return filepath.Join(s.dir, name) }

func (s *sshServer) write(t testing.TB, name, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	must(t, os.WriteFile(s.path(name), []byte(text), 0o600))
}

// env is what a program needs that is to find the server: its clients, and its keys.
func (s *sshServer) env() []string {
	return append(os.Environ(), "PATH="+s.path("bin")+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+s.dir, "SSH_AUTH_SOCK=")
}
