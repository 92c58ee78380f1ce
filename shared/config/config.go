// Package config reads the configuration file: sites, channels, the broker. It is
// strict, and says everything that is wrong at once, with line and key. It opens
// nothing but the file itself.
package config

import (
	"maps"
	"slices"
	"time"

	"synchro.example/shared/locate"
	"synchro.example/shared/tales"
)

// DefaultFile is the configuration that commands read when none is named.
const DefaultFile = "synchro.yaml"

// Config is a whole configuration.
type Config struct {
	Broker   Broker             `yaml:"broker"`
	Sites    map[string]Site    `yaml:"sites"`
	Channels map[string]Channel `yaml:"channels"`
	HTTP     HTTP               `yaml:"http"`
	// Tombstones is how long the logs remember a removal, 30 days by default.
	Tombstones Duration `yaml:"tombstones"`
	// Reconcile is how often each service reads its log or ledger anew and mends what is
	// missing, 15 minutes by default.
	Reconcile Duration `yaml:"reconcile"`

	// File is where it was read from.
	File string `yaml:"-"`
}

// Broker says which broker to speak to: one of the two.
type Broker struct {
	Embedded *Embedded `yaml:"embedded"`

	URL       string `yaml:"url"`
	Creds     string `yaml:"creds"`
	TokenFile string `yaml:"token_file"`
	TLS       TLS    `yaml:"tls"`
}

// Embedded is a broker that Synchro runs itself.
type Embedded struct {
	Dir       string `yaml:"dir"`
	Listen    string `yaml:"listen"`
	TokenFile string `yaml:"token_file"`
}

// TLS names the files of a secured connection.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Site is one named instance with its driver.
type Site struct {
	Folder *Folder `yaml:"folder"`
	Plone  *Plone  `yaml:"plone"`
	Queue  *Queue  `yaml:"queue"`
	Seed   *Seed   `yaml:"seed"`

	// Accept names the plugins whose payloads the site takes, all but zexp by default.
	Accept []string `yaml:"accept"`
	// ZEXPAllow is the file of globals that exports may name; a built-in list when empty.
	ZEXPAllow string `yaml:"zexp_allow"`

	// Mirror is a folder in which the site's state is shown as a classic queue.
	Mirror string `yaml:"mirror"`

	// Workers is how many calls of the driver may run at the same time.
	Workers int `yaml:"workers"`
	// Window is how many changes the importer holds at most.
	Window int `yaml:"window"`
	// Attempts is how often a change is tried before it is set aside.
	Attempts int `yaml:"attempts"`
	// MaxRemovals is how much of the site may disappear in one cycle, 20% by default.
	MaxRemovals Removals `yaml:"max_removals"`
	// Drift says what happens to changes that somebody makes on a receiving site:
	// DriftReport, which is the default, or DriftRepair.
	Drift string `yaml:"drift"`
	// Locate says where the site puts the objects that it receives; the first rule that
	// matches wins, and where none does an object stands where the source has it.
	Locate []locate.Rule `yaml:"locate"`
	// Plugins are what the site asks about its changes, beside its driver.
	Plugins []Plugin `yaml:"plugins"`
	// Sign is a file with the seed of the key that signs what the site sends; nothing is
	// signed when empty.
	Sign string `yaml:"sign"`
	// SignedBy are the keys of which one must have signed what comes from the site; anybody
	// may have written it when empty.
	SignedBy []string `yaml:"signed_by"`
}

// Rules gives the compiled rules of Locate.
func (s Site) Rules() *locate.Rules {
	r, _ := locate.Compile(s.Locate) // what is wrong with them, check has told
	return r
}

// Folder is the driver for a folder tree.
type Folder struct {
	Path string `yaml:"path"`
	// Staging is where files are written before they are moved into the tree;
	// empty for a folder beside it.
	Staging string `yaml:"staging"`
	// Settle is how long a file must have been quiet before it is read.
	Settle Duration `yaml:"settle"`
	// Rescan is the time between scans when no watch wakes one earlier.
	Rescan Duration `yaml:"rescan"`
	// Writes names a file in which the driver logs each of its writes.
	Writes string `yaml:"writes"`
	// Form says what the files are: FormFiles, which is the default, or FormObjects.
	Form string `yaml:"form"`
}

// Seed is the driver for an export of a Plone site in files. It is a source only.
type Seed struct {
	// Path is the folder, the zip or the JSON file.
	Path string `yaml:"path"`
	// Rescan is the time between looks whether there is another one.
	Rescan Duration `yaml:"rescan"`
}

// What the files of a folder site are.
const (
	FormFiles   = "files"   // objects of their own
	FormObjects = "objects" // the text, bytes and fields of content objects
)

// objects tells whether what comes from a site has fields, as content of a CMS does.
func (s Site) objects() bool {
	return s.Plone != nil || s.Seed != nil || s.Folder != nil && s.Folder.Form == FormObjects
}

