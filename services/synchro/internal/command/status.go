package command

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"synchro.example/shared/control"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/mirror"
	"synchro.example/shared/status"
	"synchro.example/shared/subject"
)

// siteStatus is one line of `status`. The JSON names are a contract.
type siteStatus struct {
	Name       string  `json:"name"`
	Role       string  `json:"role"` // source, receiver, both or none
	State      string  `json:"state"`
	Reason     string  `json:"reason,omitempty"`
	Pending    int     `json:"pending"`
	LagSeconds float64 `json:"lag_seconds"`
	Errors     int     `json:"errors"`
	Drift      int     `json:"drift"`
	// Mirror says why the site's mirror is not kept.
	Mirror string `json:"mirror,omitempty"`
}

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how all sites are",
		Long: `Shows, for each site, whether its service runs, how many changes are on their way
to it (receivers) or not yet relayed (sources), how old the oldest of them is,
and how many objects have failed.`,
		Example: `  synchro status --config FILE
  synchro status --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := a.reading(c.Context())
			if err != nil {
				return err
			}
			defer conn.close()
			sites, err := sitesOf(c.Context(), conn)
			if err != nil {
				return err
			}
			told, err := toldOf(c.Context(), conn)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"sites": sites, "pauses": told.Pauses(), "guards": told.Guards()})
			}
			return errors.Join(a.printStatus(sites), a.printTold(told))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// toldOf gives what people have told the services.
func toldOf(ctx context.Context, conn *connection) (*control.State, error) {
	store, err := control.New(ctx, conn.JS)
	if err != nil {
		return nil, err
	}
	return store.Read(ctx)
}

func (a *app) printTold(told *control.State) error {
	for _, p := range told.Pauses() {
		what := "channel " + p.Channel
		if p.Site != "" {
			what = "site " + p.Site
		}
		if p.Path != "" {
			what += ", " + p.Path
		}
		fmt.Fprintf(a.out, "%s: %s\n", what, printable(p.String()))
	}
	for _, g := range told.Guards() {
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

func sitesOf(ctx context.Context, conn *connection) ([]siteStatus, error) {
	failed, err := deadletter.New(conn.JS).Count(ctx)
	if err != nil {
		return nil, err
	}
	var sites []siteStatus
	for _, name := range sortedKeys(conn.Config.Sites) {
		s := siteStatus{Name: name, Role: "none", State: status.Stopped, Errors: failed[name]}
		if err := addSource(ctx, conn, &s); err != nil {
			return nil, err
		}
		if err := addReceiver(ctx, conn, &s); err != nil {
			return nil, err
		}
		sites = append(sites, s)
	}
	return sites, nil
}

func addSource(ctx context.Context, conn *connection, s *siteStatus) error {
	channels := conn.Config.ChannelsFrom(s.Name)
	if len(channels) == 0 {
		return nil
	}
	s.Role = "source"
	if err := s.ask(ctx, conn, status.Exporter); err != nil {
		return err
	}
	most := backlog{}
	for _, ch := range channels {
		b, err := backlogOf(ctx, conn.JS, subject.ExportStream(s.Name), subject.RelayConsumer(ch))
		if err != nil {
			return err
		}
		most = most.worst(b)
	}
	s.add(most)
	return nil
}

func addReceiver(ctx context.Context, conn *connection, s *siteStatus) error {
	channels := conn.Config.ChannelsTo(s.Name)
	if len(channels) == 0 {
		return nil
	}
	if s.Role == "source" {
		s.Role = "both"
	} else {
		s.Role = "receiver"
	}
	if err := s.ask(ctx, conn, status.Importer); err != nil {
		return err
	}
	for _, ch := range channels {
		from := conn.Config.Channels[ch].From
		unrelayed, err := backlogOf(ctx, conn.JS, subject.ExportStream(from), subject.RelayConsumer(ch))
		if err != nil {
			return err
		}
		unapplied, err := backlogOf(ctx, conn.JS, subject.ImportStream(ch), subject.SiteConsumer(s.Name))
		if err != nil {
			return err
		}
		s.add(unrelayed)
		s.add(unapplied)
	}
	return nil
}

func (s *siteStatus) ask(ctx context.Context, conn *connection, role string) error {
	r, err := status.Ask(ctx, conn.NC, role, s.Name)
	if err != nil {
		return err
	}
	if s.State == status.Stopped || r.State != status.Running {
		s.State, s.Reason = r.State, r.Reason
	}
	if role == status.Exporter {
		s.Pending += r.Pending
	}
	s.Drift += r.Drift
	return s.askMirror(ctx, conn, role)
}

// askMirror asks for the mirror of the side that a role serves. One that nobody keeps is
// told only when its service runs: else that is reason enough.
func (s *siteStatus) askMirror(ctx context.Context, conn *connection, role string) error {
	if conn.Config.Sites[s.Name].Mirror == "" || s.State == status.Stopped {
		return nil
	}
	side := mirror.Import
	if role == status.Exporter {
		side = mirror.Export
	}
	r, err := status.Ask(ctx, conn.NC, side.Role(), s.Name)
	switch {
	case err != nil:
		return err
	case r.State == status.Paused:
		s.Mirror = r.Reason
	case r.State == status.Stopped:
		s.Mirror = "the process that serves the site does not keep it; start that again with this configuration"
	}
	return nil
}

func (s *siteStatus) add(b backlog) {
	s.Pending += b.pending
	if !b.oldest.IsZero() {
		lag := time.Since(b.oldest).Seconds()
		s.LagSeconds = math.Max(s.LagSeconds, math.Round(lag*1000)/1000)
	}
}

// backlog is what a consumer has not acknowledged yet.
type backlog struct {
	pending int
	oldest  time.Time
}

func (b backlog) worst(c backlog) backlog {
	if c.pending > b.pending {
		b.pending = c.pending
	}
	if b.oldest.IsZero() || !c.oldest.IsZero() && c.oldest.Before(b.oldest) {
		b.oldest = c.oldest
	}
	return b
}

// backlogOf costs the same however much is pending. A consumer that was never made
// has everything before it.
func backlogOf(ctx context.Context, js jetstream.JetStream, stream, consumer string) (backlog, error) {
	s, err := js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return backlog{}, nil
	}
	if err != nil {
		return backlog{}, fmt.Errorf("look at stream %s: %w", stream, err)
	}
	b, from := backlog{pending: int(s.CachedInfo().State.Msgs)}, uint64(1)
	c, err := s.Consumer(ctx, consumer)
	switch {
	case err == nil:
		info := c.CachedInfo()
		b.pending, from = int(info.NumPending)+info.NumAckPending, info.AckFloor.Stream+1
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return backlog{}, fmt.Errorf("look at consumer %s of %s: %w", consumer, stream, err)
	}
	if b.pending > 0 {
		if m, err := s.GetMsg(ctx, from, jetstream.WithGetMsgSubject(">")); err == nil {
			b.oldest = m.Time
		}
	}
	return b, nil
}

func (a *app) printStatus(sites []siteStatus) error {
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
		if s.Mirror != "" {
			fmt.Fprintf(a.out, "%s: its mirror is not kept: %s\n", s.Name, s.Mirror)
		}
		if s.Drift > 0 {
			fmt.Fprintf(a.out, "%s: somebody else has changed %d objects there; `synchro verify --site %s` lists them.\n", s.Name, s.Drift, s.Name)
		}
	}
	if i := slices.IndexFunc(sites, func(s siteStatus) bool { return s.Errors > 0 }); i >= 0 {
		fmt.Fprintln(a.out, "`synchro errors` lists what failed.")
	}
	return nil
}
