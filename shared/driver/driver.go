// Package driver opens the two ends of the road: the source or the target that a
// site's configuration names. Drivers live in the packages below.
package driver

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/driver/folder"
	"synchro.example/shared/driver/plone"
	"synchro.example/shared/driver/seed"
	"synchro.example/shared/driver/sidecar"
	"synchro.example/shared/fault"
)

// Check finds what is wrong with a site as it is configured, without opening it. At
// the start a missing folder is a mistake, later it is an outage. Errors are faults
// of class Stop.
func Check(name string, s config.Site) error {
	if s.Plone != nil {
		return nil // the files of the account are read when the site is opened
	}
	if s.Queue != nil {
		return notHere(name)
	}
	if s.Seed != nil {
		if _, err := os.Stat(s.Seed.Path); err != nil {
			return fault.New(fault.Stop, fault.Misconfigured, fmt.Errorf("sites.%s.seed.path: %w", name, err))
		}
		return nil
	}
	if err := checkFolder(s.Folder.Path); err != nil {
		return fault.New(fault.Stop, fault.Misconfigured, fmt.Errorf("sites.%s.folder.path: %w", name, err))
	}
	return nil
}

// notHere is the answer for a site that another service serves.
func notHere(name string) error {
	return fault.Errorf(fault.Stop, fault.Misconfigured, "sites.%s is a classic queue; `synchro bridge --site %s` serves it", name, name)
}

func checkFolder(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the folder %s is not there; create it, or mount what belongs there", path)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	}
	return nil
}

// OpenSource opens a site that content comes from.
func OpenSource(name string, s config.Site, log *slog.Logger) (content.Source, error) {
	if s.Plone != nil {
		return plone.OpenSource(ploneOptions(name, s.Plone, log))
	}
	if s.Seed != nil {
		return seed.OpenSource(seed.Options{Path: s.Seed.Path, Log: log.With("site", name)})
	}
	if s.Folder.Form == config.FormObjects {
		return sidecar.OpenSource(folderOptions(name, s, log))
	}
	return folder.OpenSource(folderOptions(name, s, log))
}

// OpenTarget opens a site that content goes to. owner names whose it is to write to: a
// process that hangs and has the same owner loses it.
func OpenTarget(name string, s config.Site, owner string, log *slog.Logger) (content.Target, error) {
	if s.Plone != nil {
		return plone.OpenTarget(ploneOptions(name, s.Plone, log))
	}
	o := folderOptions(name, s, log)
	o.Owner = owner
	if s.Folder.Form == config.FormObjects {
		return sidecar.OpenTarget(o)
	}
	return folder.OpenTarget(o)
}

func folderOptions(name string, s config.Site, log *slog.Logger) folder.Options {
	f := s.Folder
	return folder.Options{
		Path: f.Path, Staging: f.Staging, Settle: time.Duration(f.Settle), Writes: f.Writes,
		Log: log.With("site", name),
	}
}

func ploneOptions(name string, p *config.Plone, log *slog.Logger) plone.Options {
	o := plone.Options{
		URL: p.URL, User: p.User, PasswordFile: p.PasswordFile, TokenFile: p.TokenFile, CA: p.CA, Insecure: p.Insecure,
		Timeout: time.Duration(p.Timeout), Poll: time.Duration(p.Poll), Sweep: time.Duration(p.Sweep),
		Scope: plone.Scope(p.Scope), Drift: plone.Drift(p.Drift), Omit: p.Omit, Workflow: p.Workflow, Seed: p.Seed, Log: log.With("site", name),
	}
	for path, do := range p.DriftAt {
		o.DriftRules = append(o.DriftRules, plone.DriftRule{Path: path, Do: plone.Drift(do)})
	}
	return o
}
