package config

import (
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"synchro.example/shared/fault"
)

// Plone is the driver for a Plone 6 site.
type Plone struct {
	// URL is the address of the site's root.
	URL          string `yaml:"url"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	// TokenFile holds a JWT, instead of user and password.
	TokenFile string `yaml:"token_file"`
	// CA is a file with certificates to trust instead of the system's.
	CA string `yaml:"ca"`
	// Insecure allows http to another machine.
	Insecure bool `yaml:"insecure"`
	// Timeout is how long a request may take.
	Timeout Duration `yaml:"timeout"`
	// Poll is how often the site is asked for what is new.
	Poll Duration `yaml:"poll"`
	// Rescan is the time between scans when nothing new was seen.
	Rescan Duration `yaml:"rescan"`
	// Sweep is the time in which every object is read again.
	Sweep Duration `yaml:"sweep"`
	Scope Scope    `yaml:"scope"`
	// Drift says what to do about fields that somebody changed on the target: report,
	// overwrite or keep.
	Drift Drift `yaml:"drift"`
	// DriftAt says it for what lies below a path.
	DriftAt map[string]Drift `yaml:"drift_at"`
	// Omit are fields that the target keeps for itself.
	Omit []string `yaml:"omit"`
	// Workflow has transitions by pairs of states: "private published": [publish].
	Workflow map[string][]string `yaml:"workflow"`

	// Seed has the first copy made with dates and histories. It is for one run, and so it
	// is an option of commands.
	Seed bool `yaml:"-"`
}

// SeedReceivers has all Plone sites that receive make a first copy with dates and
// histories. It is an error when there is none among the sites, or among those that are
// named.
func (c *Config) SeedReceivers(only ...string) error {
	some := false
	for _, name := range c.Receivers() {
		if p := c.Sites[name].Plone; p != nil && (len(only) == 0 || slices.Contains(only, name)) {
			p.Seed, some = true, true
		}
	}
	if !some {
		return fault.Errorf(fault.Stop, fault.Misconfigured, "%s: --seed is for Plone sites that receive, and there is none", c.File)
	}
	return nil
}

// Drift is report, overwrite or keep.
type Drift string

// Scope says which objects a source has.
type Scope struct {
	Paths     []string `yaml:"paths"`
	Types     []string `yaml:"types"`
	Languages []string `yaml:"languages"`
	States    []string `yaml:"states"`
}

// Defaults of a Plone site.
const (
	DefaultPloneTimeout = time.Minute
	DefaultPlonePoll    = 5 * time.Second
	DefaultPloneSweep   = time.Hour
	// PloneSettle is how long a site's dates leave open whether something changes again.
	PloneSettle = time.Second

	maxNames = 10_000
)

var drifts = []Drift{"report", "overwrite", "keep"}

func (c *Plone) setDefaults() {
	setDefault(&c.Timeout, Duration(DefaultPloneTimeout))
	setDefault(&c.Poll, Duration(DefaultPlonePoll))
	setDefault(&c.Rescan, Duration(DefaultRescan))
	setDefault(&c.Sweep, Duration(DefaultPloneSweep))
	setDefault(&c.Drift, "report")
}

func (c *Plone) paths() []*string { return []*string{&c.PasswordFile, &c.TokenFile, &c.CA} }

func (p *parser) checkPlone(key string, c *Plone) {
	p.checkPloneURL(key, c)
	switch {
	case c.TokenFile == "" && (c.User == "" || c.PasswordFile == ""):
		p.add(key, "needs an account: user and password_file, or token_file")
	case c.TokenFile != "" && (c.User != "" || c.PasswordFile != ""):
		p.add(key+".token_file", "stands beside user or password_file; keep one account")
	}
	p.checkDrift(key+".drift", c.Drift)
	for _, path := range sortedKeys(c.DriftAt) {
		at := key + ".drift_at." + path
		p.checkDrift(at, c.DriftAt[path])
		p.checkSitePath(at, path)
	}
	for _, path := range c.Scope.Paths {
		p.checkSitePath(key+".scope.paths", path)
	}
	for _, pair := range sortedKeys(c.Workflow) {
		if len(strings.Fields(pair)) != 2 || len(c.Workflow[pair]) == 0 {
			p.add(key+".workflow."+pair, "is not of the form `FROM TO: [TRANSITION]`, as in `private published: [publish]`")
		}
	}
	if n := len(c.Omit) + len(c.Scope.Types) + len(c.Scope.Paths); n > maxNames {
		p.add(key, "names %d fields, types and paths; the limit is %d", n, maxNames)
	}
}

func (p *parser) checkDrift(key string, d Drift) {
	if !slices.Contains(drifts, d) {
		p.add(key, "is %q, want report, overwrite or keep", string(d))
	}
}

func (p *parser) checkSitePath(key, path string) {
	if !strings.HasPrefix(path, "/") || filepath.ToSlash(filepath.Clean(path)) != path {
		p.add(key, "%q is not a path of the form /news/archive", path)
	}
}

func (p *parser) checkPloneURL(key string, c *Plone) {
	key += ".url"
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		p.add(key, "is missing; it is the address of the site's root, such as https://www.example.org/Plone")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		p.add(key, "is not an address of the form https://HOST/SITE")
	case u.User != nil:
		p.add(key, "holds an account; name it in user and password_file")
	case u.RawQuery != "" || u.Fragment != "":
		p.add(key, "has a query or a fragment; only the address of the site's root belongs here")
	case u.Scheme == "http" && !c.Insecure && !loopback(u.Hostname()):
		p.add(key, "would send the password readable over the network; use https, or set insecure: true")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
