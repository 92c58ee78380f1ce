package importer

import (
	"cmp"
	"context"
	"slices"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/locate"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/subject"
	"synchro.example/shared/tree"
)

// Coming is what is about to happen to the log of a channel.
type Coming struct {
	Channel, From string
	Differences   []reconcile.Difference
}

// Outlook is what would happen on the site: paths of objects, in order.
type Outlook struct {
	Enters, Leaves, Moves []string
	Fails                 []Failing
}

// Failing is an object that would be set aside.
type Failing struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// outlook is a session that only looks ahead.
type outlook struct {
	*session
	Outlook
	future *tree.Tree[coming] // the sources as the site would be given them
	leaves map[string]bool    // uids that the site would be told to remove
	down   map[string]error   // plugins that are not asked again
	stands map[string]string  // uids by the paths that they would have
}

type coming struct {
	head          envelope.Head
	from, channel string
}

// spot is where an object would stand.
type spot struct {
	path string
	skip bool
}

// Outlook computes what the site would be given, and where it would put that. It changes
// nothing.
func (i *Importer) Outlook(ctx context.Context, channels []Coming) (Outlook, error) {
	o := &outlook{session: newSession(i), future: tree.New[coming](), leaves: map[string]bool{}, down: map[string]error{}, stands: map[string]string{}}
	if err := o.read(ctx, ledger.Load); err != nil {
		return o.Outlook, err
	}
	if o.onCircle() {
		o.stay()
	}
	for _, c := range channels {
		if err := o.expect(ctx, c); err != nil {
			return o.Outlook, err
		}
	}
	o.compareAll(ctx)
	for _, list := range [][]string{o.Enters, o.Leaves, o.Moves} {
		slices.Sort(list)
	}
	slices.SortFunc(o.Fails, func(a, b Failing) int { return cmp.Compare(a.Path, b.Path) })
	return o.Outlook, nil
}

// stay begins with what stands on the site: on a circle it was made there, too, and no
// channel that leads to the site brings it.
func (o *outlook) stay() {
	for uid, e := range o.actual.All() {
		place, _ := o.actual.Place(uid)
		h := envelope.Head{UID: uid, ParentUID: place.Parent, Name: place.Name, Type: e.Type, Kind: content.Modified, Version: e.Version}
		o.future.Put(uid, place, coming{h, o.Site, ""})
	}
}

// isPast tells whether the site knows newer of an object than a log has, as on a circle, where
// what is made on the site is not sent to it.
func (o *outlook) isPast(h envelope.Head) bool {
	return o.onCircle() && h.Version > 0 && h.Version <= o.versionOf(h.UID)
}

// expect takes in what a channel's log would have.
func (o *outlook) expect(ctx context.Context, c Coming) error {
	heads, err := headsOf(ctx, o.session, c.Channel)
	if err != nil {
		return err
	}
	source := map[string]envelope.Head{}
	err = changelog.Heads(ctx, o.JS, subject.ExportStream(c.From), func(_ uint64, h envelope.Head) { source[h.UID] = h }, func(string, error) {})
	if err != nil {
		return err
	}
	for _, d := range c.Differences {
		switch h, ok := source[d.UID]; {
		case d.What == reconcile.Extra:
			heads[d.UID] = envelope.Head{UID: d.UID, Kind: content.Removed}
		case ok && d.What != reconcile.Failed:
			heads[d.UID] = h
		}
	}
	for uid, h := range heads {
		if o.isPast(h) {
			continue
		}
		if h.Kind == content.Removed {
			o.leaves[uid] = true
			continue
		}
		o.future.Put(uid, tree.Place{Parent: h.ParentUID, Name: h.Name}, coming{h, c.From, c.Channel})
	}
	return nil
}

// compareAll compares what would be with what is.
func (o *outlook) compareAll(ctx context.Context) {
	spots := map[string]spot{"": {}}
	for _, uid := range below(o.future, "") {
		to, err := o.spotOf(ctx, uid, spots)
		if err == nil {
			err = o.take(uid, to)
		}
		if err != nil {
			path, _ := o.future.Path(uid)
			o.Fails = append(o.Fails, Failing{path, err.Error()})
			to.skip = true
		}
		spots[uid] = to
		now, live := o.actual.Path(uid)
		switch {
		case live && err != nil:
		case live && to.skip:
			o.Leaves = append(o.Leaves, now)
		case live && now != to.path:
			o.Moves = append(o.Moves, to.path)
		case !live && !to.skip:
			o.Enters = append(o.Enters, to.path)
		}
	}
	for uid := range o.leaves {
		if now, live := o.actual.Path(uid); live {
			o.Leaves = append(o.Leaves, now)
		}
	}
}

// take gives an object its path, where no other one has it. On a circle, what stands at one
// path becomes one object.
func (o *outlook) take(uid string, to spot) error {
	if to.skip || o.onCircle() {
		return nil
	}
	if holder, taken := o.stands[to.path]; taken {
		path, _ := o.future.Path(holder)
		h, _ := o.future.Get(holder)
		return fault.Errorf(fault.Park, fault.PathTaken, "it belongs at %q, where %q of %s belongs too", to.path, path, h.from)
	}
	o.stands[to.path] = uid
	return nil
}

// spotOf asks the rules about an object whose container's spot is known.
func (o *outlook) spotOf(ctx context.Context, uid string, spots map[string]spot) (spot, error) {
	c, _ := o.future.Get(uid)
	path, _ := o.future.Path(uid)
	change, err := o.changeOf(ctx, c, path)
	if err != nil {
		return spot{}, err
	}
	to, err := o.Rules.Place(change, path)
	if err == nil && to.Plugin != "" {
		to, err = o.answered(ctx, to.Plugin, c.channel, change, path)
	}
	if err != nil {
		return spot{}, err
	}
	return o.spotFor(to, c.head, spots), nil
}

// answered asks a plugin, but not one that was not there before: it may have been waited for.
func (o *outlook) answered(ctx context.Context, plugin, channel string, c *content.Change, path string) (locate.Place, error) {
	if err := o.down[plugin]; err != nil {
		return locate.Place{}, err
	}
	p, err := o.Plugins.Locate(ctx, plugin, channel, c, path)
	if err != nil && fault.Of(err).WholeSite {
		o.down[plugin] = err
	}
	return locate.Place{Matched: true, Skip: p.Skip, Path: p.Path}, err
}

func (o *outlook) spotFor(to locate.Place, h envelope.Head, spots map[string]spot) spot {
	above := spots[h.ParentUID]
	switch {
	case to.Matched:
		return spot{to.Path, to.Skip}
	case above.path == "":
		return spot{h.Name, above.skip}
	}
	return spot{above.path + "/" + h.Name, above.skip}
}

// changeOf gives as much of an object as the rules read.
func (o *outlook) changeOf(ctx context.Context, c coming, path string) (*content.Change, error) {
	if o.Rules.Deep() {
		newest, err := changelog.NewestChange(ctx, o.JS, subject.ExportStream(c.from), subject.ExportToProcess(c.from, c.head.UID))
		if newest != nil || err != nil {
			return newest, err
		}
		return nil, fault.Errorf(fault.Park, fault.Invalid, "the log of %s does not have %q any more", c.from, path)
	}
	return &content.Change{Source: c.from, Kind: content.Modified, Object: content.Object{UID: c.head.UID, Name: c.head.Name, Path: path, Type: c.head.Type}}, nil
}
