//go:build unix

package folder

import (
	"os"
	"path/filepath"
	"testing"

	"synchro.example/shared/preflight"
)

func TestACheckOfAFolder(t *testing.T) {
	both := preflight.Roles{Source: true, Receiver: true, Thorough: true}
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		opts Options
		want string // the check that fails, empty for none
	}{
		"that is fit":                          {Options{Path: tree}, ""},
		"that is not there":                    {Options{Path: filepath.Join(dir, "none")}, "folder"},
		"that is none":                         {Options{Path: emptyFile(t, dir)}, "folder"},
		"whose staging lies in it":             {Options{Path: tree, Staging: filepath.Join(tree, "staging")}, "staging"},
		"whose staging is on another system":   {Options{Path: tree, Staging: "/dev/shm"}, "staging"},
		"whose staging cannot be made at all":  {Options{Path: tree, Staging: filepath.Join(dir, "no", "such", "place")}, "staging"},
		"in which nothing can be made (/proc)": {Options{Path: "/proc", Staging: filepath.Join(dir, "staging")}, "staging"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat("/dev/shm"); err != nil && c.opts.Staging == "/dev/shm" {
				t.Skip("there is no /dev/shm")
			}
			r := Check(c.opts, both)
			failed := r.Failed()
			switch {
			case c.want == "" && len(failed) > 0, c.want != "" && len(failed) == 0:
				t.Fatalf("it finds %v", r)
			case c.want != "" && (failed[0].Check != c.want || failed[0].Do == ""):
				t.Errorf("it finds %v, want %s to fail", failed, c.want)
			}
		})
	}
	if left, err := os.ReadDir(tree); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("beside the tree it leaves %v, %v", left, err)
	}
}

func emptyFile(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
