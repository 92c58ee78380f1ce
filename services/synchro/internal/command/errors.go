package command

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/spf13/cobra"

	"synchro.example/shared/config"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
)

// selection chooses failures. It has the same options wherever it stands.
type selection struct {
	site, channel, path, code string
	olderThan                 time.Duration
}

func (s *selection) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.site, "site", "", "only those of the site `NAME`")
	f.StringVar(&s.channel, "channel", "", "only those of the channel `NAME`")
	f.StringVar(&s.path, "path", "", "only those whose path matches `GLOB`, such as \"news/**\"")
	f.StringVar(&s.code, "code", "", "only those with this `CODE`, such as permission")
	f.DurationVar(&s.olderThan, "older-than", 0, "only those whose last attempt is older than `DURATION`, such as 10m")
}

func (s *selection) check(c *cobra.Command) error {
	if s.path != "" && !doublestar.ValidatePattern(s.path) {
		return usage(c, fmt.Sprintf("--path %q is not a pattern", s.path))
	}
	return nil
}

func (s *selection) matches(e *deadletter.Entry) bool {
	glob := s.path == "" || doublestar.MatchUnvalidated(s.path, e.Path)
	return glob && (s.site == "" || s.site == e.Site) && (s.channel == "" || s.channel == e.Channel) &&
		(s.code == "" || s.code == string(e.Code)) && (s.olderThan == 0 || time.Since(e.Last) > s.olderThan)
}

// find gives the failures that are chosen, oldest first.
func (s *selection) find(ctx context.Context, conn *connection) ([]deadletter.Entry, error) {
	if err := s.known(conn.Config); err != nil {
		return nil, err
	}
	all, err := deadletter.New(conn.JS).All(ctx)
	return s.choose(all), err
}

// known refuses names that nothing has: nothing chosen would look like nothing failed.
func (s *selection) known(c *config.Config) error {
	_, site := c.Sites[s.site]
	_, channel := c.Channels[s.channel]
	switch {
	case s.site != "" && !site:
		return fault.Errorf(fault.Stop, fault.Misconfigured, "%s has no site %q", c.File, s.site)
	case s.channel != "" && !channel:
		return fault.Errorf(fault.Stop, fault.Misconfigured, "%s has no channel %q", c.File, s.channel)
	case s.code != "" && !fault.Known(fault.Code(s.code)):
		return fault.Errorf(fault.Stop, fault.Misconfigured, "there is no code %q; docs/errors.md has them all", s.code)
	}
	return nil
}

// findClosed gives those that were settled lately: discarded or overruled within 30 days,
// others within an hour.
func (s *selection) findClosed(ctx context.Context, conn *connection) ([]deadletter.Entry, error) {
	if err := s.known(conn.Config); err != nil {
		return nil, err
	}
	all, err := deadletter.New(conn.JS).Closed(ctx)
	return s.choose(all), err
}

func (s *selection) choose(all []deadletter.Entry) []deadletter.Entry {
	chosen := []deadletter.Entry{}
	for i := range all {
		if s.matches(&all[i]) {
			chosen = append(chosen, all[i])
		}
	}
	return chosen
}

func (a *app) errorsCommand() *cobra.Command {
	var s selection
	var asJSON, closed bool
	c := &cobra.Command{
		Use:   "errors",
		Short: "List what failed, and why",
		Long: `Lists the objects that could not be applied or exported, one line each, and below
them what to do about each cause. An entry goes away when its object succeeds;
"synchro replay" tries again. docs/errors.md explains all codes. With --closed it lists
what was settled lately, also edits that were overruled by a later one on another site.`,
		Example: `  synchro errors
  synchro errors --site paris --path "news/**" --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.check(c); err != nil {
				return err
			}
			conn, err := a.reading(c.Context())
			if err != nil {
				return err
			}
			defer conn.close()
			find := s.find
			if closed {
				find = s.findClosed
			}
			entries, err := find(c.Context(), conn)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(entries)
			}
			return a.printErrors(entries)
		},
	}
	s.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&closed, "closed", false, "those that were settled lately, and how")
	return c
}

func (a *app) printErrors(entries []deadletter.Entry) error {
	if len(entries) == 0 {
		fmt.Fprintln(a.out, "Nothing has failed.")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SITE\tCODE\tATTEMPTS\tLAST\tPATH\tREASON")
	codes := map[fault.Code]bool{}
	for _, e := range entries {
		codes[e.Code] = true
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", e.Site, e.Code, e.Attempts,
			e.Last.Local().Format(time.DateTime), printable(e.Path), printable(reasonOf(&e)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, code := range sortedKeys(codes) {
		fmt.Fprintf(a.out, "%s: %s\n", code, fault.Advice(code))
	}
	return nil
}

func reasonOf(e *deadletter.Entry) string {
	c := e.Closed
	switch {
	case c == nil:
		return e.Reason
	case c.As == deadletter.Overruled:
		return e.Reason
	case c.As == deadletter.Discarded:
		return fmt.Sprintf("discarded by %s: %s (%s)", c.By, c.Why, e.Reason)
	}
	return fmt.Sprintf("%s (%s)", c.As, e.Reason)
}
