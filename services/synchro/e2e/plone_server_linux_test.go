package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// server is an instance of Plone that a test may kill and start again.
type server struct {
	w       *world
	dir     string
	address string
	cmd     *exec.Cmd
}

// serve starts an instance whose data lie in a folder of the world.
func (w *world) serve(dir string) *server {
	w.t.Helper()
	s := &server{w: w, dir: w.path(dir), address: freeAddress(w.t)}
	s.start()
	w.t.Cleanup(s.kill)
	return s
}

func (s *server) start() {
	t := s.w.t
	t.Helper()
	log, err := os.OpenFile(s.w.path("plone.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer log.Close()
	_, port, _ := strings.Cut(s.address, ":")
	s.cmd = exec.CommandContext(t.Context(), "../../../scripts/plone", "run", s.dir, port)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Cancel = func() error { return nil } // the test ends it itself
	must(t, s.cmd.Start())
	s.w.eventually("Plone answers", func() string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address, nil)
		must(t, err)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err.Error()
		}
		return map[bool]string{false: fmt.Sprintf("it answers %d", resp.StatusCode)}[resp.Body.Close() == nil && resp.StatusCode == http.StatusOK]
	})
}

// kill ends the instance as a power cut would, as far as it can see.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may be gone
	_ = s.cmd.Wait()
}
