package driver

import (
	"context"
	"log/slog"
	"time"

	"synchro.example/shared/config"
	"synchro.example/shared/driver/folder"
	"synchro.example/shared/driver/plone"
	"synchro.example/shared/driver/seed"
	"synchro.example/shared/fault"
	"synchro.example/shared/preflight"
)

// Checked is what was found out about a site.
type Checked struct {
	preflight.Report
	// Identity is that of the site itself, as far as it has one and answers.
	Identity string

	plone *plone.Facts
}

// Preflight looks whether a site is fit for its roles, without opening it. from are the
// checked sites that it gets objects from.
func Preflight(ctx context.Context, name string, s config.Site, roles preflight.Roles, from ...*Checked) *Checked {
	log := slog.New(slog.DiscardHandler)
	switch {
	case s.Plone != nil:
		var facts []*plone.Facts
		for _, f := range from {
			if f.plone != nil {
				facts = append(facts, f.plone)
			}
		}
		report, is := plone.Check(ctx, ploneOptions(name, s.Plone, log), roles, facts...)
		return &Checked{Report: report, Identity: is.Identity, plone: is}
	case s.Folder != nil:
		return &Checked{Report: folder.Check(folderOptions(name, s, log), roles)}
	case s.Seed != nil:
		return &Checked{Report: seed.Check(ctx, seed.Options{Path: s.Seed.Path, Log: log}, roles)}
	}
	return &Checked{}
}

// warnLimit bounds what a service that starts waits for.
const warnLimit = 15 * time.Second

// Warn logs what of a site is not fit for its roles, as far as that shows quickly.
func Warn(ctx context.Context, name string, s config.Site, roles preflight.Roles, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, warnLimit)
	defer cancel()
	roles.Thorough = false
	for _, f := range Preflight(ctx, name, s, roles).Failed() {
		log.Warn("the site is not fit for its work", "site", name, "check", f.Check, "found", f.Found, "do", f.Do)
	}
}

// Identity asks a site for its identity. Errors are of whoever asks for one of a site that
// has none.
func Identity(ctx context.Context, name string, s config.Site, log *slog.Logger) (string, error) {
	if s.Plone == nil {
		return "", fault.Errorf(fault.Stop, fault.Misconfigured, "site %s has no identity of its own; only Plone sites have one", name)
	}
	return plone.Identity(ctx, ploneOptions(name, s.Plone, log))
}
