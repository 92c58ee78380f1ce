package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/locate"
)

// Plugin is a plugin as a site uses it. Fields that are empty hold for everything.
type Plugin struct {
	// ID names the plugin: one that is part of the program, or a program that answers for
	// it in the broker.
	ID string `yaml:"id"`
	// Sides are what it is asked for: export, import, locate.
	Sides []string `yaml:"sides"`
	// Priority says when its turn is, lower ones first; the driver has 100.
	Priority int `yaml:"priority"`
	// Events and Types are the operations and the types of objects it is asked about.
	Events []content.Kind `yaml:"events"`
	Types  []string       `yaml:"types"`
	// Format is how a program is asked: FormatMsgpack, which is the default, or FormatJSON.
	Format string `yaml:"format"`
	// Timeout is how long one call may take, 30 seconds by default.
	Timeout Duration `yaml:"timeout"`
}

// Formats of calls.
const (
	FormatMsgpack = "msgpack"
	FormatJSON    = "json"
)

// DefaultPluginTimeout is how long a call of a plugin may take.
const DefaultPluginTimeout = 30 * time.Second

const (
	sideExport = "export"
	sideImport = "import"
	sideLocate = "locate"

	maxPlugins  = 64
	maxPriority = 1000
)

// Has tells whether the plugin is asked for a side.
func (p *Plugin) Has(side string) bool { return slices.Contains(p.Sides, side) }

func (s *Site) setPluginDefaults() {
	for i := range s.Plugins {
		p := &s.Plugins[i]
		if p.Sides == nil && s.Queue != nil {
			p.Sides = []string{sideImport, sideLocate}
		} else if p.Sides == nil {
			p.Sides = []string{sideExport, sideImport, sideLocate}
		}
		setDefault(&p.Format, FormatMsgpack)
		setDefault(&p.Timeout, Duration(DefaultPluginTimeout))
	}
}

var pluginID = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

func (p *parser) checkPlugins(key string, s Site) {
	if len(s.Plugins) > maxPlugins {
		p.add(key+".plugins", "names %d plugins, the limit is %d", len(s.Plugins), maxPlugins)
	}
	seen := map[string]bool{}
	for i := range s.Plugins {
		one, at := &s.Plugins[i], fmt.Sprintf("%s.plugins[%d]", key, i)
		p.checkPlugin(at, s, one)
		if seen[one.ID] {
			p.add(at+".id", "names %s, which the site has already", one.ID)
		}
		seen[one.ID] = true
	}
	for i, rule := range s.Locate {
		if id := rule.Plugin; id != "" && !content.IsBuiltIn(id) && !seen[id] {
			p.add(fmt.Sprintf("%s.locate[%d].plugin", key, i), "names %q, which is neither built in (content, fss, zexp) nor among %s.plugins", id, key)
		}
		if id, asks := locate.Asks(rule.At); asks && !slices.ContainsFunc(s.Plugins, func(one Plugin) bool { return one.ID == id && one.Has(sideLocate) }) {
			p.add(fmt.Sprintf("%s.locate[%d].at", key, i), "asks the plugin %q, which %s.plugins does not name; add `plugins: [{id: %s}]`", id, key, id)
		}
	}
}

func (p *parser) checkPlugin(at string, s Site, one *Plugin) {
	switch {
	case !pluginID.MatchString(one.ID):
		p.add(at+".id", "is %q, want 1 to 32 of a-z, 0-9 and -", one.ID)
	case content.IsBuiltIn(one.ID):
		p.add(at+".id", "names %s, which is built in; the driver of a site does what it does", one.ID)
	}
	known := []string{sideExport, sideImport, sideLocate}
	if s.Queue != nil {
		known = known[1:]
	}
	checkWords(p, at+".sides", one.Sides, known)
	checkWords(p, at+".events", one.Events, []content.Kind{content.Modified, content.Removed})
	checkWords(p, at+".format", []string{one.Format}, []string{FormatMsgpack, FormatJSON})
	switch {
	case one.Priority < 0 || one.Priority > maxPriority:
		p.add(at+".priority", "is %d, want 1 to %d", one.Priority, maxPriority)
	case time.Duration(one.Timeout) < time.Millisecond || time.Duration(one.Timeout) > time.Hour:
		p.add(at+".timeout", "is %v, want 1ms to 1h", time.Duration(one.Timeout))
	}
}

// checkWords refuses words that are not among those that are known here.
func checkWords[T ~string](p *parser, key string, words, known []T) {
	for _, w := range words {
		if !slices.Contains(known, w) {
			var names []string
			for _, k := range known {
				names = append(names, string(k))
			}
			p.add(key, "names %q; known here: %s", w, strings.Join(names, ", "))
		}
	}
}
