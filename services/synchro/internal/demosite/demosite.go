// Package demosite is the small site that `synchro demo` works with: it makes the
// site, edits it as an author would, and compares copies with it. The content is
// made in code, always the same, and knows nothing of Synchro.
package demosite

import (
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// file is one file of the site.
type file struct {
	path string
	data []byte
	mode os.FileMode
}

// begin is the day on which the oldest page of the site was written.
var begin = time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)

// Make writes the site into a folder, which must be there.
func Make(dir string) error {
	files, err := files()
	if err != nil {
		return err
	}
	for i, f := range files {
		at := begin.Add(time.Duration(i) * 53 * time.Hour / 2)
		if err := write(filepath.Join(dir, f.path), f, at); err != nil {
			return fmt.Errorf("make the site: %w", err)
		}
	}
	return nil
}

// files makes the content once: drawing takes a while.
var files = sync.OnceValues(func() ([]file, error) {
	all := []file{
		{"robots.txt", []byte("User-agent: *\nDisallow: /drafts/\n"), 0o644},
		{"style.css", []byte(style), 0o644},
		{"downloads/Übersicht und Preise.csv", []byte(prices), 0o644},
		{"downloads/floor-plan.txt", []byte(floorPlan), 0o644},
		{"drafts/harbour-festival.txt", []byte("Ideas for the festival. Not for the public yet.\n"), 0o640},
	}
	for _, p := range pages {
		data, err := p.html()
		if err != nil {
			return nil, err
		}
		all = append(all, file{p.path, data, 0o644})
	}
	for _, p := range pictures {
		data, err := p.png()
		if err != nil {
			return nil, err
		}
		all = append(all, file{p.path, data, 0o644})
	}
	return all, nil
})

func write(name string, f file, at time.Time) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name, f.data, f.mode); err != nil {
		return err
	}
	if err := os.Chmod(name, f.mode); err != nil { // whatever the umask is
		return err
	}
	return os.Chtimes(name, at, at)
}

var layout = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>{{.Title}} – Harbour Museum</title>
  <link rel="stylesheet" href="/style.css">
</head>
<body>
  <header><img src="/images/logo.png" alt=""> Harbour Museum</header>
  <main>
    <h1>{{.Title}}</h1>
{{- range .Paragraphs}}
    <p>{{.}}</p>
{{- end}}
  </main>
</body>
</html>
`))

// html gives the page as the site shows it.
func (p page) html() ([]byte, error) {
	var b strings.Builder
	err := layout.Execute(&b, struct {
		Title      string
		Paragraphs []string
	}{p.title, strings.Split(strings.TrimSpace(p.text), "\n")})
	if err != nil {
		return nil, fmt.Errorf("make the page %s: %w", p.path, err)
	}
	return []byte(b.String()), nil
}
