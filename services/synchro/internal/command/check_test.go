package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"synchro.example/shared/preflight"
	"synchro.example/shared/service"
)

// twoFolders gives a configuration of two folders, with the folder that has it.
func twoFolders(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	for _, site := range []string{"hq", "paris"} {
		if err := os.Mkdir(filepath.Join(dir, site), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file = filepath.Join(dir, "synchro.yaml")
	text := `
broker: {embedded: {dir: ./broker}}
sites:
  hq: {folder: {path: ./hq}}
  paris: {folder: {path: ./paris}}
channels:
  public: {from: hq, to: [paris]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func run(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = Run(t.Context(), args, &o, &e)
	return status, o.String(), e.String()
}

func TestACheckBeforeAnythingHasRunWritesNothing(t *testing.T) {
	dir, file := twoFolders(t)
	status, out, errOut := run(t, "check", "--config", file, "--json")
	if status != service.Done {
		t.Errorf("status %d: %s%s", status, out, errOut)
	}
	var lines []checkLine
	if err := json.Unmarshal([]byte(out), &lines); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, l := range lines {
		seen[l.Site+" "+l.Check] = true
	}
	for _, want := range []string{" broker", "hq folder", "paris folder", "paris staging", "paris rights", "paris room"} {
		if !seen[want] {
			t.Errorf("%q is not looked at", want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}

func TestACheckThatFailsSaysWhatToDo(t *testing.T) {
	dir, file := twoFolders(t)
	if err := os.Remove(filepath.Join(dir, "paris")); err != nil {
		t.Fatal(err)
	}
	status, out, errOut := run(t, "check", "--config", file)
	if status != service.Failed || !strings.Contains(errOut, "1 of ") {
		t.Errorf("status %d: %s", status, errOut)
	}
	for _, want := range []string{string(preflight.Failed), "→ Create it, or mount what belongs there."} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	if status, out, _ := run(t, "check", "--config", file, "--site", "hq"); status != service.Done || strings.Contains(out, "paris") {
		t.Errorf("of hq alone it says, with status %d,\n%s", status, out)
	}
}

func TestWhoAsksForWhatIsNotThereIsTold(t *testing.T) {
	_, file := twoFolders(t)
	for _, args := range [][]string{
		{"check", "--site", "rome"},
		{"adopt", "--site", "rome", "--reason", "x"},
		{"adopt", "--reason", "x"},
		{"adopt", "--site", "hq"},
		{"adopt", "--site", "hq", "--reason", "folders have no identity"},
	} {
		if status, _, errOut := run(t, append(args, "--config", file)...); status != service.Usage || errOut == "" {
			t.Errorf("%v: status %d, %s", args, status, errOut)
		}
	}
}
