package importer

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/locate"
	"synchro.example/shared/plugin"
	"synchro.example/shared/status"
)

// pluginCalls is how many plugins are asked at the same time for one call of the target.
const pluginCalls = 4

// before has the plugins change what the target is given. An op that they do not let through
// gets its error and is not carried out.
func (s *session) before(ctx context.Context, batch []result) {
	s.askAll(batch, func(r *result) error {
		if isMade(r.op.Change.Object.UID) {
			return nil
		}
		whole, err := s.Plugins.Before(ctx, r.task.channel, &r.op)
		if err != nil {
			return err
		}
		r.whole = whole
		if given := plugin.Given(whole); given != r.op.Change {
			r.give(given)
		}
		return nil
	})
}

// give lets the target have a change as plugins have made it. The ledger keeps what the site
// has, not what came.
func (r *result) give(c *content.Change) {
	r.op.Change, r.task.given = c, c
	r.op.SameBytes = r.had == ledger.BytesDigest(c)
	if r.hand != nil {
		r.hand.Entry.Digest, r.hand.Entry.Bytes = c.Digest, ledger.BytesDigest(c)
		r.hand.Content = content.NamelessDigest(c.Payloads)
	}
}

// after tells the plugins what has taken effect. An op is not done before they know.
func (s *session) after(ctx context.Context, batch []result) {
	s.askAll(batch, func(r *result) error {
		if r.whole == nil || r.task.aside {
			return nil
		}
		return s.Plugins.After(ctx, r.task.channel, &r.op, r.whole)
	})
}

// askAll asks about all ops that have no error yet. When one shows that the site takes
// nothing, the others are not asked.
func (s *session) askAll(batch []result, ask func(*result) error) {
	var calls errgroup.Group
	calls.SetLimit(1)
	if s.Plugins.Has(plugin.Import) {
		calls.SetLimit(pluginCalls)
	}
	var down atomic.Pointer[fault.Error]
	for i := range batch {
		r := &batch[i]
		if r.err != nil {
			continue
		}
		calls.Go(func() error {
			if f := down.Load(); f != nil {
				r.err = f
			} else if r.err = ask(r); r.err != nil && fault.Of(r.err).WholeSite {
				down.Store(fault.Of(r.err))
			}
			return nil
		})
	}
	_ = calls.Wait() // errors are those of the ops
}

// placed asks the rules, and the plugin that they leave it to, where an object belongs.
func (s *session) placed(ctx context.Context, channel string, c *content.Change, path string) (locate.Place, error) {
	to, err := s.Rules.Place(c, path)
	if err != nil || to.Plugin == "" {
		return to, err
	}
	p, err := s.Plugins.Locate(ctx, to.Plugin, channel, c, path)
	return locate.Place{Matched: true, Skip: p.Skip, Path: p.Path}, err
}

// said is the last report, and how the plugins are now.
func (i *Importer) said() status.Report {
	r := *i.report.Load()
	r.Plugins = i.Plugins.Health(plugin.Import, plugin.Locate)
	return r
}
