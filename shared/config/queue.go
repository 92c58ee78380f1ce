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

// takes gives the plugins whose payloads a site can take at all, and which of them it does
// when nothing is said: all but exports, which are code to whoever loads them. Only a queue
// hands exports on.
func (s Site) takes() (can, normal []string) {
	if s.Queue != nil {
		return []string{content.PluginZEXP, content.PluginFSS, content.PluginDelete}, []string{content.PluginFSS, content.PluginDelete}
	}
	can = []string{content.PluginContent, content.PluginFSS, content.PluginDelete}
	return can, can
}

func (p *parser) checkAccept(key string, s Site) {
	can, _ := s.takes()
	for _, plugin := range s.Accept {
		if !slices.Contains(can, plugin) {
			p.add(key+".accept", "names %q; this site can take %s", plugin, strings.Join(can, ", "))
		}
	}
}

func (p *parser) checkQueue(key string, s Site) {
	if s.Queue.Path == "" {
		p.add(key+".queue.path", "is missing")
	}
	if s.Mirror != "" {
		p.add(key+".mirror", "has no meaning here; the site is a classic queue itself")
	}
}

// checkNoQueue refuses keys that only mean something for a queue.
func (p *parser) checkNoQueue(key string, s Site) {
	if s.ZEXPAllow != "" {
		p.add(key+".zexp_allow", "has no meaning here; only a queue takes it")
	}
}
