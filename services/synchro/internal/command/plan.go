package command

import (
	"context"
	"fmt"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"synchro.example/services/importer"
	"synchro.example/services/relay"
	"synchro.example/shared/config"
	"synchro.example/shared/control"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/service"
)

// channelPlan is what the configuration would do to a channel's log. The JSON names are a
// contract.
type channelPlan struct {
	Name    string `json:"name"`
	From    string `json:"from"`
	Enters  int    `json:"enters"`
	Changes int    `json:"changes"`
	Leaves  int    `json:"leaves"`
	Fails   int    `json:"fails"`
	Held    bool   `json:"held"`
}

// sitePlan is what it would do on a receiving site. The JSON names are a contract.
type sitePlan struct {
	Name    string             `json:"name"`
	Enters  int                `json:"enters"`
	Moves   int                `json:"moves"`
	Leaves  int                `json:"leaves"`
	Fails   int                `json:"fails"`
	Leaving []string           `json:"leaving"`
	Failing []importer.Failing `json:"failing"`
}

// planned is the whole of it.
type planned struct {
	Channels []channelPlan `json:"channels"`
	Sites    []sitePlan    `json:"sites"`

	guards []control.Guard // of the channels that are held
}

// planSample is how many of the objects that would leave a site, or fail there, are shown.
const planSample = 10

func (a *app) planCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what the configuration would do to what is there already",
		Long: `Computes from the logs and ledgers what "synchro up" would do with the configuration
as it is now: which objects would enter each channel or leave it, and which would
enter each site, move on it or leave it. Nothing is done. What has changed on the
sources since they were last exported is not in it.

A channel that is held would remove more than max_removals allows: "synchro up
--accept-plan" lets that go, "synchro resume --channel NAME" does so later.`,
		Example: `  synchro plan --config FILE
  synchro plan --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := a.reading(c.Context())
			if err != nil {
				return err
			}
			defer conn.close()
			p, err := planAll(c.Context(), conn.Env)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(p)
			}
			return a.printPlan(p)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// planAll plans every channel, and then every site with what its channels would have.
func planAll(ctx context.Context, env *service.Env) (*planned, error) {
	p := &planned{Channels: []channelPlan{}, Sites: []sitePlan{}}
	relays, err := relay.Open(ctx, env)
	if err != nil {
		return nil, err
	}
	coming := map[string]importer.Coming{}
	for _, r := range relays {
		one, err := r.Plan(ctx)
		if err != nil {
			return nil, fmt.Errorf("plan channel %s: %w", r.Channel(), err)
		}
		p.addChannel(one)
		coming[one.Channel] = importer.Coming{Channel: one.Channel, From: one.From, Differences: one.Differences}
	}
	for _, site := range env.Config.Receivers() {
		if err := p.addSite(ctx, env, site, coming); err != nil {
			return nil, fmt.Errorf("plan site %s: %w", site, err)
		}
	}
	return p, nil
}

func (p *planned) addChannel(one relay.Plan) {
	c := channelPlan{Name: one.Channel, From: one.From, Held: one.Held}
	for _, d := range one.Differences {
		switch d.What {
		case reconcile.Missing:
			c.Enters++
		case reconcile.Extra:
			c.Leaves++
		case reconcile.Failed:
			c.Fails++
		default:
			c.Changes++
		}
	}
	if one.Held {
		p.guards = append(p.guards, one.Guard)
	}
	p.Channels = append(p.Channels, c)
}

func (p *planned) addSite(ctx context.Context, env *service.Env, site string, coming map[string]importer.Coming) error {
	i, err := openImporter(ctx, env, site, nil)
	if err != nil {
		return err
	}
	var channels []importer.Coming
	for _, ch := range env.Config.ChannelsTo(site) {
		channels = append(channels, coming[ch])
	}
	o, err := i.Outlook(ctx, channels)
	if err != nil {
		return err
	}
	p.Sites = append(p.Sites, sitePlan{
		Name: site, Enters: len(o.Enters), Moves: len(o.Moves), Leaves: len(o.Leaves), Fails: len(o.Fails),
		Leaving: append([]string{}, o.Leaves[:min(len(o.Leaves), planSample)]...),
		Failing: append([]importer.Failing{}, o.Fails[:min(len(o.Fails), planSample)]...),
	})
	return nil
}

func (a *app) printPlan(p *planned) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tENTER\tMOVE\tCHANGE\tLEAVE\tFAIL\t")
	for _, c := range p.Channels {
		held := ""
		if c.Held {
			held = "held: more than max_removals; `synchro up --accept-plan` lets it go"
		}
		fmt.Fprintf(w, "channel %s\t%d\t-\t%d\t%d\t%d\t%s\n", c.Name, c.Enters, c.Changes, c.Leaves, c.Fails, held)
	}
	for _, s := range p.Sites {
		fmt.Fprintf(w, "site %s\t%d\t%d\t-\t%d\t%d\t\n", s.Name, s.Enters, s.Moves, s.Leaves, s.Fails)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, c := range p.Channels {
		if c.Fails > 0 {
			fmt.Fprintf(a.out, "%d cannot be judged; `synchro expr --channel %s` tells why\n", c.Fails, c.Name)
		}
	}
	for _, s := range p.Sites {
		a.printSitePlan(s)
	}
	return nil
}

func (a *app) printSitePlan(s sitePlan) {
	for _, path := range s.Leaving {
		fmt.Fprintf(a.out, "%s would leave %s\n", printable(path), s.Name)
	}
	if more := s.Leaves - len(s.Leaving); more > 0 {
		fmt.Fprintf(a.out, "and %d more would leave %s\n", more, s.Name)
	}
	for _, f := range s.Failing {
		fmt.Fprintf(a.out, "%s would fail on %s: %s\n", printable(f.Path), s.Name, printable(f.Reason))
	}
	if more := s.Fails - len(s.Failing); more > 0 {
		fmt.Fprintf(a.out, "and %d more would fail on %s\n", more, s.Name)
	}
}

// acceptPlan lets go what a changed expression would remove now, and no more than that.
func (a *app) acceptPlan(ctx context.Context, cfg *config.Config) error {
	conn, err := host(ctx, cfg, a.logger(slog.LevelWarn))
	if err != nil {
		return err
	}
	defer conn.close()
	p, err := planAll(ctx, conn.Env)
	if err != nil {
		return err
	}
	store, err := control.New(ctx, conn.JS)
	if err != nil {
		return err
	}
	for _, g := range p.guards {
		now := time.Now().UTC()
		g.Since, g.At, g.Released, g.By, g.Reason = now, now, true, userName(), "synchro up --accept-plan"
		if err := store.Guard(ctx, g); err != nil {
			return err
		}
	}
	return nil
}