// Channel sends the content of one site to others.
type Channel struct {
	From string   `yaml:"from"`
	To   []string `yaml:"to"`
	// Expression says which objects the channel carries; empty for all of them.
	Expression string `yaml:"expression"`
	// Parents says what becomes of an object that meets the expression in a container that
	// does not: ParentsBare, which is the default, or ParentsRequire.
	Parents string `yaml:"parents"`
	// Sign is a file with the seed of the key that signs what the relay puts into the
	// channel's log; what the source has signed stays as it is when empty.
	Sign string `yaml:"sign"`
	// SignedBy are the keys of which one must have signed what lies there.
	SignedBy []string `yaml:"signed_by"`
}

// What a channel with an expression does about containers.
const (
	ParentsBare    = "bare"    // the container comes with its name only
	ParentsRequire = "require" // the object is held back
)

// Compiled gives the channel's expression, nil when it has none.
func (c Channel) Compiled() (*tales.Expression, error) {
	if c.Expression == "" {
		return nil, nil
	}
	return tales.Compile(c.Expression)
}

// HTTP is where health is shown.
type HTTP struct {
	Listen string `yaml:"listen"`
}

// What is done about changes that somebody makes on a receiving site.
const (
	DriftReport = "report" // status and verify tell them
	DriftRepair = "repair" // the state of the log is applied again
)

// Defaults and ranges.
const (
	DefaultListen     = "127.0.0.1:4222"
	DefaultWorkers    = 8
	DefaultWindow     = 1000
	DefaultAttempts   = 5
	DefaultSettle     = 100 * time.Millisecond
	DefaultRescan     = 60 * time.Second
	DefaultTombstones = 30 * 24 * time.Hour
	DefaultReconcile  = 15 * time.Minute

	maxWorkers  = 256
	maxWindow   = 10_000
	maxAttempts = 1_000
)

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func (c *Config) setDefaults() {
	for name, ch := range c.Channels {
		setDefault(&ch.Parents, ParentsBare)
		c.Channels[name] = ch
	}
	setDefault(&c.Tombstones, Duration(DefaultTombstones))
	setDefault(&c.Reconcile, Duration(DefaultReconcile))
	if e := c.Broker.Embedded; e != nil {
		setDefault(&e.Dir, "./broker")
		setDefault(&e.Listen, DefaultListen)
	}
	for name, s := range c.Sites {
		setDefault(&s.Window, DefaultWindow)
		if s.Queue != nil { // nearly all of its calls only wait for somebody else
			setDefault(&s.Workers, s.Window)
			s.Queue.setDefaults()
		}
		if s.Plone != nil { // it carries out one call at a time; the other one waits for its turn
			setDefault(&s.Workers, 2)
		}
		if s.Accept == nil {
			_, s.Accept = s.takes()
		}
		setDefault(&s.Workers, DefaultWorkers)
		setDefault(&s.Attempts, DefaultAttempts)
		setDefault(&s.Drift, DriftReport)
		setDefault(&s.MaxRemovals, Removals{Percent: defaultRemovals})
		if s.Folder != nil {
			setDefault(&s.Folder.Settle, Duration(DefaultSettle))
			setDefault(&s.Folder.Rescan, Duration(DefaultRescan))
			setDefault(&s.Folder.Form, FormFiles)
		}
		if s.Plone != nil {
			s.Plone.setDefaults()
		}
		if s.Seed != nil {
			setDefault(&s.Seed.Rescan, Duration(DefaultRescan))
		}
		s.setPluginDefaults()
		c.Sites[name] = s
	}
}

// Rescan is the time between scans that nothing wakes earlier, and Settle how soon to
// look again at what was being written.
func (s Site) Rescan() (rescan, settle time.Duration) {
	if s.Plone != nil {
		return time.Duration(s.Plone.Rescan), PloneSettle
	}
	if s.Seed != nil {
		return time.Duration(s.Seed.Rescan), PloneSettle
	}
	return time.Duration(s.Folder.Rescan), time.Duration(s.Folder.Settle)
}

// Sources gives the names of the sites that some channel takes content from, in order.
func (c *Config) Sources() []string {
	return sortedSet(func(yield func(string)) {
		for _, ch := range c.Channels {
			yield(ch.From)
		}
	})
}

// Receivers gives the names of the sites that some channel sends content to, in order.
func (c *Config) Receivers() []string {
	return sortedSet(func(yield func(string)) {
		for _, ch := range c.Channels {
			for _, site := range ch.To {
				yield(site)
			}
		}
	})
}

// ChannelNames gives the names of all channels, in order.
func (c *Config) ChannelNames() []string { return slices.Sorted(maps.Keys(c.Channels)) }

// ChannelsTo gives the names of the channels that a site receives, in order.
func (c *Config) ChannelsTo(site string) []string {
	return slices.DeleteFunc(c.ChannelNames(), func(ch string) bool {
		return !slices.Contains(c.Channels[ch].To, site)
	})
}

// ChannelsFrom gives the names of the channels that take from a site, in order.
func (c *Config) ChannelsFrom(site string) []string {
	return slices.DeleteFunc(c.ChannelNames(), func(ch string) bool { return c.Channels[ch].From != site })
}

func sortedSet(each func(func(string))) []string {
	set := map[string]struct{}{}
	each(func(name string) { set[name] = struct{}{} })
	return slices.Sorted(maps.Keys(set))
}
