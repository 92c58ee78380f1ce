package exporter

import (
	"context"
	"time"

	"synchro.example/shared/blob"
	"synchro.example/shared/driver"
	"synchro.example/shared/fault"
	"synchro.example/shared/lifecycle"
	"synchro.example/shared/mirror"
	"synchro.example/shared/plugin"
	"synchro.example/shared/preflight"
	"synchro.example/shared/service"
	"synchro.example/shared/signature"
)

// Open makes the exporter of a configured site.
func Open(ctx context.Context, env *service.Env, site string) (*Exporter, error) {
	s, ok := env.Config.Sites[site]
	if !ok || len(env.Config.ChannelsFrom(site)) == 0 {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "%s: no channel takes content from a site %q", env.Config.File, site)
	}
	if err := driver.Check(site, s); err != nil {
		return nil, err
	}
	source, err := driver.OpenSource(site, s, env.Log)
	if err != nil {
		return nil, err
	}
	env.Control.Recognise(site, source)
	key, unable := signature.ForSite(site, s.Sign, s.SignedBy)
	rescan, lookAgain := s.Rescan()
	return New(ctx, Options{
		Site: site, Source: source, NC: env.NC, JS: env.JS, Log: env.Log,
		Plugins: plugin.Open(site, s.Plugins, env.NC, blob.New(env.JS)),
		Control: env.Control, MaxRemovals: s.MaxRemovals.Of,
		Rescan: rescan, LookAgain: lookAgain,
		Reconcile: time.Duration(env.Config.Reconcile), Tombstones: time.Duration(env.Config.Tombstones),
		Preflight: func(ctx context.Context) { driver.Warn(ctx, site, s, preflight.Roles{Source: true}, env.Log) },
		Circle:    env.Config.Circle(site),
		Host:      service.Host(), Software: service.Software(),
		Key: key, Unable: unable, Rule: signature.OfSource(site, s.SignedBy),
	})
}

// Parts is what a process runs that exports one site.
func Parts(ctx context.Context, env *service.Env, site string) ([]lifecycle.Part, error) {
	e, err := Open(ctx, env, site)
	if err != nil {
		return nil, err
	}
	return append(mirror.Parts(env, site, mirror.Export), lifecycle.Part{Name: "exporter " + site, Run: e.Run}), nil
}
