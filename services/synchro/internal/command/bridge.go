package command

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"synchro.example/services/bridge"
	"synchro.example/services/importer"
	"synchro.example/shared/content"
	"synchro.example/shared/lifecycle"
	"synchro.example/shared/service"
)

func (a *app) bridgeCommand() *cobra.Command {
	return a.siteCommand("bridge", "Serve one site that is a classic queue", `Sends what the queue's EXPORT side has, where a channel takes from the site, and puts
what channels bring to the site into its IMPORT side for the classic importer, until it
is stopped. The broker must be running. Classic processes may use the queue at the same
time. docs/classic-files.md tells how files move.`, bridgeParts)
}

// bridgeParts is what a process runs that serves one queue.
func bridgeParts(ctx context.Context, env *service.Env, site string) (parts []lifecycle.Part, err error) {
	if slices.Contains(env.Config.Sources(), site) {
		s, err := bridge.OpenSender(ctx, env, site)
		if err != nil {
			return nil, err
		}
		parts = append(parts, lifecycle.Part{Name: "exporter " + site, Run: s.Run})
	}
	if len(parts) > 0 && !slices.Contains(env.Config.Receivers(), site) {
		return parts, nil
	}
	i, err := openBridge(ctx, env, site, nil)
	if err != nil {
		return nil, err
	}
	return append(parts, lifecycle.Part{Name: "importer " + site, Run: i.Run}), nil
}

// openImporter makes the importer of a site of any kind.
func openImporter(ctx context.Context, env *service.Env, site string, landed func(string, *content.Change)) (*importer.Importer, error) {
	if env.Config.Sites[site].Queue != nil {
		return openBridge(ctx, env, site, landed)
	}
	return importer.Open(ctx, env, site, landed)
}

func openBridge(ctx context.Context, env *service.Env, site string, landed func(string, *content.Change)) (*importer.Importer, error) {
	open, err := bridge.Receiver(env, site)
	if err != nil {
		return nil, err
	}
	return importer.OpenTo(ctx, env, site, func() (content.Target, error) { return open() }, landed)
}
