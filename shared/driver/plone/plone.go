// Package plone is the driver for a Plone 6 site with its stock REST API: nothing is
// installed on the site. Its objects are the content items with their fields, files,
// relations, state and order, each under the UID that Plone gave it.
//
// Not carried: users and groups, portlets, comments, the site's own settings, the
// history of an object, and what stock Plone does not let anybody write: created and
// modified dates, default pages. Whether and when to export or import is for the
// services to say.
package plone

import (
	"log/slog"
	"net/http"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Defaults of Options.
const (
	DefaultTimeout = time.Minute
	DefaultPoll    = 5 * time.Second
	DefaultSweep   = time.Hour
)

// Drift says what a target does about a field that somebody has changed there.
type Drift string

const (
	// Report sets the change aside and names the fields.
	Report Drift = "report"
	// Overwrite writes what the source has.
	Overwrite Drift = "overwrite"
	// Keep leaves those fields as they are on the target.
	Keep Drift = "keep"
)

// Scope says which objects a source has; empty lists have everything.
type Scope struct {
	// Paths are the tops of trees, such as "/news".
	Paths     []string
	Types     []string
	Languages []string
	// States are workflow states; an object without a workflow is always in.
	States []string
}

// DriftRule is the drift below a path.
type DriftRule struct {
	Path string
	Do   Drift
}

// Options say which site a driver serves, and how.
type Options struct {
	// URL is the address of the site's root.
	URL string
	// User and PasswordFile are an account; TokenFile holds a JWT instead.
	User         string
	PasswordFile string
	TokenFile    string
	// CA is a file with certificates to trust instead of the system's.
	CA string
	// Insecure allows http to another machine.
	Insecure bool
	// Timeout is how long one request may take, apart from the transfer of files.
	Timeout time.Duration
	// Poll is the time between looks for changes while a source is watched.
	Poll time.Duration
	// Sweep is the time in which every object is read again, whether or not the
	// catalog says that it has changed: some changes do not show there.
	Sweep time.Duration
	Scope Scope
	// Drift holds for what no rule of DriftRules is about; empty means Report.
	Drift      Drift
	DriftRules []DriftRule
	// Omit are fields that the target keeps for itself.
	Omit []string
	// Workflow has transitions for pairs of states, "private published", beside the
	// built-in ones.
	Workflow map[string][]string
	// Seed has a target make new objects by the site's import, for the first copy of a
	// large site: it is the only way to keep dates and histories.
	Seed bool
	// Log gets what was skipped and why; nil means slog.Default.
	Log *slog.Logger

	transport http.RoundTripper
}

func (o Options) withDefaults() Options {
	setDefault(&o.Timeout, DefaultTimeout)
	setDefault(&o.Poll, DefaultPoll)
	setDefault(&o.Sweep, DefaultSweep)
	setDefault(&o.Drift, Report)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// OpenSource makes a source of a site. The site need not answer yet: List and Read
// say so in a fault each time.
func OpenSource(opts Options) (content.Source, error) {
	o := opts.withDefaults()
	c, err := newClient(o, fault.SourceMissing)
	if err != nil {
		return nil, err
	}
	return newSource(o, c), nil
}

// OpenTarget makes a target of a site. The site need not answer yet.
func OpenTarget(opts Options) (content.Target, error) {
	o := opts.withDefaults()
	c, err := newClient(o, fault.TargetDown)
	if err != nil {
		return nil, err
	}
	return newTarget(o, c), nil
}
