package command

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"synchro.example/services/bridge/queue"
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

func TestQueueIsImportedIntoASite(t *testing.T) {
	dir := t.TempDir()
	config := "broker: {embedded: {dir: ./b}}\nsites: {a: {folder: {path: ./a}}}\n"
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "a"), 0o755), queue.Create(filepath.Join(dir, "q")),
		os.WriteFile(filepath.Join(dir, "synchro.yaml"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(dir, "q/IMPORT/TO_PROCESS/data_u_1700000000.000000_1.zs"), []byte("no pickle"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"queue", "import", "-p", filepath.Join(dir, "q"), "-i", "a", "-l", dir, "-V", dir, "--config", filepath.Join(dir, "synchro.yaml")}
	if status := Run(t.Context(), args, t.Output(), t.Output()); status != 3 {
		t.Errorf("with a file in ERROR the status is %d", status)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "synchro.log")); err != nil || !strings.Contains(string(log), "cannot be imported") {
		t.Errorf("the log has %q, %v", log, err)
	}
	if status := Run(t.Context(), args, t.Output(), t.Output()); status != 0 {
		t.Errorf("with nothing to do the status is %d", status)
	}
}
