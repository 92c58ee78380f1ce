package command

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"synchro.example/services/bridge/queue"
	"synchro.example/shared/overview"
)

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how all sites are",
		Long: `Shows, for each site, whether its service runs, how many changes are on their way
to it (receivers) or not yet relayed (sources), how old the oldest of them is,
how many objects have failed, and whether the site's plugins are there.`,
		Example: `  synchro status --config FILE
  synchro status --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := a.reading(c.Context())
			if err != nil {
				return err
			}
			defer conn.close()
			o, err := overview.Look(c.Context(), conn.Config, conn.NC, conn.JS)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(o)
			}
			return errors.Join(a.printStatus(o.Sites), a.printPlugins(o.Sites), a.printTold(o))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) printPlugins(sites []overview.Site) error {
	if !slices.ContainsFunc(sites, func(s overview.Site) bool { return len(s.Plugins) > 0 }) {
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nPLUGIN\tSITE\tASKED BY\tSTATE\tCALLS\tERRORS\tMEAN")
	for _, s := range sites {
		for _, p := range s.Plugins {
			mean := time.Duration(p.Seconds / float64(max(p.Calls, 1)) * float64(time.Second))
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", p.ID, s.Name, p.Service, cmp.Or(p.State, "unknown"), p.Calls, p.Errors, mean.Round(10*time.Microsecond))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range sites {
		for _, p := range s.Plugins {
			if p.Reason != "" {
				fmt.Fprintf(a.out, "plugin %s of %s: %s\n", p.ID, s.Name, printable(p.Reason))
			}
		}
	}
	return nil
}

func (a *app) printTold(o *overview.Overview) error {
	for _, p := range o.Pauses {
		what := "channel " + p.Channel
		if p.Site != "" {
			what = "site " + p.Site
		}
		if p.Path != "" {
			what += ", " + p.Path
		}
		fmt.Fprintf(a.out, "%s: %s\n", what, printable(p.String()))
	}
	for _, g := range o.Guards {
		if g.Released {
			continue
		}
		what, option, idle := "site "+g.Site, "--site "+g.Site, "exported"
		if g.Channel != "" {
			what, option, idle = "channel "+g.Channel, "--channel "+g.Channel, "relayed"
		}
		fmt.Fprintf(a.out, "%s: %d of %d objects would be removed, so nothing is %s since %s:\n", what, g.Removals, g.Objects, idle, g.Since.Local().Format(time.DateTime))
		for _, path := range g.Sample {
			fmt.Fprintf(a.out, "    %s\n", printable(path))
		}
		fmt.Fprintf(a.out, "`synchro resume %s` lets them go.\n", option)
	}
	return nil
}

// printQueue prints a line for each side of a classic queue in which there is anything.
func printQueue(out io.Writer, s *overview.Site) {
	for _, side := range []queue.Side{queue.Export, queue.Import} {
		var counts []string
		all := 0
		for _, state := range []queue.State{queue.ToProcess, queue.Processing, queue.Done, queue.Failed} {
			n := s.Folders[queue.Folder(side, state)]
			all += n
			counts = append(counts, fmt.Sprintf("%s %d", state, n))
		}
		if all > 0 {
			fmt.Fprintf(out, "%s: %s has %s\n", s.Name, side, strings.Join(counts, ", "))
		}
	}
	for _, odd := range s.Odd {
		fmt.Fprintf(out, "%s: %s\n", s.Name, printable(odd))
	}
}

func (a *app) printStatus(sites []overview.Site) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SITE\tROLE\tSTATE\tPENDING\tLAG\tERRORS")
	for _, s := range sites {
		lag := time.Duration(s.LagSeconds * float64(time.Second)).Round(time.Millisecond)
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\n", s.Name, s.Role, s.State, s.Pending, lag, s.Errors)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range sites {
		if s.Reason != "" {
			fmt.Fprintf(a.out, "%s: %s\n", s.Name, s.Reason)
		}
		printQueue(a.out, &s)
		if s.Mirror != "" {
			fmt.Fprintf(a.out, "%s: its mirror is not kept: %s\n", s.Name, s.Mirror)
		}
		if s.Drift > 0 {
			fmt.Fprintf(a.out, "%s: somebody else has changed %d objects there; `synchro verify --site %s` lists them.\n", s.Name, s.Drift, s.Name)
		}
	}
	if i := slices.IndexFunc(sites, func(s overview.Site) bool { return s.Errors > 0 }); i >= 0 {
		fmt.Fprintln(a.out, "`synchro errors` lists what failed.")
	}
	return nil
}
