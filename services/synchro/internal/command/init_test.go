package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"synchro.example/shared/config"
	"synchro.example/shared/service"
)

func TestInitWritesWhatUpCanRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "sites")
	var out, errOut bytes.Buffer
	if status := Run(t.Context(), []string{"init", dir}, &out, &errOut); status != service.Done {
		t.Fatalf("the status is %d, want 0: %s", status, &errOut)
	}
	c, err := config.Load(filepath.Join(dir, config.DefaultFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, site := range c.Sites {
		if info, err := os.Stat(site.Folder.Path); err != nil || !info.IsDir() {
			t.Errorf("site %s has no folder: %v", name, err)
		}
		if !strings.Contains(out.String(), filepath.Join(dir, name)) {
			t.Errorf("the folder of site %s is not named:\n%s", name, &out)
		}
	}
	if !strings.Contains(out.String(), "up --config "+c.File) {
		t.Errorf("the next command is not named:\n%s", &out)
	}
}

func TestInitLeavesAConfigurationAlone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, config.DefaultFile)
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	if status := Run(t.Context(), []string{"init", dir}, &out, &errOut); status != service.Usage {
		t.Errorf("the status is %d, want 2", status)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file is now %q, %v", b, err)
	}
	if !strings.Contains(errOut.String(), file+" is there already") {
		t.Errorf("it says %q", &errOut)
	}
}
