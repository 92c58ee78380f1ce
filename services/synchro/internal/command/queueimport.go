package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"synchro.example/services/bridge"
	"synchro.example/services/bridge/direct"
	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/config"
	"synchro.example/shared/driver"
)

func (a *app) queueImportCommand() *cobra.Command {
	var o queueOptions
	var path, site string
	c := &cobra.Command{
		Use:   "import",
		Short: "Import a queue into a site of the configuration",
		Long: `Applies what the queue's IMPORT side has to a site that the configuration names,
without the broker: fields and files (fss) and deletions. A site that is a classic
queue itself gets the files into its IMPORT side, also exports (zexp), checked and
written anew. Do not use it on another site that a channel sends to: that one has an
importer of its own. The status is 3 when files went to ERROR; the folder refused in
QUEUE.synchro, beside the queue, has the reason of each. As with the classic command,
-q logs to stderr instead of the file.`,
		Example: "  synchro queue import -p /srv/queue -i paris --config FILE",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" || site == "" {
				return helpInstead(c)
			}
			return a.locked(&o, "import", func(log *slog.Logger) error { return a.queueImport(c, path, site, log) })
		},
	}
	c.Flags().StringVarP(&path, "path", "p", "", "the `PATH` of the queue")
	c.Flags().StringVarP(&site, "instance", "i", "", "the `SITE` of the configuration to import into")
	o.flags(c)
	return c
}

func (a *app) queueImport(c *cobra.Command, path, site string, log *slog.Logger) error {
	cfg, err := config.Load(a.config)
	if err != nil {
		return err
	}
	if _, ok := cfg.Sites[site]; !ok {
		return usage(c, fmt.Sprintf("%s has no site %q", cfg.File, site))
	}
	if err := queue.Valid(path); err != nil {
		return err
	}
	apply, end, err := openImport(c, cfg, path, site, log)
	if err != nil {
		return err
	}
	r, err := direct.Import(c.Context(), direct.Options{Queue: path, Apply: apply, Log: log})
	if err := errors.Join(err, end()); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s imported, %d in ERROR\n", plural(r.Done, "file"), r.Failed)
	if r.Failed > 0 {
		return &filesLeft{path, queue.Import}
	}
	return nil
}

// openImport gives the way to bring files to a site: into its queue, or onto it.
func openImport(c *cobra.Command, cfg *config.Config, path, site string, log *slog.Logger) (apply func(context.Context, *zs.Change) error, end func() error, err error) {
	s := cfg.Sites[site]
	if s.Queue != nil {
		if isSame(s.Queue.Path, path) {
			return nil, nil, usage(c, fmt.Sprintf("%s is the queue of the site %q itself; the importer behind it takes the files", path, site))
		}
		target, err := bridge.Forwarder(cfg, site, log)
		if err != nil {
			return nil, nil, err
		}
		return target.Forward, target.Close, nil
	}
	if err := driver.Check(site, s); err != nil {
		return nil, nil, err
	}
	target, err := driver.OpenTarget(site, s, "import of "+path, log)
	if err != nil {
		return nil, nil, err
	}
	apply, err = direct.To(c.Context(), target, log)
	if err != nil {
		return nil, nil, errors.Join(err, target.Close())
	}
	return apply, target.Close, nil
}
