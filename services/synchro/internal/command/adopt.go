package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"synchro.example/shared/config"
	"synchro.example/shared/control"
	"synchro.example/shared/driver"
)

func (a *app) adoptCommand() *cobra.Command {
	var site, reason string
	c := &cobra.Command{
		Use:   "adopt",
		Short: "Say that the site that answers at an address now is the one that is meant",
		Long: `A Plone site is known by its own UID from the first contact on. When another one
answers at its address, or a copy of the database of another site, nothing is read from
it or written to it, until somebody says here that it is meant, and why.

The source's content is compared with the log then, and a receiver's with its ledger: what a
new source does not have is removed from the receivers, as far as max_removals allows.`,
		Example: `  synchro adopt --site paris --reason "its database was copied from hq to begin with"`,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			cfg, err := config.Load(a.config)
			if err != nil {
				return err
			}
			s, ok := cfg.Sites[site]
			switch {
			case site == "":
				return usage(c, "--site NAME is missing")
			case reason == "":
				return usage(c, "--reason TEXT is missing")
			case !ok:
				return usage(c, fmt.Sprintf("%s has no site %q", cfg.File, site))
			}
			id, err := driver.Identity(ctx, site, s, a.logger(slog.LevelWarn))
			if err != nil {
				return err
			}
			return a.adopt(ctx, cfg, control.Identity{Site: site, ID: id, By: userName(), Reason: reason})
		},
	}
	c.Flags().StringVar(&site, "site", "", "the site `NAME`")
	c.Flags().StringVar(&reason, "reason", "", "why, as a `TEXT` that check shows")
	return c
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (a *app) adopt(ctx context.Context, cfg *config.Config, i control.Identity) error {
	open := reach
	if e := cfg.Broker.Embedded; e != nil && !isThere(e.Dir) {
		open = host // a copy is adopted before anything has run
	}
	conn, err := open(ctx, cfg, a.logger(slog.LevelWarn))
	if err != nil {
		return err
	}
	defer conn.close()
	store, err := control.New(ctx, conn.JS)
	if err != nil {
		return err
	}
	told, err := store.Read(ctx)
	if err != nil {
		return err
	}
	was, met := told.Identity(i.Site)
	if err := store.Adopt(ctx, i); err != nil {
		return err
	}
	if met && was.ID != i.ID {
		fmt.Fprintf(a.out, "Site %s has the identity %s from now on; it was %s.\n", i.Site, i.ID, was.ID)
		return nil
	}
	fmt.Fprintf(a.out, "Site %s has the identity %s.\n", i.Site, i.ID)
	return nil
}
