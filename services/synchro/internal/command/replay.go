package command

import (
	"context"
	"fmt"
	"os/user"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
	"synchro.example/shared/publish"
	"synchro.example/shared/status"
)

func (a *app) replayCommand() *cobra.Command {
	var s selection
	var dry bool
	var rate int
	c := &cobra.Command{
		Use:   "replay",
		Short: "Try failed changes again, at the sites where they failed",
		Long: `Puts failed changes into the queues of the sites where they failed, and of no
others. Each site applies the newest state that the log has, so a replay never
brings back an old one, and replaying twice does no harm. What waits for another
object follows by itself when that succeeds.`,
		Example: `  synchro replay --dry-run
  synchro replay --site paris --code permission
  synchro replay --rate 100              at most 100 a second`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.check(c); err != nil {
				return err
			}
			if rate < 0 {
				return usage(c, "--rate must be a number of changes a second")
			}
			return a.replay(c.Context(), &s, dry, rate)
		},
	}
	s.flags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what would be replayed")
	c.Flags().IntVar(&rate, "rate", 0, "at most so many changes a `SECOND`; 0: no limit")
	return c
}

func (a *app) replay(ctx context.Context, s *selection, dry bool, rate int) error {
	conn, err := a.reading(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	entries, err := s.find(ctx, conn)
	if err != nil {
		return err
	}
	due, follow := plan(entries)
	if dry {
		fmt.Fprintf(a.out, "%d changes would be replayed; %d wait for others and follow by themselves.\n", len(due), follow)
		return a.printErrors(entries)
	}
	if err := a.ask(ctx, conn, due, deadletter.Request{By: userName()}, rate); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%d changes are in the replay queue; %d wait for others and follow by themselves.\n", len(due), follow)
	a.tellStopped(ctx, conn, due)
	return nil
}

// plan gives the failures to be tried, and counts those that are released by others.
func plan(entries []deadletter.Entry) (due []deadletter.Entry, follow int) {
	open := map[string]bool{}
	for i := range entries {
		open[entries[i].Site+"\x00"+entries[i].UID] = true
	}
	for i := range entries {
		if e := &entries[i]; e.Code == fault.Waiting && open[e.Site+"\x00"+e.WaitsFor] {
			follow++
			continue
		}
		due = append(due, entries[i])
	}
	return due, follow
}

// askPortion is how many requests are sent together.
const askPortion = 1000

// ask puts requests into the queues of the failing sites, not faster than rate, and shows
// how far it is.
func (a *app) ask(ctx context.Context, conn *connection, entries []deadletter.Entry, r deadletter.Request, rate int) error {
	p := publish.New(conn.NC, conn.JS, publish.Options{})
	portion := askPortion
	if rate > 0 {
		portion = min(portion, max(1, rate/10))
	}
	progress := a.progress("asked for", len(entries))
	defer progress.end()
	done := 0
	for part := range slices.Chunk(entries, portion) {
		start := time.Now()
		msgs := make([]*nats.Msg, 0, len(part))
		for i := range part {
			m, err := deadletter.Ask(&part[i], r)
			if err != nil {
				return err
			}
			msgs = append(msgs, m)
		}
		if _, err := p.Publish(ctx, msgs); err != nil {
			return fmt.Errorf("%d of %d are in the queue; asking again goes on: %w", done, len(entries), err)
		}
		done += len(part)
		progress.at(done)
		if rate > 0 {
			time.Sleep(time.Duration(len(part))*time.Second/time.Duration(rate) - time.Since(start))
		}
	}
	return ctx.Err()
}

// tellStopped says which of the sites have nobody at the moment who takes the requests.
func (a *app) tellStopped(ctx context.Context, conn *connection, entries []deadletter.Entry) {
	roles := map[[2]string]bool{}
	for i := range entries {
		role := status.Importer
		if entries[i].Stage == deadletter.Export {
			role = status.Exporter
		}
		roles[[2]string{entries[i].Site, role}] = true
	}
	for at := range roles {
		if r, err := status.Ask(ctx, conn.NC, at[1], at[0]); err == nil && r.State == status.Stopped {
			fmt.Fprintf(a.out, "The %s of %s does not run; it takes them when it is started.\n", at[1], at[0])
		}
	}
}

func userName() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}
