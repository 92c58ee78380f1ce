package command

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"synchro.example/services/exporter"
	"synchro.example/services/importer"
	"synchro.example/services/relay"
	"synchro.example/shared/config"
	"synchro.example/shared/lifecycle"
	"synchro.example/shared/service"
)

func (a *app) brokerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "broker",
		Short: "Run the embedded broker alone",
		Long: `Runs the broker that the configuration describes under broker.embedded, for
services that run as processes of their own. "synchro up" has it inside already.`,
		Example: "  synchro broker --config FILE",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(a.config)
			if err != nil {
				return err
			}
			if cfg.Broker.Embedded == nil {
				return usage(c, cfg.File+": broker.embedded is missing, so there is no broker to run")
			}
			collectEarly()
			conn, err := host(c.Context(), cfg, a.logger(slog.LevelInfo))
			if err != nil {
				return err
			}
			defer conn.close()
			return service.Serve(c.Context(), conn.Env, []lifecycle.Part{{Name: "broker", Run: untilTold}})
		},
	}
}

// collectEarly keeps the caches of a broker small, which give way to the garbage
// collector only: without it they grow by some 180 MiB while a large file passes, with
// it by less than 64. GOGC and GOMEMLIMIT, as always, are for whoever knows better.
func collectEarly() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(25)
	}
}

func untilTold(soft, _ context.Context) error {
	<-soft.Done()
	return nil
}

func (a *app) exporterCommand() *cobra.Command {
	return a.siteCommand("exporter", "Export the changes of one source site", `Watches and scans one source site and writes what changes into the site's log, until
it is stopped. The broker must be running. A second exporter of the same site
stands by, and takes over when the first one ends.`, exporter.Parts)
}

func (a *app) importerCommand() *cobra.Command {
	var seed bool
	c := a.siteCommand("importer", "Apply changes to one receiving site", `Applies what the channels bring to one receiving site, until it is stopped. The
broker must be running. This is what runs on the machine of a receiver. A second
importer of the same site stands by, and takes over when the first one ends.`, func(ctx context.Context, env *service.Env, site string) ([]lifecycle.Part, error) {
		if seed {
			if err := env.Config.SeedReceivers(site); err != nil {
				return nil, err
			}
		}
		return importer.Parts(ctx, env, site)
	})
	seedFlag(c, &seed)
	c.Example += "\n  synchro importer --site NAME --seed"
	return c
}

func (a *app) relayCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "relay",
		Short: "Pass changes on from the sources' logs to the channels' logs",
		Long: `Passes what the sources' logs have on to the logs of all channels, one copy for
however many receivers, until it is stopped. The broker must be running.`,
		Example: "  synchro relay --config FILE",
		RunE: func(c *cobra.Command, _ []string) error {
			return service.Run(c.Context(), a.config, "", a.logger(slog.LevelInfo), relay.Parts)
		},
	}
}

func (a *app) siteCommand(name, short, long string, parts service.Parts) *cobra.Command {
	var site string
	c := &cobra.Command{
		Use: name, Short: short, Long: long,
		Example: "  synchro " + name + " --config FILE --site NAME",
		RunE: func(c *cobra.Command, _ []string) error {
			if site == "" {
				return usage(c, "--site NAME is missing")
			}
			return service.Run(c.Context(), a.config, site, a.logger(slog.LevelInfo), parts)
		},
	}
	c.Flags().StringVar(&site, "site", "", "the `NAME` of the site in the configuration")
	return c
}
