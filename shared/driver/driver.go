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

// Check finds what is wrong with a site as it is configured, without opening it. At
// the start a missing folder is a mistake, later it is an outage. Errors are faults
// of class Stop.
func Check(name string, s config.Site) error {
	if err := checkFolder(s.Folder.Path); err != nil {
		return fault.New(fault.Stop, fault.Misconfigured, fmt.Errorf("sites.%s.folder.path: %w", name, err))
	}
	return nil
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
	return folder.OpenSource(folderOptions(name, s, log))
}

// OpenTarget opens a site that content goes to. owner names whose it is to write to: a
// process that hangs and has the same owner loses it.
func OpenTarget(name string, s config.Site, owner string, log *slog.Logger) (content.Target, error) {
	o := folderOptions(name, s, log)
	o.Owner = owner
	return folder.OpenTarget(o)
}

func folderOptions(name string, s config.Site, log *slog.Logger) folder.Options {
	f := s.Folder
	return folder.Options{
		Path: f.Path, Staging: f.Staging, Settle: time.Duration(f.Settle), Writes: f.Writes,
		Log: log.With("site", name),
	}
}
