package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/spf13/cobra"

	"synchro.example/services/bridge"
	"synchro.example/services/bridge/sender"
	"synchro.example/services/exporter"
	"synchro.example/services/importer"
	"synchro.example/services/relay"
	"synchro.example/shared/changelog"
	"synchro.example/shared/collect"
	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
	"synchro.example/shared/lifecycle"
	"synchro.example/shared/mirror"
	"synchro.example/shared/service"
)

func (a *app) upCommand() *cobra.Command {
	var once, accept, seed bool
	c := &cobra.Command{
		Use:   "up",
		Short: "Run everything that the configuration declares, in one process",
		Long: `Runs the broker, where the configuration has an embedded one, and the exporters,
relays and importers of all sites and channels, until it is stopped with Ctrl-C:
what is under way is finished then. Started again, it goes on where it was.

With --once it brings every receiver to the state that its sources have now, prints
how many changes that took, and ends. The other commands work beside it, and after
it: where nobody runs the embedded broker they open it for themselves.`,
		Example: `  synchro up                          until stopped, with ./synchro.yaml
  synchro up --config FILE --once     until all sites are equal, then exit
  synchro up --once --seed            the same, with the first copy's dates and histories`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(a.config)
			if err != nil {
				return err
			}
			if accept {
				if err := a.acceptPlan(c.Context(), cfg); err != nil {
					return err
				}
			}
			if seed {
				if err := cfg.SeedReceivers(); err != nil {
					return err
				}
			}
			return a.up(c.Context(), cfg, once, nil)
		},
	}
	c.Flags().BoolVar(&accept, "accept-plan", false, "let a changed expression remove what \"synchro plan\" shows, however much that is")
	seedFlag(c, &seed)
	c.Flags().BoolVar(&once, "once", false, "exit when all is settled (status 3 when items are in ERROR)")
	return c
}

func seedFlag(c *cobra.Command, seed *bool) {
	c.Flags().BoolVar(seed, "seed", false, "make the first copy on Plone sites by their import, which keeps dates and histories")
}

// landed is told what has taken effect on a site.
type landed func(site, path string, c *content.Change)

// up runs all services of a configuration.
func (a *app) up(ctx context.Context, cfg *config.Config, once bool, tell landed) error {
	conn, err := host(ctx, cfg, a.logger(slog.LevelInfo))
	if err != nil {
		return err
	}
	defer conn.close()
	f, err := openFleet(ctx, conn.Env, tell)
	if err != nil {
		return err
	}
	if once {
		return a.settleAll(ctx, f)
	}
	return f.run(ctx)
}

// fleet is all services of a configuration.
type fleet struct {
	env       *service.Env
	exporters map[string]*exporter.Exporter
	senders   map[string]*sender.Sender
	relays    []*relay.Relay
	importers map[string]*importer.Importer
}

func openFleet(ctx context.Context, env *service.Env, tell landed) (*fleet, error) {
	if err := env.Follow(ctx); err != nil {
		return nil, err
	}
	f := &fleet{env: env, exporters: map[string]*exporter.Exporter{}, senders: map[string]*sender.Sender{}, importers: map[string]*importer.Importer{}}
	var errs []error
	for _, site := range env.Config.Sources() {
		if env.Config.Sites[site].Queue != nil {
			s, err := bridge.OpenSender(ctx, env, site)
			f.senders[site] = s
			errs = append(errs, err)
			continue
		}
		e, err := exporter.Open(ctx, env, site)
		f.exporters[site] = e
		errs = append(errs, err)
	}
	relays, err := relay.Open(ctx, env)
	f.relays = relays
	errs = append(errs, err)
	for _, site := range env.Config.Receivers() {
		i, err := openImporter(ctx, env, site, tellFor(site, tell))
		f.importers[site] = i
		errs = append(errs, err)
	}
	return f, errors.Join(errs...)
}

func tellFor(site string, tell landed) func(string, *content.Change) {
	if tell == nil {
		return nil
	}
	return func(path string, c *content.Change) { tell(site, path, c) }
}

// run runs all services until ctx ends or one of them cannot go on.
func (f *fleet) run(ctx context.Context) error {
	parts := []lifecycle.Part{collect.Part(f.env.JS, f.env.Log)}
	for site, s := range f.env.Config.Sites {
		if s.Queue != nil {
			parts = append(parts, bridge.Census(f.env, site))
		}
		parts = append(parts, mirror.Parts(f.env, site, mirror.Export, mirror.Import)...)
	}
	for site, e := range f.exporters {
		parts = append(parts, lifecycle.Part{Name: "exporter " + site, Run: e.Run})
	}
	for site, s := range f.senders {
		parts = append(parts, lifecycle.Part{Name: "exporter " + site, Run: s.Run})
	}
	for _, r := range f.relays {
		parts = append(parts, lifecycle.Part{Name: "relay " + r.Channel(), Run: r.Run})
	}
	for site, i := range f.importers {
		parts = append(parts, lifecycle.Part{Name: "importer " + site, Run: i.Run})
	}
	return service.Serve(ctx, f.env, parts)
}

