package browser

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"synchro.example/tests/fleet"
)

// patience is how long the page may take to show something.
const patience = time.Minute

func TestMain(m *testing.M) {
	code := m.Run()
	fleet.RemoveBuilds()
	os.Exit(code)
}

func TestThePageShowsWhatFlowsLandsAndFails(t *testing.T) {
	p := open(t, newSite(t))
	p.sees("summary", "All 3 sites have everything.")
	p.sees("receivers", "lyon", "paris", "running")

	p.write("hq/<b>news.html", "text")
	p.sees("live", "<b>news.html", "paris", "lyon", "modified")
	if n := p.number(`document.querySelectorAll("#live b").length`); n != 0 {
		t.Error("a name that looks like HTML is taken for HTML")
	}

	p.must(os.Symlink("/nowhere", p.path("paris/<img src=x>")))
	p.write("hq/<img src=x>", "text")
	p.sees("failed", "1 × path-taken", "<img src=x>", "synchro replay --code path-taken")
	p.sees("summary", "1 object failed.")

	p.synchro("pause", "--site", "lyon", "--reason", "moving house")
	p.sees("todo", "lyon", "moving house", "synchro resume --site lyon")
	p.picture()

	p.must(os.Remove(p.path("paris/<img src=x>")))
	p.synchro("resume", "--site", "lyon", "--reason", "moved")
	p.synchro("replay")
	p.sees("summary", "All 3 sites have everything.")
	p.stop()
	p.sees("summary", "This page is not up to date")
	if found := p.complaints(); len(found) > 0 {
		t.Errorf("the browser complains: %q", found)
	}
}

// site is a running binary with a source and two receivers.
type site struct {
	t                 *testing.T
	dir, binary, page string
	stop              func()
}

func newSite(t *testing.T) *site {
	t.Helper()
	binary, err := fleet.Binary()
	s := &site{t: t, dir: t.TempDir(), binary: binary}
	s.must(err)
	broker := s.freeAddress()
	s.page = s.freeAddress()
	for _, name := range []string{"hq", "paris", "lyon"} {
		s.must(os.Mkdir(s.path(name), 0o755))
	}
	s.write("synchro.yaml", fmt.Sprintf(`
broker: {embedded: {dir: ./broker, listen: %q}}
sites:
  hq: {folder: {path: ./hq, rescan: 1s}}
  paris: {folder: {path: ./paris}, attempts: 1}
  lyon: {folder: {path: ./lyon}}
channels: {public: {from: hq, to: [paris, lyon]}}
http: {listen: %q}
`, broker, s.page))
	s.start()
	return s
}

func (s *site) start() {
	cmd := exec.CommandContext(s.t.Context(), s.binary, "up", "--config", s.path("synchro.yaml"))
	var out strings.Builder
	cmd.Stderr = &out
	s.must(cmd.Start())
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil || s.t.Failed() {
			s.t.Logf("synchro up ended with %v:\n%s", err, out.String())
		}
	})
	s.t.Cleanup(s.stop)
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		c, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", s.page)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("nothing answers at %s: %v", s.page, err)
		}
	}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) freeAddress() string {
	s.t.Helper()
	l, err := new(net.ListenConfig).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	s.must(err)
	defer l.Close()
	return l.Addr().String()
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string) {
	s.t.Helper()
	s.must(os.WriteFile(s.path(name), []byte(text), 0o644))
}

func (s *site) synchro(args ...string) {
	s.t.Helper()
	args = append(args, "--config", s.path("synchro.yaml"))
	if out, err := exec.CommandContext(s.t.Context(), s.binary, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("synchro %q: %v\n%s", args, err, out)
	}
}

// page is the dashboard in a browser.
type page struct {
	*site
	tab context.Context

	mu   sync.Mutex
	said []string
}

// open shows the page. The browser keeps to this machine: it asks nobody for updates.
func open(t *testing.T, s *site) *page {
	t.Helper()
	name := browser(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(name), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1200, 1000),
		chromedp.Flag("no-sandbox", os.Geteuid() == 0), chromedp.Flag("disable-component-update", true))
	all, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	p := &page{site: s}
	p.tab, cancel = chromedp.NewContext(all, chromedp.WithListener(p.hear))
	t.Cleanup(cancel)
	p.must(chromedp.Do(p.tab, chromedp.Navigate("http://"+s.page)))
	return p
}

func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	t.Skip("there is no Chromium here: scripts/browser installs it where it can")
	return ""
}

// hear notes what the browser complains about. That it cannot reach a process that was
// stopped is no complaint about the page.
func (p *page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork {
			p.said = append(p.said, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		p.said = append(p.said, fmt.Sprintf("%+v", e.ExceptionDetails))
	}
}

func (p *page) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said
}

// sees waits until a part of the page has all these texts.
func (p *page) sees(id string, texts ...string) {
	p.t.Helper()
	shown := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var err error
		shown, err = chromedp.Run(p.tab, chromedp.Evaluate[string](fmt.Sprintf(`document.getElementById(%q).innerText`, id)))
		p.must(err)
		missing := false
		for _, text := range texts {
			missing = missing || !strings.Contains(shown, text)
		}
		if !missing {
			return
		}
	}
	p.t.Fatalf("#%s shows %q, which has not all of %q", id, shown, texts)
}

func (p *page) number(expression string) int {
	p.t.Helper()
	n, err := chromedp.Run(p.tab, chromedp.Evaluate[int](expression))
	p.must(err)
	return n
}

// picture keeps what is seen in the file that SYNCHRO_PICTURE names.
func (p *page) picture() {
	p.t.Helper()
	if file := os.Getenv("SYNCHRO_PICTURE"); file != "" {
		png, err := chromedp.Run(p.tab, chromedp.FullScreenshot(100))
		p.must(err)
		p.must(os.WriteFile(file, png, 0o644))
	}
}
