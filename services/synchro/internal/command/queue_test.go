package command

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"synchro.example/services/bridge/queue"
	"synchro.example/shared/service"
)

func TestClassicNamesAreCommands(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/create_queue -d x":  "queue create -d x",
		"synchronize_queue -s a -d b": "queue sync -s a -d b",
		"./import_queue -p a":         "queue import -p a",
		"/opt/synchro status":         "status",
	} {
		if got := Args(strings.Fields(line)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
	}
}

func TestClassicCommandWithoutItsOptionsPrintsHelp(t *testing.T) {
	for _, verb := range classicNames {
		var out, errOut bytes.Buffer
		if status := Run(t.Context(), []string{"queue", verb}, &out, &errOut); status != classicUsage {
			t.Errorf("queue %s ends with %d, want %d", verb, status, classicUsage)
		}
		if !strings.Contains(out.String(), "Usage:") || errOut.Len() > 0 {
			t.Errorf("queue %s prints %q and %q", verb, &out, &errOut)
		}
	}
}

func TestQueueIsCreated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	for range 2 { // a second time does no harm
		if status := Run(t.Context(), []string{"queue", "create", "-d", dir}, t.Output(), t.Output()); status != 0 {
			t.Fatalf("the status is %d", status)
		}
	}
	if err := queue.Valid(dir); err != nil {
		t.Error(err)
	}
	if status := Run(t.Context(), []string{"queue", "create", "-d", filepath.Join(dir, "no", "where")}, t.Output(), t.Output()); status != 1 {
		t.Errorf("without the folder above the status is %d", status)
	}
}

// queueWorld is a folder with a configuration, two queues and a folder site. It gives the
// options that every command on it has.
func queueWorld(t *testing.T) (dir string, options []string) {
	t.Helper()
	dir = t.TempDir()
	config := `broker: {embedded: {dir: ./b, listen: "127.0.0.1:1"}}
sites:
  a: {folder: {path: ./a}}
  q: {queue: {path: ./q}}
  old: {queue: {path: ./old}, accept: [zexp, fss, delete]}
channels:
  all: {from: q, to: [a]}
`
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "a"), 0o755), queue.Create(filepath.Join(dir, "q")), queue.Create(filepath.Join(dir, "old")),
		os.WriteFile(filepath.Join(dir, "synchro.yaml"), []byte(config), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, []string{"-l", dir, "-V", dir, "--config", filepath.Join(dir, "synchro.yaml")}
}

// export puts a file of the original's into a folder of a queue.
func export(t *testing.T, dir, folder, shape string, second int) {
	t.Helper()
	file, err := os.ReadFile(zsGolden + shape + ".original.zs")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, folder, fmt.Sprintf("data_u_%d.000000_1.zs", 1_700_000_000+second)), file, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir, folder string) int {
	t.Helper()
	all, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestQueueIsImportedIntoASite(t *testing.T) {
	dir, options := queueWorld(t)
	name := filepath.Join(dir, "q/IMPORT/TO_PROCESS/data_u_1700000000.000000_1.zs")
	if err := os.WriteFile(name, []byte("no pickle"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"queue", "import", "-p", filepath.Join(dir, "q"), "-i", "a"}, options...)
	if _, said := command(t, service.LeftOver, args...); !strings.Contains(said, "q.synchro/refused") {
		t.Errorf("it says %q", said)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "synchro.log")); err != nil || !strings.Contains(string(log), "cannot be imported") {
		t.Errorf("the log has %q, %v", log, err)
	}
	command(t, service.Done, args...)
}

func TestQueueIsImportedIntoASiteThatIsAQueue(t *testing.T) {
	dir, options := queueWorld(t)
	export(t, dir, "q/IMPORT/TO_PROCESS", "leaked", 1)
	export(t, dir, "q/IMPORT/TO_PROCESS", "page", 2) // its export is none
	args := append([]string{"queue", "import", "-p", filepath.Join(dir, "q"), "-i", "old"}, options...)
	if out, _ := command(t, service.LeftOver, args...); out != "1 file imported, 1 in ERROR\n" {
		t.Errorf("it prints %q", out)
	}
	if n := files(t, dir, "old/IMPORT/TO_PROCESS"); n != 1 {
		t.Errorf("%d files came", n)
	}
	args = append([]string{"queue", "import", "-p", filepath.Join(dir, "old"), "-i", "old"}, options...)
	command(t, service.Usage, args...)
}

func TestQueueIsSentThroughTheBroker(t *testing.T) {
	dir, options := queueWorld(t)
	export(t, dir, "q/EXPORT/TO_PROCESS", "leaked", 1)
	// As an old crontab has it, with the one word more.
	args := append([]string{"queue", "sync", "-s", filepath.Join(dir, "q"), "-d", "/srv/queue", "-u", "zope", "-H", "paris", "--broker"}, options...)
	command(t, service.Done, args...)
	if n := files(t, dir, "q/EXPORT/DONE"); n != 1 {
		t.Errorf("%d files are in DONE", n)
	}
	export(t, dir, "q/EXPORT/TO_PROCESS", "page", 2) // no export is accepted
	if _, said := command(t, service.LeftOver, args...); !strings.Contains(said, "EXPORT/ERROR") {
		t.Errorf("it says %q", said)
	}
	args[3] = filepath.Join(dir, "old")
	if _, said := command(t, service.Usage, args...); !strings.Contains(said, "only from "+filepath.Join(dir, "q")) {
		t.Errorf("it says %q", said)
	}
	config := options[len(options)-1]
	if out, _ := command(t, service.LeftOver, "up", "--once", "--config", config); !strings.Contains(out, "a     -          2") {
		t.Errorf("it prints %q", out)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "a/d/f")); err != nil || len(b) == 0 {
		t.Errorf("the site has %q, %v", b, err)
	}
}
