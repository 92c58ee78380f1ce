package command

import (
	"context"
	"fmt"
	"os/user"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"synchro.example/shared/deadletter"
	"synchro.example/shared/publish"
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
	sites, err := ask(c.Context(), conn, entries, deadletter.Request{By: userName()})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%d changes are in the replay queue.\n", len(entries))
	for _, site := range sortedKeys(sites) {
		if r, err := status.Ask(c.Context(), conn.NC, status.Importer, site); err == nil && r.State == status.Stopped {
			fmt.Fprintf(a.out, "The importer of %s does not run; it applies them when it is started.\n", site)
		}
	}
	return nil
}

// ask puts requests into the queues of the failing sites.
func ask(ctx context.Context, conn *connection, entries []deadletter.Entry, r deadletter.Request) (sites map[string]bool, err error) {
	sites = map[string]bool{}
	var msgs []*nats.Msg
	for i := range entries {
		m, err := deadletter.Ask(&entries[i], r)
		if err != nil {
			return nil, err
		}
		msgs = append(msgs, m)
		sites[entries[i].Site] = true
	}
	done, err := publish.New(conn.NC, conn.JS, publish.Options{}).Publish(ctx, msgs)
	if err != nil {
		return nil, fmt.Errorf("%d of %d are in the queue: %w", len(done), len(entries), err)
	}
	return sites, nil
}

func userName() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}
