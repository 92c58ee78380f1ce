package plone

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"synchro.example/shared/fault"
	"synchro.example/shared/preflight"
)

// Facts are what a check has found out about a site, for the checks of sites that it
// sends to.
type Facts struct {
	// Identity is the UID of the site itself; empty when the site did not answer.
	Identity string

	languages []string
	types     map[string]*schema         // of the types that it sends
	count     map[string]int             // how many objects of each
	states    map[string]map[string]bool // their workflow states
}

// maxSkew is how far a site's clock may be off before it is worth a word.
const maxSkew = 30 * time.Second

// checker looks at one site.
type checker struct {
	*target
	preflight.Report
	roles preflight.Roles
	facts *Facts
}

// Check looks whether a site is fit for its roles. from are the facts of the sites that it
// gets objects from. Only a thorough check writes: something of its own, which it removes.
func Check(ctx context.Context, opts Options, roles preflight.Roles, from ...*Facts) (preflight.Report, *Facts) {
	o := opts.withDefaults()
	k := &checker{roles: roles, facts: &Facts{types: map[string]*schema{}, count: map[string]int{}, states: map[string]map[string]bool{}}}
	c, err := newClient(o, fault.TargetDown)
	if err != nil {
		k.Error("account", err)
		return k.Report, k.facts
	}
	k.target = newTarget(o, c)
	defer c.http.CloseIdleConnections()
	if k.site(ctx) && k.account(ctx) {
		k.version(ctx)
		k.served(ctx)
		k.languages(ctx, from)
		if roles.Thorough {
			k.thoroughly(ctx, from)
		}
	}
	return k.Report, k.facts
}

func (k *checker) thoroughly(ctx context.Context, from []*Facts) {
	if k.roles.Source {
		k.content(ctx)
	}
	if k.roles.Receiver {
		k.compare(ctx, from)
		k.canary(ctx, from)
	}
}

// site asks who answers, and for the time.
func (k *checker) site(ctx context.Context) bool {
	began := time.Now()
	t, err := k.top(ctx)
	switch {
	case err != nil && strings.Contains(err.Error(), "Use REST API"):
		k.Fail("site", "Install the add-on plone.restapi in Site Setup → Add-ons.", "the site's REST API is not installed")
		return false
	case err != nil:
		k.Error("site", err)
		return false
	}
	k.facts.Identity = t.UID
	k.Good("site", "%s answers as %s in %v", k.base, t.ID, time.Since(began).Round(time.Millisecond))
	if skew := time.Since(t.at).Truncate(time.Second); !t.at.IsZero() && skew.Abs() > maxSkew {
		k.Advise("clock", "Let both machines keep the time by NTP.", "the site's clock is off by %v from this machine's", skew)
	} else {
		k.Good("clock", "as this machine's")
	}
	return true
}

func (k *checker) account(ctx context.Context) bool {
	if err := k.prove(ctx); err != nil {
		k.Fail("account", "Correct user and password_file, or token_file; the account has to be one of this site or of its Zope.", "%v", err)
		return false
	}
	var user struct {
		Roles []string `json:"roles"`
	}
	if k.opts.User != "" && addressable(k.opts.User) {
		// An account of the Zope, and not of the site, is not found, which is no harm.
		_, _ = k.get(ctx, "", "@users/"+escapeSegment(k.opts.User), nil, &user)
	}
	seeing := slices.ContainsFunc(user.Roles, func(role string) bool {
		return slices.Contains([]string{"Reader", "Editor", "Contributor", "Reviewer", "Site Administrator", "Manager"}, role)
	})
	if k.roles.Source && len(user.Roles) > 0 && !seeing {
		k.Advise("account", "Give it the role Reader, if what is not public is to travel.", "the site knows it, with the roles %s: it may see what everybody sees", strings.Join(user.Roles, ", "))
		return true
	}
	k.Good("account", "the site knows it%s", rolesOf(user.Roles))
	return true
}

func rolesOf(roles []string) string {
	if len(roles) == 0 {
		return ""
	}
	return ", with the roles " + strings.Join(roles, ", ")
}

// oldest is the version of Plone that the driver is made for.
const oldest = 6

func (k *checker) version(ctx context.Context) {
	var system struct {
		Plone   string `json:"plone_version"`
		API     string `json:"plone_restapi_version"`
		Upgrade bool   `json:"upgrade"`
	}
	if _, err := k.get(ctx, "", "@system", nil, &system); err != nil {
		k.Good("version", "is told to site administrators only")
		return
	}
	major, _, _ := strings.Cut(system.Plone, ".")
	n, err := strconv.Atoi(major)
	switch {
	case err != nil || n < oldest:
		k.Fail("version", "Upgrade the site; older ones are read from their exports.", "Plone %s; Synchro needs %d", system.Plone, oldest)
	case system.Upgrade:
		k.Advise("version", "Run the upgrade in Site Setup.", "Plone %s, whose database is of an older version", system.Plone)
	default:
		k.Good("version", "Plone %s, plone.restapi %s", system.Plone, system.API)
	}
}

func (k *checker) languages(ctx context.Context, from []*Facts) {
	var site struct {
		Available []string `json:"plone.available_languages"`
	}
	if _, err := k.get(ctx, "", "@site", nil, &site); err != nil {
		if !isAbsent(err) {
			k.Error("languages", k.classify(ctx, err))
		}
		return
	}
	k.facts.languages = site.Available
	var lacking []string
	for _, f := range from {
		for _, l := range f.languages {
			if !slices.Contains(site.Available, l) && !slices.Contains(lacking, l) {
				lacking = append(lacking, l)
			}
		}
	}
	if len(lacking) > 0 {
		k.Fail("languages", "Add them in Site Setup → Language.", "%s; the source has %s too", strings.Join(site.Available, ", "), strings.Join(lacking, ", "))
		return
	}
	k.Good("languages", "%s", strings.Join(site.Available, ", "))
}

