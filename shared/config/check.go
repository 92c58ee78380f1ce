package config

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"synchro.example/shared/locate"
)

var siteName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// resolve makes every path relative to the folder of the configuration.
func (c *Config) resolve(dir string) {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	paths := []*string{&c.Broker.Creds, &c.Broker.TokenFile, &c.Broker.TLS.CA, &c.Broker.TLS.Cert, &c.Broker.TLS.Key}
	if e := c.Broker.Embedded; e != nil {
		paths = append(paths, &e.Dir, &e.TokenFile)
	}
	for name, s := range c.Sites {
		if s.Queue != nil {
			paths = append(paths, &s.Queue.Path)
		}
		for _, p := range []*string{&s.ZEXPAllow, &s.Mirror, &s.Sign} {
			if *p != "" && !filepath.IsAbs(*p) {
				*p = filepath.Join(dir, *p)
			}
		}
		c.Sites[name] = s
		if s.Folder != nil {
			paths = append(paths, &s.Folder.Path, &s.Folder.Staging, &s.Folder.Writes)
		}
		if s.Plone != nil {
			paths = append(paths, s.Plone.paths()...)
		}
		if s.Seed != nil {
			paths = append(paths, &s.Seed.Path)
		}
	}
	for name, ch := range c.Channels {
		if ch.Sign != "" && !filepath.IsAbs(ch.Sign) {
			ch.Sign = filepath.Join(dir, ch.Sign)
		}
		c.Channels[name] = ch
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

func (p *parser) check(c *Config) {
	p.checkBroker(&c.Broker)
	if time.Duration(c.Tombstones) < time.Second {
		p.add("tombstones", "is %v, want at least 1s", time.Duration(c.Tombstones))
	}
	if len(c.Sites) == 0 {
		p.add("sites", "is empty; name at least one site")
	}
	for _, name := range sortedKeys(c.Sites) {
		p.checkSite("sites."+name, name, c.Sites[name])
	}
	for _, name := range sortedKeys(c.Channels) {
		p.checkChannel("channels."+name, name, c)
		p.checkMixed("channels."+name, c.Channels[name], c)
	}
	p.checkShared(c)
	for _, site := range c.Receivers() {
		p.checkConditions(c, site)
		p.checkApart(c, site)
		p.checkCircle(c, site)
	}
	p.checkFolders(c)
	p.checkSecrets(c)
	if l := c.HTTP.Listen; l != "" {
		p.checkAddress("http.listen", l)
	}
}

func (p *parser) checkBroker(b *Broker) {
	switch {
	case b.Embedded == nil && b.URL == "":
		p.add("broker", "is missing; write `broker: {embedded: {dir: ./broker}}` or `broker: {url: nats://HOST:4222}`")
	case b.Embedded != nil && b.URL != "":
		p.add("broker", "has both embedded and url; keep one")
	case b.Embedded != nil:
		p.checkAddress("broker.embedded.listen", b.Embedded.Listen)
	}
	if b.Embedded != nil && (b.Creds != "" || b.TokenFile != "" || b.TLS != TLS{}) {
		p.add("broker", "creds, token_file and tls beside embedded have no meaning; an embedded broker takes embedded.token_file")
	}
}

func (p *parser) checkAddress(key, addr string) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		p.add(key, "%q is not an address of the form HOST:PORT", addr)
	}
}