// settleAll brings all sites to the state that the sources have now. What goes round a circle
// of channels needs another round for each site on the way, and ends when none gets anything.
func (a *app) settleAll(ctx context.Context, f *fleet) error {
	most := 1
	if f.env.Config.HasCircles() {
		most = 2 * (len(f.env.Config.Sites) + 1)
	}
	var held error
	for range most {
		before := f.applied()
		err := a.settle(ctx, f)
		if err != nil && !isHeld(err) {
			return err
		}
		if held = err; f.applied() == before {
			break
		}
	}
	if held != nil {
		a.report(held)
	}
	return errors.Join(a.summary(ctx, f), leftOver(held))
}

// applied counts what has taken effect on all sites.
func (f *fleet) applied() (n int64) {
	for _, i := range f.importers {
		n += i.Done()
	}
	return n
}

// settle works once through all stages. Each goes on until the one before it has ended and
// nothing is left of what that sent.
func (a *app) settle(ctx context.Context, f *fleet) error {
	exported, exporting := stage(ctx, f.exporters, func(e *exporter.Exporter) error {
		left, err := e.Settle(ctx)
		if left > 0 {
			f.env.Log.Warn("objects are left out: they are being written, or cannot be read", "count", left)
		}
		return err
	})
	sent, sending := stage(ctx, f.senders, func(s *sender.Sender) error { return s.Settle(ctx) })
	byChannel := map[string]*relay.Relay{}
	for _, r := range f.relays {
		byChannel[r.Channel()] = r
	}
	relayed, relaying := stage(ctx, byChannel, func(r *relay.Relay) error { return r.Settle(ctx, both(exported, sent)) })
	imported, importing := stage(ctx, f.importers, func(i *importer.Importer) error { return i.Settle(ctx, relayed) })
	<-imported
	err := errors.Join(exporting(), sending(), relaying(), importing())
	f.mirror(ctx)
	return err
}

// mirror shows on disk what has become of the sites. That it cannot is no reason to fail.
func (f *fleet) mirror(ctx context.Context) {
	for site := range f.env.Config.Sites {
		for _, m := range mirror.Of(f.env, site, mirror.Export, mirror.Import) {
			if err := m.Settle(ctx); err != nil {
				f.env.Log.Warn("the mirror of a site could not be written", "site", site, "error", err)
			}
		}
	}
}

// both is closed when two others are.
func both(a, b <-chan struct{}) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		<-a
		<-b
		close(c)
	}()
	return c
}

// isHeld tells whether everything is done but for what waits for somebody's word.
func isHeld(err error) bool {
	code := fault.Of(err).Code
	return code == fault.Guarded || code == fault.Paused
}

func leftOver(err error) error {
	if err == nil {
		return nil
	}
	return service.ErrHeld
}

// stage works on all of a kind at the same time. done is closed when they have
// ended, and result then joins their errors.
func stage[T any](ctx context.Context, all map[string]T, work func(T) error) (done <-chan struct{}, result func() error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for name, one := range all {
		wg.Go(func() {
			if err := persist(ctx, func() error { return work(one) }); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
				mu.Unlock()
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	return ended, func() error {
		<-ended
		return errors.Join(errs...)
	}
}

// persistence is how often work is begun anew because the broker did not answer in time:
// many sites that start at once keep a slow disk busy.
const persistence = 5

func persist(ctx context.Context, work func() error) error {
	pause := backoff.NewExponentialBackOff()
	for range persistence {
		err := work()
		if fault.Of(changelog.Classify(err)).Code != fault.BrokerDown {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause.NextBackOff()):
		}
	}
	return work()
}

// summary prints what was done, and tells by its error whether anything failed.
func (a *app) summary(ctx context.Context, f *fleet) error {
	failed, err := deadletter.New(f.env.JS).Count(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SITE\tPUBLISHED\tAPPLIED\tERRORS")
	for _, site := range sortedKeys(f.env.Config.Sites) {
		published, applied := "-", "-"
		if e := f.exporters[site]; e != nil {
			published = fmt.Sprint(e.Done())
		}
		if s := f.senders[site]; s != nil {
			published = fmt.Sprint(s.Done())
		}
		if i := f.importers[site]; i != nil {
			applied = fmt.Sprint(i.Done())
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", site, published, applied, failed[site])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return service.ErrLeftOver
	}
	return nil
}
