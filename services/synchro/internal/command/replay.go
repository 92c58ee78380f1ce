package command

import (
	"fmt"
	"os/user"

	"github.com/spf13/cobra"

	"synchro.example/shared/deadletter"
	"synchro.example/shared/status"
)

func (a *app) replayCommand() *cobra.Command {
	var s selection
	var dry bool
	c := &cobra.Command{
		Use:   "replay",
		Short: "Try failed changes again, at the sites where they failed",
		Long: `Puts failed changes into the queues of the sites where they failed. Each site
applies the newest state that the log has, so a replay never brings back an old
one, and replaying twice does no harm.`,
		Example: `  synchro replay --dry-run
  synchro replay --site paris --code permission`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.check(c); err != nil {
				return err
			}
			return a.replay(c, &s, dry)
		},
	}
	s.flags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what would be replayed")
	return c
}

func (a *app) replay(c *cobra.Command, s *selection, dry bool) error {
	conn, err := a.reading(c.Context())
	if err != nil {
		return err
	}
	defer conn.close()
	entries, err := s.find(c.Context(), conn)
	if err != nil {
		return err
	}
	if dry {
		fmt.Fprintf(a.out, "%d changes would be replayed.\n", len(entries))
		return a.printErrors(entries)
	}
	store, sites := deadletter.New(conn.JS), map[string]bool{}
	for i := range entries {
		if err := store.Ask(c.Context(), &entries[i], userName()); err != nil {
			return fmt.Errorf("%d of %d are in the queue: %w", i, len(entries), err)
		}
		sites[entries[i].Site] = true
	}
	fmt.Fprintf(a.out, "%d changes are in the replay queue.\n", len(entries))
	for _, site := range sortedKeys(sites) {
		if r, err := status.Ask(c.Context(), conn.NC, status.Importer, site); err == nil && r.State == status.Stopped {
			fmt.Fprintf(a.out, "The importer of %s does not run; it applies them when it is started.\n", site)
		}
	}
	return nil
}

func userName() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}
