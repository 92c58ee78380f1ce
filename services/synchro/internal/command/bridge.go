package command

import (
	"context"

	"github.com/spf13/cobra"

	"synchro.example/services/bridge"
	"synchro.example/services/importer"
	"synchro.example/shared/content"
	"synchro.example/shared/service"
)

func (a *app) bridgeCommand() *cobra.Command {
	return a.siteCommand("bridge", "Serve one site that is a classic queue", `Sends what the queue's EXPORT side has, where a channel takes from the site, and puts
what channels bring to the site into its IMPORT side for the classic importer, until it
is stopped. The broker must be running. Classic processes may use the queue at the same
time. docs/classic-files.md tells how files move.`, bridge.Parts)
}

// openImporter makes the importer of a site of any kind.
func openImporter(ctx context.Context, env *service.Env, site string, landed func(string, *content.Change)) (*importer.Importer, error) {
	if env.Config.Sites[site].Queue != nil {
		return bridge.OpenImporter(ctx, env, site, landed)
	}
	return importer.Open(ctx, env, site, landed)
}
