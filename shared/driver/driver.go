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
	"synchro.example/shared/fault"
)

// OpenSource opens a site that content comes from.
func OpenSource(name string, s config.Site, log *slog.Logger) (content.Source, error) {
	o, err := folderOptions(name, s, log)
	if err != nil {
		return nil, err
	}
	return folder.OpenSource(o)
}

// OpenTarget opens a site that content goes to.
func OpenTarget(name string, s config.Site, log *slog.Logger) (content.Target, error) {
	o, err := folderOptions(name, s, log)
	if err != nil {
		return nil, err
	}
	return folder.OpenTarget(o)
}

// folderOptions checks that the folder is there: at the start its absence is a
// mistake in the configuration, later it is an outage.
func folderOptions(name string, s config.Site, log *slog.Logger) (folder.Options, error) {
	f := s.Folder
	info, err := os.Stat(f.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = fmt.Errorf("sites.%s.folder.path: the folder %s is not there; create it, or mount what belongs there", name, f.Path)
	case err != nil:
		err = fmt.Errorf("sites.%s.folder.path: %w", name, err)
	case !info.IsDir():
		err = fmt.Errorf("sites.%s.folder.path: %s is not a folder", name, f.Path)
	}
	if err != nil {
		return folder.Options{}, fault.New(fault.Stop, fault.Misconfigured, err)
	}
	return folder.Options{
		Path: f.Path, Staging: f.Staging, Settle: time.Duration(f.Settle), Writes: f.Writes,
		Log: log.With("site", name),
	}, nil
}
