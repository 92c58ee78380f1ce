package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"synchro.example/services/bridge"
	"synchro.example/shared/broker"
	"synchro.example/shared/config"
	"synchro.example/shared/control"
	"synchro.example/shared/driver"
	"synchro.example/shared/fault"
	"synchro.example/shared/plugin"
	"synchro.example/shared/preflight"
)

// checkLine is one line of `check`. The JSON names are a contract.
type checkLine struct {
	Site    string            `json:"site,omitempty"`
	Check   string            `json:"check"`
	Verdict preflight.Verdict `json:"verdict"`
	Found   string            `json:"found"`
	Do      string            `json:"do,omitempty"`
}

func (a *app) checkCommand() *cobra.Command {
	var site string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Look whether broker and sites are fit for what the configuration asks of them",
		Long: `Looks at the broker and at every site that a channel names, before anything travels:
whether they answer, know the account and give it the rights that it needs, and
whether a receiver has the types, fields, workflows and languages of its sources.
On each receiver it creates something of its own, "synchro-check-…", and removes it.

Each line that failed says what to do. The exit status is 0 when none failed, else 1.`,
		Example: `  synchro check --config FILE
  synchro check --site paris --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(a.config)
			if err != nil {
				return err
			}
			if _, ok := cfg.Sites[site]; site != "" && !ok {
				return usage(c, fmt.Sprintf("%s has no site %q", cfg.File, site))
			}
			lines := a.check(c.Context(), cfg, site)
			if asJSON {
				err = a.printJSON(lines)
			} else {
				err = a.printCheck(lines)
			}
			return errors.Join(err, unfit(lines))
		},
	}
	c.Flags().StringVar(&site, "site", "", "only the site `NAME`, and the broker")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// unfit tells by its error that something failed.
func unfit(lines []checkLine) error {
	n := 0
	for _, l := range lines {
		if l.Verdict == preflight.Failed {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d checks failed", n, len(lines))
}

// inspection is a check of a configuration under way.
type inspection struct {
	*config.Config
	told    *control.State // nil when no broker could be asked
	checked map[string]*driver.Checked
	plugins map[string]preflight.Report // of each site, when a broker could be asked
	lines   []checkLine
}

// check looks at the broker, and at the sites, sources first: what they have is what
// receivers have to be fit for.
func (a *app) check(ctx context.Context, cfg *config.Config, only string) []checkLine {
	in := &inspection{Config: cfg, checked: map[string]*driver.Checked{}, plugins: map[string]preflight.Report{}}
	in.broker(ctx, a.logger(slog.LevelError))
	sources := cfg.Sources()
	for _, name := range sources {
		if only == "" || only == name || in.feeds(name, only) {
			in.look(ctx, name)
		}
	}
	for _, name := range sortedKeys(cfg.Sites) {
		if !slices.Contains(sources, name) && (only == "" || only == name) {
			in.look(ctx, name)
		}
	}
	for _, name := range sortedKeys(in.checked) {
		if only == "" || only == name {
			in.add(name, in.checked[name].Report)
			in.add(name, in.plugins[name])
			in.identity(name)
		}
	}
	return in.lines
}

func (in *inspection) add(site string, r preflight.Report) {
	for _, f := range r {
		in.lines = append(in.lines, checkLine{Site: site, Check: f.Check, Verdict: f.Verdict, Found: f.Found, Do: f.Do})
	}
}

func (in *inspection) broker(ctx context.Context, log *slog.Logger) {
	var r preflight.Report
	defer func() { in.add("", r) }()
	if e := in.Broker.Embedded; e != nil && !isThere(e.Dir) {
		r.Good("broker", "the embedded one has not run yet; it will keep its store in %s", e.Dir)
		return
	}
	conn, err := reach(ctx, in.Config, log)
	if err != nil {
		r.Error("broker", err)
		return
	}
	defer conn.close()
	r = broker.Check(ctx, conn.NC)
	if in.told, err = toldOf(ctx, conn); err != nil {
		r.Error("broker", err)
	}
	if conn.server != nil {
		return // which was opened for this command: no plugin's program can have come to it
	}
	for name, s := range in.Sites {
		in.plugins[name] = plugin.Open(name, s.Plugins, conn.NC, nil).Check(ctx)
	}
}

// feeds tells whether a site is a source of another one.
func (in *inspection) feeds(source, site string) bool {
	return slices.ContainsFunc(in.ChannelsTo(site), func(ch string) bool { return in.Channels[ch].From == source })
}

func (in *inspection) look(ctx context.Context, name string) {
	s := in.Sites[name]
	roles := preflight.Roles{Source: len(in.ChannelsFrom(name)) > 0, Receiver: len(in.ChannelsTo(name)) > 0, Thorough: true}
	var from []*driver.Checked
	for _, ch := range in.ChannelsTo(name) {
		if f := in.checked[in.Channels[ch].From]; f != nil {
			from = append(from, f)
		}
	}
	if s.Queue != nil {
		in.checked[name] = &driver.Checked{Report: bridge.Check(name, s)}
		return
	}
	in.checked[name] = driver.Preflight(ctx, name, s, roles, from...)
}

// identity compares who a site says that it is with what was known of it before.
func (in *inspection) identity(name string) {
	var r preflight.Report
	id := in.checked[name].Identity
	if id == "" {
		return
	}
	var known control.Identity
	var met bool
	if in.told != nil {
		if err := in.told.Stranger(name, id); err != nil {
			r.Error("identity", err)
			in.add(name, r)
			return
		}
		known, met = in.told.Identity(name)
	}
	twin := in.twin(name, id)
	switch {
	case known.By != "":
		r.Good("identity", "%s, adopted by %s at %s: %s", id, known.By, known.At.Local().Format(time.DateTime), known.Reason)
	case !met && twin != "":
		r.Fail("identity", fault.Advice(fault.OtherSite), "site %s has the same identity, %s: one is a copy of the other's database", twin, id)
	case met:
		r.Good("identity", "%s, as since %s", id, known.At.Local().Format(time.DateTime))
	default:
		r.Good("identity", "%s; it is kept when the site is used for the first time", id)
	}
	in.add(name, r)
}

// twin gives another site with the same identity, unless somebody has adopted that.
func (in *inspection) twin(name, id string) string {
	for _, other := range sortedKeys(in.checked) {
		if other == name || in.checked[other].Identity != id {
			continue
		}
		if in.told != nil {
			if i, _ := in.told.Identity(other); i.By != "" {
				continue
			}
		}
		return other
	}
	return ""
}

func (a *app) printCheck(lines []checkLine) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SITE\tCHECK\tVERDICT\tFOUND")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", cmp.Or(l.Site, "(broker)"), l.Check, l.Verdict, printable(l.Found))
		if l.Do != "" {
			fmt.Fprintf(w, "\t\t\t→ %s\n", printable(l.Do))
		}
	}
	return w.Flush()
}