func (p *parser) checkSite(key, name string, s Site) {
	if !siteName.MatchString(name) {
		p.add(key, "is not a usable name: want 1 to 32 of a-z, 0-9 and -")
	}
	if s.Queue == nil {
		p.checkNoQueue(key, s)
	}
	p.checkAccept(key, s)
	p.checkKeys(key, s.SignedBy)
	switch s.drivers() {
	case 1:
	case 0:
		p.add(key, "has no driver; this version has: folder, plone, queue, seed")
	default:
		p.add(key, "has more than one driver; keep one")
	}
	switch {
	case s.Queue != nil:
		p.checkQueue(key, s)
	case s.Plone != nil:
		p.checkPlone(key+".plone", s.Plone)
	case s.Seed != nil && s.Seed.Path == "":
		p.add(key+".seed.path", "is missing; it is the folder, the zip or the JSON file of an export")
	case s.Folder != nil:
		p.checkFolder(key+".folder", s.Folder)
	}
	if s.Drift != DriftReport && s.Drift != DriftRepair {
		p.add(key+".drift", "is %q, want %s or %s", s.Drift, DriftReport, DriftRepair)
	}
	p.checkLocate(key+".locate", s)
	p.checkPlugins(key, s)
	most := maxWorkers
	if s.Queue != nil {
		most = maxWindow
	}
	p.checkRange(key+".workers", s.Workers, most)
	p.checkRange(key+".window", s.Window, maxWindow)
	p.checkRange(key+".attempts", s.Attempts, maxAttempts)
}

func (p *parser) checkFolder(key string, f *Folder) {
	if f.Path == "" {
		p.add(key+".path", "is missing")
	}
	if f.Form != FormFiles && f.Form != FormObjects {
		p.add(key+".form", "is %q, want %s or %s", f.Form, FormFiles, FormObjects)
	}
}

// drivers counts those that a site has.
func (s Site) drivers() (n int) {
	for _, has := range []bool{s.Folder != nil, s.Plone != nil, s.Queue != nil, s.Seed != nil} {
		if has {
			n++
		}
	}
	return n
}

func (p *parser) checkRange(key string, n, most int) {
	if n < 1 || n > most {
		p.add(key, "is %d, want 1 to %d", n, most)
	}
}

func (p *parser) checkChannel(key, name string, c *Config) {
	ch := c.Channels[name]
	if !siteName.MatchString(name) {
		p.add(key, "is not a usable name: want 1 to 32 of a-z, 0-9 and -")
	}
	if _, err := ch.Compiled(); err != nil {
		p.add(key+".expression", "%v", err)
	}
	if ch.Parents != ParentsBare && ch.Parents != ParentsRequire {
		p.add(key+".parents", "is %q, want %s or %s", ch.Parents, ParentsBare, ParentsRequire)
	}
	p.checkSigned(key, ch, c.Sites[ch.From])
	p.checkKnown(key+".from", ch.From, c)
	if len(ch.To) == 0 {
		p.add(key+".to", "is empty; name at least one receiving site")
	}
	for i, site := range ch.To {
		p.checkKnown(key+".to", site, c)
		if site == ch.From {
			p.add(key+".to", "names %s, which the channel comes from", site)
		}
		if slices.Contains(ch.To[:i], site) {
			p.add(key+".to", "names %s twice", site)
		}
		if c.Sites[site].Seed != nil {
			p.add(key+".to", "names %s, an export, which can only be a source", site)
		}
		if to := c.Sites[site].Folder; to != nil && to.Form == FormFiles && c.Sites[ch.From].objects() {
			p.add(key+".to", "names %s, a folder of files, and %s has objects with fields; write `form: %s` into sites.%s.folder", site, ch.From, FormObjects, site)
		}
	}
}

// checkShared refuses that a site gets objects of one source by two channels of which one
// has an expression: what leaves that one would be removed, although the other has it.
func (p *parser) checkShared(c *Config) {
	type way struct{ from, to string }
	seen := map[way]string{}
	for _, name := range c.ChannelNames() {
		ch := c.Channels[name]
		for _, to := range ch.To {
			other, taken := seen[way{ch.From, to}]
			if taken && ch.Expression+c.Channels[other].Expression != "" {
				p.add("channels."+name+".to", "%s has objects of %s by channel %s already; write one channel whose expression has both, with `or`", to, ch.From, other)
			}
			seen[way{ch.From, to}] = name
		}
	}
}

