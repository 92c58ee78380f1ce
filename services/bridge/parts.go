package bridge

import (
	"context"
	"slices"

	"synchro.example/services/importer"
	"synchro.example/shared/content"
	"synchro.example/shared/lifecycle"
	"synchro.example/shared/service"
)

// Parts is what a process runs that serves one queue: the sender where a channel takes
// from the site, the importer where one brings to it.
func Parts(ctx context.Context, env *service.Env, site string) (parts []lifecycle.Part, err error) {
	sends := slices.Contains(env.Config.Sources(), site)
	if sends {
		s, err := OpenSender(ctx, env, site)
		if err != nil {
			return nil, err
		}
		parts = append(parts, lifecycle.Part{Name: "exporter " + site, Run: s.Run})
	}
	if !sends || slices.Contains(env.Config.Receivers(), site) {
		i, err := OpenImporter(ctx, env, site, nil)
		if err != nil {
			return nil, err
		}
		parts = append(parts, lifecycle.Part{Name: "importer " + site, Run: i.Run})
	}
	return append(parts, Census(env, site)), nil
}

// OpenImporter makes the importer that writes to a configured queue. landed may be nil.
func OpenImporter(ctx context.Context, env *service.Env, site string, landed func(path string, c *content.Change)) (*importer.Importer, error) {
	open, err := Receiver(env, site)
	if err != nil {
		return nil, err
	}
	return importer.OpenTo(ctx, env, site, func() (content.Target, error) { return open() }, landed)
}
