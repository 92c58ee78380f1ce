package plugin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/blob"
	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Set is the plugins of one site, in order. A nil one has none. It is safe for concurrent
// use.
type Set struct {
	site  string
	blobs *blob.Store
	steps []*step
}

// step is a plugin as a site uses it.
type step struct {
	config.Plugin
	caller
	health
}

// caller asks a plugin.
type caller interface {
	parts(ctx context.Context, c *Call) ([]Part, error)
	place(ctx context.Context, c *Call) (Place, error)
}

// Open gives the plugins that a site names: those that are part of the program, and for
// every other id whoever answers for it in the broker.
func Open(site string, list []config.Plugin, nc *nats.Conn, blobs *blob.Store) *Set {
	s := &Set{site: site, blobs: blobs}
	for _, entry := range list {
		one := &step{Plugin: entry}
		if p, ok := find(entry.ID); ok {
			one.caller = inside{p}
			one.Priority = cmp.Or(entry.Priority, p.Priority)
			if len(one.Events) == 0 {
				one.Events = p.Events
			}
			one.up()
		} else {
			one.caller = &remote{nc: nc, Plugin: entry, health: &one.health, slots: make(chan struct{}, maxCalls)}
		}
		one.Priority = cmp.Or(one.Priority, DefaultPriority)
		s.steps = append(s.steps, one)
	}
	slices.SortStableFunc(s.steps, func(a, b *step) int { return cmp.Compare(a.Priority, b.Priority) })
	return s
}

// all gives the plugins that take part in something, in order.
func (s *Set) all(side Side, operation content.Kind, objectType string) (list []*step) {
	if s == nil {
		return nil
	}
	for _, one := range s.steps {
		if one.Has(string(side)) && takes(one.Events, operation) && takes(one.Types, objectType) {
			list = append(list, one)
		}
	}
	return list
}

func takes[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

// Mark names the plugins that change what a source reads of a type of objects. Other
// plugins, or the same with other settings, have another one; none have an empty one.
func (s *Set) Mark(objectType string) string {
	list := s.all(Export, content.Modified, objectType)
	if len(list) == 0 {
		return ""
	}
	var ids []any
	for _, one := range list {
		ids = append(ids, one.ID, one.Priority)
	}
	text, err := json.Marshal(ids)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// Exported has the plugins of a source change what was read of an object, or tells them
// that it is gone. It gives the payloads that the change is to have. What is stored is told
// to stored.
func (s *Set) Exported(ctx context.Context, c *content.Change, stored func(blob.Result)) ([]content.Payload, error) {
	now := *c
	for _, one := range s.all(Export, c.Kind, c.Object.Type) {
		call := &Call{Side: Export, Operation: c.Kind, Site: s.site, Change: &now, files: files{s.blobs, stored}}
		payloads, err := one.change(ctx, call)
		if err != nil {
			return nil, err
		}
		now.Payloads = payloads
	}
	return now.Payloads, nil
}

// Before has the plugins whose turn comes before the driver's change what it is given. It
// gives the change with all payloads; Given is what the driver is to have of it. An error
// means that the site is untouched.
func (s *Set) Before(ctx context.Context, channel string, op *content.Op) (*content.Change, error) {
	list := s.imports(op, true)
	if len(list) == 0 {
		return op.Change, nil
	}
	now := *op.Change
	for _, one := range list {
		payloads, err := one.change(ctx, s.importCall(channel, op, &now))
		if err != nil {
			return nil, err
		}
		now.Payloads, now.Digest = payloads, content.DigestOf(payloads)
	}
	return &now, nil
}

// After tells the plugins whose turn comes after the driver's what has taken effect, with
// the change that Before gave.
func (s *Set) After(ctx context.Context, channel string, op *content.Op, c *content.Change) error {
	for _, one := range s.imports(op, false) {
		if _, err := one.change(ctx, s.importCall(channel, op, c)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) imports(op *content.Op, before bool) (list []*step) {
	for _, one := range s.all(Import, operation(op), op.Change.Object.Type) {
		if one.Priority < DriverPriority == before {
			list = append(list, one)
		}
	}
	return list
}

// Hear tells whether a plugin wants to hear of objects of a type when they have taken effect.
func (s *Set) Hear(objectType string) bool {
	return slices.ContainsFunc(s.all(Import, content.Modified, objectType), func(one *step) bool { return one.Priority >= DriverPriority })
}

// Has tells whether a plugin has a side.
func (s *Set) Has(side Side) bool {
	return s != nil && slices.ContainsFunc(s.steps, func(one *step) bool { return one.Has(string(side)) })
}

func operation(op *content.Op) content.Kind {
	if op.To == "" {
		return content.Removed
	}
	return content.Modified
}

func (s *Set) importCall(channel string, op *content.Op, c *content.Change) *Call {
	return &Call{
		Side: Import, Operation: operation(op), Site: s.site, Channel: channel, Change: c, From: op.From, To: op.To,
		files: files{blobs: s.blobs},
	}
}

// Knows tells whether the site names a plugin.
func (s *Set) Knows(id string) bool { return s.named(id) != nil }

func (s *Set) named(id string) *step {
	if s == nil {
		return nil
	}
	for _, one := range s.steps {
		if one.ID == id {
			return one
		}
	}
	return nil
}

// Given is a change without the payloads of plugins, which are none of the driver's.
func Given(c *content.Change) *content.Change {
	own := func(p content.Payload) bool { return !content.IsBuiltIn(p.Plugin) }
	if !slices.ContainsFunc(c.Payloads, own) {
		return c
	}
	given := *c
	given.Payloads = slices.DeleteFunc(slices.Clone(c.Payloads), own)
	given.Digest = content.DigestOf(given.Payloads)
	return &given
}

// Locate asks a plugin where an object belongs whose source has it at path. A failure that
// is the object's is of class Park.
func (s *Set) Locate(ctx context.Context, id, channel string, c *content.Change, path string) (Place, error) {
	one := s.named(id)
	if one == nil || !one.Has(string(Locate)) {
		return Place{}, fault.Errorf(fault.Stop, fault.Misconfigured, "a rule of locate asks the plugin %s, which the site's plugins do not name for that", id)
	}
	here := *c
	here.Object.Path = path
	call := &Call{Side: Locate, Operation: content.Modified, Site: s.site, Channel: channel, Change: &here, files: files{blobs: s.blobs}}
	var to Place
	err := one.measured(func() (err error) {
		to, err = one.place(ctx, call)
		return one.explain(call, err)
	})
	if f := fault.Of(err); err != nil && f.Class == fault.Retry && !f.WholeSite {
		err = fault.New(fault.Park, fault.PluginFailed, err)
	}
	return to, err
}

// change asks a plugin, and gives the payloads that it wants.
func (one *step) change(ctx context.Context, c *Call) (payloads []content.Payload, err error) {
	err = one.measured(func() error {
		parts, err := one.parts(ctx, c)
		if err == nil {
			payloads, err = merge(ctx, one, c, parts)
		}
		return one.explain(c, err)
	})
	return payloads, err
}