// content lists the site and counts what would travel.
func (k *checker) content(ctx context.Context) {
	p, err := k.all(ctx, "", nil)
	if err != nil {
		k.Error("content", k.classify(ctx, err))
		return
	}
	pick, n := selection{scope: k.opts.Scope}, 0
	var odd []string
	seen := map[string]string{}
	for i := range p.Items {
		r := &p.Items[i]
		item, ok := pick.item(r)
		if other, twice := seen[r.UID]; twice && ok {
			k.Fail("content", fault.Advice(fault.DuplicateUID), "/%s and /%s have the same UID", other, r.path)
		}
		if seen[r.UID] = r.path; !ok || isStructural(r.Type) {
			continue
		}
		if item.Problem != nil {
			odd = append(odd, "/"+r.path)
		}
		n++
		k.facts.take(r)
	}
	if len(odd) > 0 {
		k.Advise("content", "Rename them, if they are to travel.", "%d objects have a name or UID that cannot be carried, such as %s", len(odd), odd[0])
	}
	if p.dead > 0 {
		k.Advise("content", "Let the site's manager remove them: portal_catalog, Advanced, Clear and Rebuild.", "%d rows of the catalog have no object", p.dead)
	}
	k.Good("content", "%d objects travel", n)
	k.schemas(ctx)
	k.rawTexts(ctx, p.Items)
}

func (f *Facts) take(r *row) {
	f.count[r.Type]++
	if f.states[r.Type] == nil {
		f.states[r.Type] = map[string]bool{}
	}
	if r.State != "" {
		f.states[r.Type][r.State] = true
	}
}

func (k *checker) schemas(ctx context.Context) {
	for _, typ := range sortedFields(k.facts.count) {
		sc, err := k.types.of(ctx, typ)
		if err != nil {
			k.Error("types", err)
			continue
		}
		k.facts.types[typ] = sc
	}
}

// rawTexts looks whether the site tells the text that it has stored.
func (k *checker) rawTexts(ctx context.Context, rows []row) {
	for _, r := range rows {
		sc := k.facts.types[r.Type]
		if sc == nil || sc.fields["text"] != rich || checkPath(r.path) != nil {
			continue
		}
		raw, err := k.raw(ctx, r.path)
		switch {
		case err != nil:
			k.Error("texts", k.classify(ctx, err))
		case raw == nil:
			k.Advise("texts", "Let the proxy pass manage_DAVget on, if they are to arrive byte for byte.", "texts travel as a browser gets them: the site does not answer manage_DAVget")
		default:
			k.Good("texts", "are read as they are stored")
		}
		return
	}
}

// compare holds the types of the sources against those of the site.
func (k *checker) compare(ctx context.Context, from []*Facts) {
	before := len(k.Report)
	for _, f := range from {
		for _, typ := range sortedFields(f.types) {
			k.compareType(ctx, typ, f)
		}
	}
	if len(from) > 0 && len(k.Report) == before {
		k.Good("types", "those of the source are here, with their fields")
	}
}

func (k *checker) compareType(ctx context.Context, typ string, f *Facts) {
	sc, err := k.types.of(ctx, typ)
	if f := fault.Of(err); err != nil && f.Code != fault.Unsupported {
		k.Error("types", err)
		return
	}
	if err != nil {
		k.Fail("types", "Install what has the type, or leave it out with scope.types of the source.", "there is no %s here; %d would come", typ, f.count[typ])
		return
	}
	var lacking []string
	for _, field := range sortedFields(f.types[typ].fields) {
		have, ok := sc.fields[field]
		if slices.Contains(k.opts.Omit, field) || ok && have == f.types[typ].fields[field] {
			continue
		}
		lacking = append(lacking, field)
	}
	if len(lacking) > 0 {
		k.Fail("fields", "Give the type the same behaviors as on the source, or name the fields under omit.",
			"%s has not, or not in the same way: %s", typ, strings.Join(lacking, ", "))
	}
}

// wantedStates gives the states in which objects of each type would come.
func wantedStates(from []*Facts) map[string][]string {
	states := map[string]map[string]bool{}
	for _, f := range from {
		for typ := range f.count {
			if states[typ] == nil {
				states[typ] = map[string]bool{}
			}
			maps.Copy(states[typ], f.states[typ])
		}
	}
	sorted := map[string][]string{}
	for typ, of := range states {
		sorted[typ] = slices.Sorted(maps.Keys(of))
	}
	return sorted
}

// refused tells whether the account lacks a right.
func refused(err error) bool {
	return isStatus(err, http.StatusUnauthorized, http.StatusForbidden) || fault.Of(err).Code == fault.Permission
}

// Identity asks a site for its UID.
func Identity(ctx context.Context, opts Options) (string, error) {
	o := opts.withDefaults()
	c, err := newClient(o, fault.TargetDown)
	if err != nil {
		return "", err
	}
	defer c.http.CloseIdleConnections()
	t, err := c.top(ctx)
	if err == nil && t.UID == "" {
		err = errors.New("it has no UID of its own, as Plone 6 gives one")
	}
	if err != nil {
		return "", fmt.Errorf("ask %s who it is: %w", c.base, err)
	}
	return t.UID, nil
}
