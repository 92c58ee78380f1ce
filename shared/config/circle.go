package config

import (
	"slices"
	"strings"
)

// Circle gives the sites, in order, whose channels lead from a site to it and back, with the
// site itself; nil when none do. What is edited on one of them reaches all others.
func (c *Config) Circle(site string) []string {
	ahead := c.reachable(site)
	if !ahead[site] {
		return nil
	}
	return sortedSet(func(yield func(string)) {
		for other := range ahead {
			if c.reachable(other)[site] {
				yield(other)
			}
		}
	})
}

// reachable gives the sites that something of a site can get to.
func (c *Config) reachable(site string) map[string]bool {
	seen := map[string]bool{}
	for next := []string{site}; len(next) > 0; next = next[1:] {
		for _, ch := range c.Channels {
			if ch.From != next[0] {
				continue
			}
			for _, to := range ch.To {
				if !seen[to] {
					seen[to] = true
					next = append(next, to)
				}
			}
		}
	}
	return seen
}

// HasCircles tells whether anything can come back to where it began.
func (c *Config) HasCircles() bool {
	return slices.ContainsFunc(c.Sources(), func(site string) bool { return c.Circle(site) != nil })
}

// checkCircle refuses what cannot be brought back to where it came from.
func (p *parser) checkCircle(c *Config, site string) {
	circle, s := c.Circle(site), c.Sites[site]
	if circle == nil {
		p.checkTwice(c, site)
		return
	}
	names := strings.Join(circle, ", ")
	switch why := s.offCircle(); {
	case why != "":
		p.add("sites."+site, "lies on a circle of channels (%s); in this version only folders of files can: %s", names, why)
	case len(s.Plugins) > 0:
		p.add("sites."+site+".plugins", "cannot be on a circle of channels (%s): what a plugin makes of a change would come back as another one", names)
	case len(s.Locate) > 0:
		p.add("sites."+site+".locate", "cannot be on a circle of channels (%s): what is edited here could not be put back to where it came from", names)
	case s.Drift == DriftRepair:
		p.add("sites."+site+".drift", "cannot be %s on a circle of channels (%s): what is edited here goes to the others", DriftRepair, names)
	}
}

// offCircle says why a site cannot lie on a circle; empty when it can. Its driver has to tell
// what came through Synchro from what was made there, and to leave alone what was edited
// since it was looked at.
func (s Site) offCircle() string {
	switch {
	case s.Queue != nil:
		return "what a classic site has imported it exports again as its own"
	case s.Plone != nil:
		return "Plone cannot be asked to write something only if nobody has edited it meanwhile"
	case s.Seed != nil:
		return "an export takes nothing"
	case s.Folder != nil && s.Folder.Form == FormObjects:
		return "an object is several files there, which cannot be looked at and written as one"
	}
	return ""
}

// checkMixed refuses that one channel leads on round a circle and out of it, where something can
// leave a channel of the circle: that goes no further on the circle, and has to outside.
func (p *parser) checkMixed(key string, ch Channel, c *Config) {
	circle := c.Circle(ch.From)
	outside := func(site string) bool { return !slices.Contains(circle, site) }
	if circle == nil || !slices.ContainsFunc(ch.To, outside) || !slices.ContainsFunc(ch.To, func(site string) bool { return !outside(site) }) {
		return
	}
	for _, name := range c.ChannelNames() {
		if one := c.Channels[name]; one.Expression != "" && !outside(one.From) {
			p.add(key+".to", "has sites that lie on a circle of channels (%s) and others, and channel %s of the circle has an expression; write one channel for each kind",
				strings.Join(circle, ", "), name)
			return
		}
	}
}

// checkTwice refuses that a site gets the same objects from two sites of one circle.
func (p *parser) checkTwice(c *Config, site string) {
	seen := map[string]string{}
	for _, ch := range c.ChannelsTo(site) {
		from := c.Channels[ch].From
		circle := strings.Join(c.Circle(from), ", ")
		if other := seen[circle]; circle != "" && other != "" && other != from {
			p.add("channels."+ch+".to", "%s and %s lie on one circle of channels (%s) and have the same objects; let %s have them from one of them", other, from, circle, site)
		}
		seen[circle] = from
	}
}