func (p *parser) checkLocate(key string, s Site) {
	_, errs := locate.Compile(s.Locate)
	for i, err := range errs {
		if err != nil {
			p.add(fmt.Sprintf("%s[%d]", key, i), "%v", err)
		}
	}
}

// checkConditions refuses rules that can hold for nothing.
func (p *parser) checkConditions(c *Config, site string) {
	sources := c.sourcesOf(site)
	for i, rule := range c.Sites[site].Locate {
		if rule.Source != "" && !slices.Contains(sources, rule.Source) {
			p.add(fmt.Sprintf("sites.%s.locate[%d].source", site, i), "names %q, from which no channel leads to %s; known here: %s",
				rule.Source, site, strings.Join(sources, ", "))
		}
	}
}

// sourcesOf gives the sites whose objects a site receives.
func (c *Config) sourcesOf(site string) (sources []string) {
	for _, ch := range c.ChannelsTo(site) {
		if from := c.Channels[ch].From; !slices.Contains(sources, from) {
			sources = append(sources, from)
		}
	}
	return sources
}

// checkApart refuses that two sources write the same path of a site, as far as that shows
// in its rules.
func (p *parser) checkApart(c *Config, site string) {
	sources := c.sourcesOf(site)
	s, known := c.Sites[site]
	if !known {
		return
	}
	circle := c.Circle(site)
	for i, one := range sources {
		for _, other := range sources[:i] {
			if slices.Contains(circle, one) && slices.Contains(circle, other) {
				continue // they have the same objects
			}
			if at, apart := s.Rules().Apart(other, one); !apart {
				p.add("sites."+site, "%s and %s can both write %s here; keep them apart with locate, for example `locate: [{source: %s, at: \"/%s\"}, {source: %s, at: \"/%s\"}]`",
					other, one, at, other, other, one, one)
			}
		}
	}
}

func (p *parser) checkKnown(key, site string, c *Config) {
	if site == "" {
		p.add(key, "is missing")
	} else if _, ok := c.Sites[site]; !ok {
		p.add(key, "names the unknown site %q; known: %s", site, strings.Join(sortedKeys(c.Sites), ", "))
	}
}

// checkFolders refuses sites, and the broker's store, that share a folder or lie
// inside one another: they would take each other's files for content.
func (p *parser) checkFolders(c *Config) {
	type place struct{ key, what, path string }
	var places []place
	if e := c.Broker.Embedded; e != nil {
		places = append(places, place{"broker.embedded.dir", "the broker's store", real(e.Dir)})
	}
	for _, name := range sortedKeys(c.Sites) {
		if f := c.Sites[name].Folder; f != nil && f.Path != "" {
			places = append(places, place{"sites." + name + ".folder.path", "site " + name, real(f.Path)})
		}
		if q := c.Sites[name].Queue; q != nil && q.Path != "" {
			places = append(places, place{"sites." + name + ".queue.path", "site " + name, real(q.Path)})
		}
		if m := c.Sites[name].Mirror; m != "" {
			places = append(places, place{"sites." + name + ".mirror", "the mirror of site " + name, real(m)})
		}
	}
	for i, a := range places {
		for _, b := range places[:i] {
			switch {
			case a.path == b.path:
				p.add(a.key, "is the folder of %s too; give each its own", b.what)
			case inside(a.path, b.path):
				p.add(a.key, "lies inside the folder of %s; move it out", b.what)
			case inside(b.path, a.path):
				p.add(b.key, "lies inside the folder of %s; move it out", a.what)
			}
		}
	}
}

func inside(path, folder string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

// real follows links as far as the path exists.
func real(path string) string {
	rest := ""
	for p := path; ; p = filepath.Dir(p) {
		if r, err := filepath.EvalSymlinks(p); err == nil {
			return filepath.Join(r, rest)
		}
		if p == filepath.Dir(p) {
			return path
		}
		rest = filepath.Join(filepath.Base(p), rest)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	return sortedSet(func(yield func(string)) {
		for k := range m {
			yield(k)
		}
	})
}
