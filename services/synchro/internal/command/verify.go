package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"synchro.example/services/exporter"
	"synchro.example/services/relay"
	"synchro.example/shared/config"
	"synchro.example/shared/driver"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/service"
)

func (a *app) verifyCommand() *cobra.Command {
	var sites []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Prove that receivers have what their sources have, or list where not",
		Long: `Compares, hop by hop, the source with its log, that with the channel's log, that
with the ledger, and the ledger with everything that stands on the receiving site;
reads all of it, and changes nothing. Exit status 4 says that there are differences.
What changes while it reads may show as one.`,
		Example: `  synchro verify
  synchro verify --site paris --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := a.reading(c.Context())
			if err != nil {
				return err
			}
			defer conn.close()
			list, err := a.differences(c, conn, sites)
			if err != nil {
				return err
			}
			return a.printDifferences(list, asJSON)
		},
	}
	c.Flags().StringSliceVar(&sites, "site", nil, "only the receiving site `NAME`, and what it receives")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// scope is the hops that lead to some receiving sites.
type scope struct{ sources, channels, receivers []string }

func scopeOf(c *cobra.Command, cfg *config.Config, sites []string) (scope, error) {
	s := scope{receivers: cfg.Receivers()}
	for _, site := range sites {
		if !slices.Contains(s.receivers, site) {
			return s, usage(c, fmt.Sprintf("%s has no receiving site %q", cfg.File, site))
		}
	}
	if len(sites) > 0 {
		s.receivers = sites
	}
	for _, ch := range cfg.ChannelNames() {
		if !slices.ContainsFunc(cfg.Channels[ch].To, func(to string) bool { return slices.Contains(s.receivers, to) }) {
			continue
		}
		s.channels = append(s.channels, ch)
		if from := cfg.Channels[ch].From; !slices.Contains(s.sources, from) {
			s.sources = append(s.sources, from)
		}
	}
	return s, nil
}

// verifier compares the two ends of a hop.
type verifier interface {
	Verify(ctx context.Context) ([]reconcile.Difference, error)
}

// here leaves out the sources that are not on this machine: who runs a receiver somewhere
// else has them in the configuration, and not on the disk.
func (s scope) here(a *app, cfg *config.Config) scope {
	s.sources = slices.DeleteFunc(s.sources, func(site string) bool {
		err := driver.Check(site, cfg.Sites[site])
		if err != nil {
			fmt.Fprintf(a.err, "synchro: the source %s is not on this machine, so it is not compared with its log (%v)\n", site, err)
		}
		return err != nil
	})
	return s
}

// differences compares all hops that lead to some sites.
func (a *app) differences(c *cobra.Command, conn *connection, sites []string) ([]reconcile.Difference, error) {
	s, err := scopeOf(c, conn.Config, sites)
	if err != nil {
		return nil, err
	}
	s = s.here(a, conn.Config)
	hops, err := s.open(c.Context(), conn.Env)
	if err != nil {
		return nil, err
	}
	list := []reconcile.Difference{}
	for _, hop := range hops {
		found, err := hop.Verify(c.Context())
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	reconcile.Sort(list)
	return list, nil
}

func (s scope) open(ctx context.Context, env *service.Env) (hops []verifier, err error) {
	for _, site := range s.sources {
		if env.Config.Sites[site].Queue != nil {
			continue // it tells what happened, and not what it has
		}
		e, err := exporter.Open(ctx, env, site)
		if err != nil {
			return nil, err
		}
		hops = append(hops, e)
	}
	relays, err := relay.Open(ctx, env)
	if err != nil {
		return nil, err
	}
	for _, r := range relays {
		if slices.Contains(s.channels, r.Channel()) {
			hops = append(hops, r)
		}
	}
	for _, site := range s.receivers {
		i, err := openImporter(ctx, env, site, nil)
		if err != nil {
			return nil, err
		}
		hops = append(hops, i)
	}
	return hops, nil
}

func (a *app) printDifferences(list []reconcile.Difference, asJSON bool) error {
	if asJSON {
		return errors.Join(a.printJSON(list), differ(list))
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "Everything is equal.")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOP\tSITE\tWHAT\tPATH\tDETAIL")
	for _, d := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Hop, d.Site, d.What, printable(d.Path), printable(d.Detail))
	}
	return errors.Join(w.Flush(), differ(list))
}

func differ(list []reconcile.Difference) error {
	if len(list) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d", service.ErrDifferent, len(list))
}

func (a *app) reconcileCommand() *cobra.Command {
	var sites []string
	var repair, asJSON bool
	c := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare the ends of all hops, and mend them",
		Long: `Without --repair it is "synchro verify". With it every hop is mended from the one
before: logs and ledgers are made whole, and what somebody else has changed on a
receiving site is put back as the log has it. What did not come through Synchro stays
where it is. Running services do it; where none run, this command does.`,
		Example: `  synchro reconcile --site paris
  synchro reconcile --site paris --repair`,
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := a.reading(c.Context())
			if err != nil {
				return err
			}
			defer conn.close()
			if repair {
				if err := a.repair(c, conn, sites); err != nil {
					return err
				}
			}
			list, err := a.differences(c, conn, sites)
			if err != nil {
				return err
			}
			return a.printDifferences(list, asJSON)
		},
	}
	c.Flags().StringSliceVar(&sites, "site", nil, "only the receiving site `NAME`, and what it receives")
	c.Flags().BoolVar(&repair, "repair", false, "mend what differs")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// repair has each hop mended by whoever has the right to: the running services, or this
// process where there are none.
func (a *app) repair(c *cobra.Command, conn *connection, sites []string) error {
	s, err := scopeOf(c, conn.Config, sites)
	if err != nil {
		return err
	}
	if err := conn.Follow(c.Context()); err != nil {
		return err
	}
	mend := mending{app: a, Command: c, conn: conn}
	return mend.all(s.here(a, conn.Config))
}
