package importer

import (
	"context"
	"time"

	"synchro.example/shared/blob"
	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/driver"
	"synchro.example/shared/fault"
	"synchro.example/shared/lifecycle"
	"synchro.example/shared/mirror"
	"synchro.example/shared/plugin"
	"synchro.example/shared/preflight"
	"synchro.example/shared/service"
	"synchro.example/shared/signature"
)

// Open makes the importer of a configured site. landed may be nil.
func Open(ctx context.Context, env *service.Env, site string, landed func(path string, c *content.Change)) (*Importer, error) {
	o, err := options(env, site)
	if err != nil {
		return nil, err
	}
	s := env.Config.Sites[site]
	if err := driver.Check(site, s); err != nil {
		return nil, err
	}
	o.Open = func(owner string) (content.Target, error) {
		target, err := driver.OpenTarget(site, s, owner, env.Log)
		env.Control.Recognise(site, target)
		return target, err
	}
	o.Inspect = func() (content.Source, error) {
		source, err := driver.OpenSource(site, s, env.Log)
		env.Control.Recognise(site, source)
		return source, err
	}
	o.Preflight = func(ctx context.Context) { driver.Warn(ctx, site, s, preflight.Roles{Receiver: true}, env.Log) }
	o.Landed, o.Accept = landed, s.Accept
	return New(ctx, o)
}

// OpenTo makes the importer of a configured site that another service opens, and that
// nobody can look into. What the site accepts is that service's matter.
func OpenTo(ctx context.Context, env *service.Env, site string, open func() (content.Target, error), landed func(path string, c *content.Change)) (*Importer, error) {
	o, err := options(env, site)
	if err != nil {
		return nil, err
	}
	o.Open = func(string) (content.Target, error) { return open() }
	o.Landed = landed
	return New(ctx, o)
}

// options are what the configuration says.
func options(env *service.Env, site string) (Options, error) {
	s, ok := env.Config.Sites[site]
	channels := env.Config.ChannelsTo(site)
	if !ok || len(channels) == 0 {
		return Options{}, fault.Errorf(fault.Stop, fault.Misconfigured, "%s: no channel sends content to a site %q", env.Config.File, site)
	}
	return Options{
		Site: site, Channels: channels,
		Repair: s.Drift == config.DriftRepair, NC: env.NC, JS: env.JS, Log: env.Log, Rules: s.Rules(),
		Plugins: plugin.Open(site, s.Plugins, env.NC, blob.New(env.JS)),
		Circle:  env.Config.Circle(site),
		Signed:  signed(env.Config, channels), Own: signature.OfSource(site, s.SignedBy),
		Workers: s.Workers, Window: s.Window, Attempts: s.Attempts, Tombstones: time.Duration(env.Config.Tombstones),
		MaxRemovals: s.MaxRemovals.Of, Control: env.Control, Reconcile: time.Duration(env.Config.Reconcile),
		Host: service.Host(), Software: service.Software(),
	}, nil
}

// signed gives who must have signed what the channels bring.
func signed(c *config.Config, channels []string) map[string]*signature.Rule {
	rules := map[string]*signature.Rule{}
	for _, name := range channels {
		ch := c.Channels[name]
		rules[name] = signature.OfChannel(name, ch.From, ch.SignedBy, c.Sites[ch.From].SignedBy)
	}
	return rules
}

// Parts is what a process runs that imports into one site.
func Parts(ctx context.Context, env *service.Env, site string) ([]lifecycle.Part, error) {
	i, err := Open(ctx, env, site, nil)
	if err != nil {
		return nil, err
	}
	return append(mirror.Parts(env, site, mirror.Import), lifecycle.Part{Name: "importer " + site, Run: i.Run}), nil
}
