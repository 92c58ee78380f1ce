// Package overlay builds the program with changes that no repository file has: planted
// bugs that the judge must find, points at which a process kills itself, and a scripted
// target. The compiler is given patched copies (go build -overlay), so that the product
// holds nothing of it. Everything is in one binary, asleep until the environment wakes it.
package overlay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"synchro.example/tests/fleet"
)

// A Patch puts text in place of other text that a file has exactly once.
type Patch struct{ File, Old, New string }

// plants is the package that patched code calls, and where it is put for that.
var plants = []string{"plant.go", "target.go"}

const (
	plantsFrom = "tests/overlay/plant"
	plantsTo   = "shared/plant"
	importing  = `"synchro.example/shared/plant"`
)

var built struct {
	sync.Once
	file string
	err  error
}

// Binary builds the program with all patches, once in a process.
func Binary() (string, error) {
	built.Do(func() { built.file, built.err = build(context.Background(), All()) })
	return built.file, built.err
}

func build(ctx context.Context, patches []Patch) (string, error) {
	root, err := fleet.Repository()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "synchro-overlay-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	replace, err := apply(root, dir, patches)
	if err != nil {
		return "", err
	}
	for _, name := range plants {
		replace[filepath.Join(root, plantsTo, name)] = filepath.Join(root, plantsFrom, name)
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, list, 0o644); err != nil {
		return "", err
	}
	return fleet.Build(ctx, "synchro-planted", "-overlay", file)
}

// apply writes patched copies into dir and says which file each stands for.
func apply(root, dir string, patches []Patch) (map[string]string, error) {
	texts := map[string]string{}
	var errs []error
	for _, p := range patches {
		text, ok := texts[p.File]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, p.File))
			if err != nil {
				errs = append(errs, err)
				continue
			}
			text = string(b)
		}
		if n := strings.Count(text, p.Old); n != 1 {
			errs = append(errs, fmt.Errorf("a patch does not fit any more: %s has %d times %q; look where that went", p.File, n, p.Old))
			continue
		}
		texts[p.File] = strings.Replace(text, p.Old, p.New, 1)
	}
	replace := map[string]string{}
	for name, text := range texts {
		copied := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		text = withImport(text)
		errs = append(errs, os.WriteFile(copied, []byte(text), 0o644))
		replace[filepath.Join(root, name)] = copied
	}
	return replace, errors.Join(errs...)
}

// withImport puts the import of the planted package behind the package clause.
func withImport(text string) string {
	i := strings.Index(text, "\npackage ")
	if strings.HasPrefix(text, "package ") {
		i = -1
	}
	end := i + 1 + strings.Index(text[i+1:], "\n")
	return text[:end] + "\n\nimport " + importing + "\n" + text[end:]
}
