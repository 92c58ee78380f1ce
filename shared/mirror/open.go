package mirror

import (
	"time"

	"synchro.example/shared/lifecycle"
	"synchro.example/shared/service"
)

// Of gives the mirrors of a configured site, one for each side that it has: none where the
// site does not ask for any.
func Of(env *service.Env, site string, sides ...Side) (all []*Mirror) {
	s := env.Config.Sites[site]
	if s.Mirror == "" {
		return nil
	}
	for _, side := range sides {
		channels := env.Config.ChannelsFrom(site)
		if side == Import {
			channels = env.Config.ChannelsTo(site)
		}
		if len(channels) == 0 {
			continue
		}
		all = append(all, New(Options{
			Site: site, Side: side, Path: s.Mirror, Channels: channels, NC: env.NC, JS: env.JS, Log: env.Log,
			Reconcile: time.Duration(env.Config.Reconcile),
		}))
	}
	return all
}

// Parts gives the mirrors of a site as parts of a process.
func Parts(env *service.Env, site string, sides ...Side) (parts []lifecycle.Part) {
	for _, m := range Of(env, site, sides...) {
		parts = append(parts, lifecycle.Part{Name: m.Side.Role() + " " + site, Run: m.Run})
	}
	return parts
}
