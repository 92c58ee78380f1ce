package config

import (
	"slices"
	"strings"
	"time"

	"synchro.example/shared/content"
)

// Queue is the driver for a classic queue.
type Queue struct {
	// Path is the folder with EXPORT and IMPORT.
	Path string `yaml:"path"`
	// Rescan is the time between looks into the queue.
	Rescan Duration `yaml:"rescan"`
	// Keep is how long files stay in DONE.
	Keep Duration `yaml:"keep"`
}

// Defaults of a queue.
const (
	DefaultQueueRescan = 500 * time.Millisecond
	DefaultQueueKeep   = 30 * 24 * time.Hour
)

func (q *Queue) setDefaults() {
	setDefault(&q.Rescan, Duration(DefaultQueueRescan))
	setDefault(&q.Keep, Duration(DefaultQueueKeep))
}

// classicPlugins are those whose payloads have a place in a classic file.
var classicPlugins = []string{content.PluginZEXP, content.PluginFSS, content.PluginDelete}

// AcceptedByDefault gives all but exports, which are code to whoever loads them.
func AcceptedByDefault() []string { return []string{content.PluginFSS, content.PluginDelete} }

func (p *parser) checkQueue(key string, s Site) {
	if s.Queue.Path == "" {
		p.add(key+".queue.path", "is missing")
	}
	if s.Mirror != "" {
		p.add(key+".mirror", "has no meaning here; the site is a classic queue itself")
	}
	for _, plugin := range s.Accept {
		if !slices.Contains(classicPlugins, plugin) {
			p.add(key+".accept", "names %q; a queue takes %s", plugin, strings.Join(classicPlugins, ", "))
		}
	}
}

// checkNoQueue refuses keys that only mean something for a queue.
func (p *parser) checkNoQueue(key string, s Site) {
	if s.Accept != nil {
		p.add(key+".accept", "has no meaning here; only a queue takes it in this version")
	}
	if s.ZEXPAllow != "" {
		p.add(key+".zexp_allow", "has no meaning here; only a queue takes it")
	}
}
