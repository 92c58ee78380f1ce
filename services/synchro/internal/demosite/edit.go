package demosite

import (
	"os"
	"path/filepath"
)

// Edit is one thing that an author does to the site.
type Edit struct {
	What string // in a few words
	Do   func() error
}

// Edits change a site, that Make has made in dir, in each of the ways in which sites
// change, one after the other.
func Edits(dir string) []Edit {
	at := func(name string) string { return filepath.Join(dir, name) }
	added := page{"news/2026/night-of-lights.html", "Night of lights", "On 14 August every window that faces the sea is lit."}
	return []Edit{
		{"edit the page news/2026/opening-hours.html", func() error { return add(at("news/2026/opening-hours.html"), "<!-- checked -->\n") }},
		{"write a new page " + added.path, func() error { return added.write(at(added.path)) }},
		{"rename the folder exhibitions to shows", func() error { return os.Rename(at("exhibitions"), at("shows")) }},
		{"remove downloads/floor-plan.txt", func() error { return os.Remove(at("downloads/floor-plan.txt")) }},
	}
}

func add(name, text string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(old, text...), 0o644)
}

func (p page) write(name string) error {
	data, err := p.html()
	if err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}
