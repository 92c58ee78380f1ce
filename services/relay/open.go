package relay

import (
	"context"
	"time"

	"synchro.example/shared/collect"
	"synchro.example/shared/config"
	"synchro.example/shared/lifecycle"
	"synchro.example/shared/service"
	"synchro.example/shared/signature"
)

// Open makes the relays of all channels of the configuration.
func Open(ctx context.Context, env *service.Env) ([]*Relay, error) {
	var relays []*Relay
	for _, name := range env.Config.ChannelNames() {
		r, err := OpenOne(ctx, env, name)
		if err != nil {
			return nil, err
		}
		relays = append(relays, r)
	}
	return relays, nil
}

// OpenOne makes the relay of one channel.
func OpenOne(ctx context.Context, env *service.Env, name string) (*Relay, error) {
	c := env.Config.Channels[name]
	expression, err := c.Compiled()
	if err != nil {
		return nil, err
	}
	key, unable := signature.ForChannel(name, c.Sign, c.SignedBy)
	return New(ctx, Options{
		Channel: name, From: c.From, To: c.To, Circle: env.Config.Circle(c.From), NC: env.NC, JS: env.JS, Log: env.Log,
		Expression: expression, RequireParents: c.Parents == config.ParentsRequire, MaxRemovals: env.Config.Sites[c.From].MaxRemovals.Of,
		Host: service.Host(), Software: service.Software(),
		Tombstones: time.Duration(env.Config.Tombstones),
		Control:    env.Control, Reconcile: time.Duration(env.Config.Reconcile),
		Trust: signature.OfSource(c.From, env.Config.Sites[c.From].SignedBy), Key: key, Unable: unable, SignedBy: c.SignedBy,
	})
}

// Channel is the name of the channel that r relays.
func (r *Relay) Channel() string { return r.channel }

// Parts is what a process runs that relays all channels. It also removes the bytes
// that no log refers to any more: that is work for one who stands in the middle.
func Parts(ctx context.Context, env *service.Env, _ string) ([]lifecycle.Part, error) {
	relays, err := Open(ctx, env)
	if err != nil {
		return nil, err
	}
	parts := []lifecycle.Part{collect.Part(env.JS, env.Log)}
	for _, r := range relays {
		parts = append(parts, lifecycle.Part{Name: "relay " + r.channel, Run: r.Run})
	}
	return parts, nil
}
