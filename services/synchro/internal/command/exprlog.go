package command

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
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
	// Change is "enters" or "leaves", empty when the channel has the object as it would.
	Change string `json:"change,omitempty"`
	Error  string `json:"error,omitempty"`
}

type counts struct{ objects, matching, failing, entering, leaving int }

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

// carried gives the uids of what a channel has now; nil without a channel.
func carried(ctx context.Context, js jetstream.JetStream, channel string) (map[string]bool, error) {
	if channel == "" {
		return nil, nil
	}
	in := map[string]bool{}
	err := changelog.Heads(ctx, js, subject.ImportStream(channel),
		func(_ uint64, h envelope.Head) { in[h.UID] = h.Kind == content.Modified },
		func(string, error) {})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return in, nil
	}
	return in, err
}

// judge tells what is worth telling: what meets the expression, what it fails for, and
// what would leave the channel.
func judge(e *tales.Expression, objects []*content.Change, in map[string]bool, o *exprOptions) ([]verdict, counts) {
	told, n := []verdict{}, counts{}
	for _, c := range objects {
		if o.path != "" && !doublestar.MatchUnvalidated(o.path, c.Object.Path) {
			continue
		}
		v := verdict{UID: c.Object.UID, Path: c.Object.Path, Type: c.Object.Type}
		var err error
		if v.Matches, err = e.Matches(c); err != nil {
			v.Error = err.Error()
			n.failing++
		}
		if o.channel != "" && err == nil {
			v.Change = n.compare(v.Matches, in[v.UID])
		}
		n.objects++
		if v.Matches {
			n.matching++
		}
		if v.Matches || v.Error != "" || v.Change != "" {
			told = append(told, v)
		}
	}
	return told, n
}

func (n *counts) compare(matches, in bool) string {
	switch {
	case matches && !in:
		n.entering++
		return "enters"
	case in && !matches:
		n.leaving++
		return "leaves"
	}
	return ""
}
