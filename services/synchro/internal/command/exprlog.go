package command

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/services/relay"
	"synchro.example/shared/changelog"
	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/service"
	"synchro.example/shared/subject"
	"synchro.example/shared/tales"
	"synchro.example/shared/tree"
)

// verdict is what an expression says of one object of a log.
type verdict struct {
	UID     string `json:"uid"`
	Path    string `json:"path"`
	Type    string `json:"type"`
	Matches bool   `json:"matches"`
	// Change is "enters", "leaves" or "changes", empty when the channel has the object as
	// it would.
	Change string `json:"change,omitempty"`
	Error  string `json:"error,omitempty"`
}

type counts struct {
	objects, matching, failing int
	changes                    map[string]int
}

// sourceOf tells whose log is meant.
func sourceOf(c *config.Config, site, channel string) (string, error) {
	wrong := func(format string, args ...any) (string, error) {
		return "", fault.Errorf(fault.Stop, fault.Misconfigured, format, args...)
	}
	if channel != "" {
		ch, ok := c.Channels[channel]
		switch {
		case !ok:
			return wrong("%s has no channel %q; it has: %s", c.File, channel, strings.Join(c.ChannelNames(), ", "))
		case site != "" && site != ch.From:
			return wrong("channel %s comes from %s, not from %s", channel, ch.From, site)
		}
		return ch.From, nil
	}
	sources := c.Sources()
	switch {
	case site != "" && slices.Contains(sources, site):
		return site, nil
	case site != "":
		return wrong("%s has no source %q; it has: %s", c.File, site, strings.Join(sources, ", "))
	case len(sources) == 1:
		return sources[0], nil
	}
	return wrong("name the source with --site; %s has: %s", c.File, strings.Join(sources, ", "))
}

// logged reads every object that a source has, each with the path that it has now. A
// message that cannot be read is left out: the services report it.
func logged(ctx context.Context, js jetstream.JetStream, site string) ([]*content.Change, error) {
	var objects []*content.Change
	places := tree.New[struct{}]()
	err := changelog.Scan(ctx, js, subject.ExportStream(site), changelog.Options{}, func(m jetstream.Msg) error {
		c, err := envelope.Decode(m.Data())
		if err != nil || c.Kind == content.Removed {
			return nil
		}
		c.Payloads = nil
		places.Put(c.Object.UID, tree.Place{Parent: c.Object.ParentUID, Name: c.Object.Name}, struct{}{})
		objects = append(objects, c)
		return nil
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "nothing of %s has been exported yet; run `synchro up` first", site)
	}
	for _, c := range objects {
		if p, ok := places.Path(c.Object.UID); ok {
			c.Object.Path = p
		}
	}
	slices.SortFunc(objects, func(a, b *content.Change) int { return cmp.Compare(a.Object.Path, b.Object.Path) })
	return objects, err
}

// trial is what a channel's relay would do if the channel had another expression.
type trial struct {
	change map[string]string // by uid: enters, leaves or changes
	held   bool              // more would leave than may without somebody's word
}

var changeOf = map[string]string{reconcile.Missing: "enters", reconcile.Extra: "leaves", reconcile.Different: "changes"}

// try asks the relay of a channel what an expression would do: containers come and go with
// what lies in them. The answer is empty without a channel.
func try(ctx context.Context, env *service.Env, channel, expression string) (trial, error) {
	t := trial{change: map[string]string{}}
	if channel == "" {
		return t, nil
	}
	tried, here, cfg := env.Config.Channels[channel], *env, *env.Config
	tried.Expression = expression
	cfg.Channels = maps.Clone(cfg.Channels)
	cfg.Channels[channel], here.Config = tried, &cfg
	r, err := relay.OpenOne(ctx, &here, channel)
	if err != nil {
		return t, err
	}
	p, err := r.Plan(ctx)
	for _, d := range p.Differences {
		t.change[d.UID] = changeOf[d.What]
	}
	t.held = p.Held
	return t, err
}

// judge tells what is worth telling: what meets the expression, what it fails for, and
// what would change in the channel.
func judge(e *tales.Expression, objects []*content.Change, t trial, glob string) ([]verdict, counts) {
	told, n := []verdict{}, counts{changes: map[string]int{}}
	for _, c := range objects {
		if glob != "" && !doublestar.MatchUnvalidated(glob, c.Object.Path) {
			continue
		}
		v := verdict{UID: c.Object.UID, Path: c.Object.Path, Type: c.Object.Type, Change: t.change[c.Object.UID]}
		var err error
		if v.Matches, err = e.Matches(c); err != nil {
			v.Error = err.Error()
			n.failing++
		}
		n.objects++
		n.changes[v.Change]++
		if v.Matches {
			n.matching++
		}
		if v.Matches || v.Error != "" || v.Change != "" {
			told = append(told, v)
		}
	}
	return told, n
}
