package command

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"synchro.example/services/synchro/internal/demosite"
	"synchro.example/shared/content"
	"synchro.example/shared/service"
)

// screen is a terminal that a test looks at while somebody writes.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the screen shows something.
func (s *screen) await(t *testing.T, want string) {
	t.Helper()
	pattern := regexp.MustCompile(want)
	for end := time.Now().Add(time.Minute); !pattern.MatchString(s.String()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the screen does not show %q, but:\n%s", want, s)
		}
	}
}

func TestDemoOnceEndsWithEqualSitesAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var out, errOut screen
	if status := Run(t.Context(), []string{"demo", "--once"}, &out, &errOut); status != service.Done {
		t.Fatalf("the status is %d, want 0:\n%s\n%s", status, &out, &errOut)
	}
	for _, want := range []string{
		`rename the folder`, `moved +shows/  \(\d+ ms after capture\)`, `removed +downloads/floor-plan.txt`,
		`created +news/2026/night-of-lights.html`, `modified +news/2026/opening-hours.html`,
		`(?s)SITE .*hq +\d+ +\d+ +\(the source\).*lyon +\d+ +\d+ +0\n.*nice +\d+ +\d+ +0\n.*paris +\d+ +\d+ +0\n`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("the output has no %q:\n%s", want, &out)
		}
	}
	if errOut.String() != "" {
		t.Errorf("there are complaints:\n%s", &errOut)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDemoShowsWhatIsEditedByHandAndKeepsTheFolder(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var out, errOut screen
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() { ended <- Run(ctx, []string{"demo"}, &out, &errOut) }()
	out.await(t, "Stop it with Ctrl-C")
	hq, err := filepath.Glob(dir + "/synchro-demo-*/hq")
	if err != nil || len(hq) != 1 {
		t.Fatalf("the source is %v, %v", hq, err)
	}
	if err := os.WriteFile(hq[0]+"/new page.html", []byte("<p>by hand</p>"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, site := range []string{"paris", "lyon", "nice"} {
		out.await(t, site+` +created +new page.html`)
	}
	interrupt()
	if status := <-ended; status != service.Done {
		t.Errorf("the status is %d, want 0: %s", status, &errOut)
	}
	out.await(t, `is kept; .*\n.* up --config .*/synchro.yaml\n.*\n  rm -r `)
	if _, err := os.Stat(hq[0]); err != nil {
		t.Errorf("the folder is not kept: %v", err)
	}
}

func TestDemoThatIsStoppedBeforeItsEndHasFailed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var out, errOut screen
	if status := Run(ctx, []string{"demo", "--once"}, &out, &errOut); status != service.Failed {
		t.Errorf("the status is %d, want 1", status)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDemoNamesTheDifference(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out screen
	d, err := newDemo(t.Context(), &app{out: &out, err: &out})
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range d.config.Receivers() {
		if err := demosite.Make(d.path(site)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(d.path("nice")+"/index.html", []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	err = d.compare()
	if err == nil || !strings.Contains(err.Error(), `nice is not equal to hq: "index.html" has other bytes`) {
		t.Errorf("the error is %v", err)
	}
	if !regexp.MustCompile(`nice +\d+ +\d+ +[1-9]`).MatchString(out.String()) {
		t.Errorf("the table does not count it:\n%s", &out)
	}
}

func TestLandingsSayWhatHappened(t *testing.T) {
	var out screen
	l := newLandings(&out)
	change := &content.Change{Kind: content.Modified, Object: content.Object{UID: "u", Path: "a"}, CapturedAt: time.Now()}
	l.tell("paris", "a", change)
	l.show()
	l.tell("lyon", "a", change)
	l.tell("paris", "a", change)
	l.tell("paris", "b\x1b[2J", change)
	removed := *change
	removed.Kind = content.Removed
	l.tell("paris", "", &removed)
	l.tell("paris", "a", change)
	want := `^  \S+  lyon   created   a  \(\d+ ms after capture\)
  \S+  paris  modified  a .*
  \S+  paris  moved     b\\x1b\[2J .*
  \S+  paris  removed   a .*
  \S+  paris  created   a .*
$`
	if !regexp.MustCompile(want).MatchString(out.String()) {
		t.Errorf("the output is:\n%s", &out)
	}
}

func TestInvocationCanBeTypedAgain(t *testing.T) {
	for program, want := range map[string]string{
		"./synchro":                         "./synchro",
		"synchro":                           "synchro",
		"/tmp/go-build123/b001/exe/synchro": "go run ./services/synchro",
		"/home/ann/.cache/go-build/ab/ab-d/synchro": "go run ./services/synchro",
	} {
		if got := invocation(program); got != want {
			t.Errorf("%s is typed as %q, want %q", program, got, want)
		}
	}
}
