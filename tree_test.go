package workspace

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// tree is what the checks look at: the repository, read once.
type tree struct {
	work    *modfile.WorkFile
	modules map[string]*modfile.File // by folder
	sources map[string]*ast.File     // by path, without tests
	scripts map[string]script        // by path
	pages   map[string]string        // of docs, by path
}

// script is a shell script, or a file that is named like one.
type script struct {
	text       string
	executable bool
}

// read reads the repository that fsys holds.
func read(t *testing.T, fsys fs.FS) *tree {
	t.Helper()
	r := &tree{
		modules: make(map[string]*modfile.File),
		sources: make(map[string]*ast.File),
		scripts: make(map[string]script),
		pages:   make(map[string]string),
	}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(name):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		return r.add(fsys, name, entry)
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.work == nil {
		t.Fatal("there is no go.work")
	}
	return r
}

// skipped tells folders that hold nothing of ours, or files that are wrong on purpose.
func skipped(dir string) bool {
	base := path.Base(dir)
	return base == "testdata" || base == "node_modules" ||
		base != "." && base != ".ci" && strings.HasPrefix(base, ".")
}

// add keeps the file when one of the checks asks for it.
func (r *tree) add(fsys fs.FS, name string, entry fs.DirEntry) error {
	base := path.Base(name)
	isGo := strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go")
	mayBeScript := path.Ext(base) == "" || path.Ext(base) == ".sh"
	isPage := path.Dir(name) == "docs" && path.Ext(base) == ".md"
	if base != "go.mod" && name != "go.work" && !isGo && !mayBeScript && !isPage {
		return nil
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if info.Size() > 1<<20 {
		return nil // a binary left in the tree
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	switch {
	case name == "go.work":
		r.work, err = modfile.ParseWork(name, data, nil)
	case base == "go.mod":
		r.modules[path.Dir(name)], err = modfile.Parse(name, data, nil)
	case isGo:
		r.sources[name], err = parser.ParseFile(token.NewFileSet(), name, data, parser.ParseComments)
	case isPage:
		r.pages[name] = string(data)
	case isShell(base, string(data)):
		r.scripts[name] = script{text: string(data), executable: info.Mode()&0o111 == 0o111}
	}
	return err
}

// isShell knows a script by its name or by its first line.
func isShell(base, text string) bool {
	first, _, _ := strings.Cut(text, "\n")
	return strings.HasSuffix(base, ".sh") || strings.HasPrefix(first, "#!") && strings.HasSuffix(first, "sh")
}
