package plone

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// target writes to a site, one request after the other: writers that run side by side
// only make one another wait, and fail with conflicts.
type target struct {
	opts Options
	reader
	addon *addon

	mu      sync.Mutex
	parents map[string]parent // containers that were seen, by path
	met     time.Time         // when the site was recognised
	// there are UIDs that stand on the site, as far as was seen. Others may remove what
	// they name: a write that relied on them and was refused is done again without.
	there   map[string]bool
	trusted bool // the op at work relied on there
	effects int64
	seeded  time.Time // when objects were last made by an import
	noSeed  bool      // no more are
}

var _ content.Target = (*target)(nil)

// parentAge is how long a container that was seen counts as there.
const parentAge = 10 * time.Second

// parent is a container that was seen.
type parent struct {
	uid string
	at  time.Time
}

// batch is how many ops a call should get. They run one by one, so it only bounds how long
// a result is waited for: what lies in a container that a call makes comes in a later one,
// and what refers to it should not come before.
const batch = 16

func newTarget(o Options, c *client) *target {
	return &target{
		opts: o, reader: reader{c, newSchemas(c)}, addon: &addon{client: c}, parents: map[string]parent{}, there: map[string]bool{}, seeded: time.Now(),
	}
}

func (t *target) Batch() int {
	switch {
	case t.opts.Seed:
		return seedBatch
	case t.addon.present():
		return exactBatch
	}
	return batch
}

func (t *target) Close() error {
	t.http.CloseIdleConnections()
	return nil
}

// List yields what stands on the site, of all types.
func (t *target) List(ctx context.Context) iter.Seq2[content.Item, error] {
	s := newSource(t.opts, t.client)
	s.opts.Scope, s.rowsAlone = Scope{}, true
	return func(yield func(content.Item, error) bool) {
		for item, err := range s.List(ctx) {
			item.Unsettled = false
			if !yield(item, err) {
				return
			}
		}
	}
}

// Apply carries out ops in one transaction where the site has the add-on, else one by one.
func (t *target) Apply(ctx context.Context, ops []content.Op) []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	errs := make([]error, len(ops))
	if err := t.meet(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	info, err := t.addon.of(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = t.classify(ctx, err)
		}
		return errs
	}
	left := make([]int, len(ops))
	for i := range left {
		left[i] = i
	}
	if info != nil {
		left = t.applyExact(ctx, info, ops, errs)
	}
	t.applyStock(ctx, ops, left, errs)
	return errs
}

// applyStock carries out some of the ops, one by one.
func (t *target) applyStock(ctx context.Context, ops []content.Op, which []int, errs []error) {
	if len(which) == 0 {
		return
	}
	some := make([]content.Op, len(which))
	for n, i := range which {
		some[n] = ops[i]
	}
	rows, err := t.rowsFor(ctx, some)
	for n, i := range which {
		if errs[i] = err; err == nil {
			errs[i] = t.apply(ctx, &some[n], rows[some[n].Change.Object.UID])
		}
	}
}

// meet recognises the site, unless it did so a moment ago.
func (t *target) meet(ctx context.Context) error {
	if time.Since(t.met) < parentAge {
		return nil
	}
	if err := t.recognise(ctx); err != nil {
		return t.classify(ctx, err)
	}
	t.met = time.Now()
	return nil
}

func (t *target) apply(ctx context.Context, op *content.Op, rows []row) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.trusted = false
	err := t.carryOut(ctx, op, rows)
	if t.trusted && isStatus(err, http.StatusBadRequest) {
		clear(t.there)
		err = t.carryOutAnew(ctx, op)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	clear(t.parents)
	clear(t.there)
	return t.classify(ctx, err)
}

// carryOutAnew looks first where the object is by now.
func (t *target) carryOutAnew(ctx context.Context, op *content.Op) error {
	rows, err := t.byUIDs(ctx, []string{op.Change.Object.UID})
	if err != nil {
		return err
	}
	return t.carryOut(ctx, op, rows[op.Change.Object.UID])
}

// lacking asks which of some UIDs the site has not.
func (t *target) lacking(ctx context.Context, uids []string) (map[string]bool, error) {
	var ask []string
	for _, uid := range uids {
		if !t.there[uid] {
			ask = append(ask, uid)
		} else {
			t.trusted = true
		}
	}
	lacking := map[string]bool{}
	found, err := t.byUIDs(ctx, ask)
	if err != nil {
		return nil, err
	}
	for _, uid := range ask {
		if len(found[uid]) > 0 {
			t.stands(uid)
		} else {
			lacking[uid] = true
		}
	}
	return lacking, nil
}

// maxThere bounds what is kept of what was seen.
const maxThere = 100_000

func (t *target) stands(uid string) {
	if len(t.there) >= maxThere {
		clear(t.there)
	}
	t.there[uid] = true
}

func (t *target) carryOut(ctx context.Context, op *content.Op, rows []row) error {
	uid := op.Change.Object.UID
	if !isUID(uid) {
		return fault.Errorf(fault.Park, fault.Unsupported, "the UID %q is none that Plone makes; want 32 hexadecimal digits", uid)
	}
	now, err := only(rows)
	if err != nil {
		return err
	}
	if now == nil && op.From != "" {
		// Not to be found may mean not to be seen.
		if err := t.prove(ctx); err != nil {
			return err
		}
	}
	if op.To == "" {
		return t.remove(ctx, op, now)
	}
	want, err := t.wanted(ctx, op)
	if err != nil {
		return err
	}
	w := &work{target: t, op: op, want: want, to: placeOnSite(op.To), spooled: map[string]*spooled{}, kept: map[string]bool{}}
	return w.run(ctx, now)
}

// placeOnSite gives the path for a path of the log. A name for the moment begins with a
// dot there, which Plone would take away.
func placeOnSite(p string) string {
	return strings.TrimPrefix(p, ".")
}

func parentOf(p string) string {
	if d := path.Dir(p); d != "." {
		return d
	}
	return ""
}

// remove takes an object away that holds nothing.
func (t *target) remove(ctx context.Context, op *content.Op, now *row) error {
	if now == nil {
		return nil
	}
	if now.path == "" || isStructural(now.Type) {
		return fault.Errorf(fault.Park, fault.Unsupported, "remove %q: it belongs to the site itself", op.From)
	}
	below, err := t.search(ctx, now.path, nil, 0, 0)
	if err != nil {
		return err
	}
	if below.Total > 1 {
		return fault.Errorf(fault.Retry, fault.NotEmpty, "remove /%s: it holds %d other objects", now.path, below.Total-1)
	}
	return t.delete(ctx, now)
}

// delete is the only place that deletes. What it deletes has an id below the site's
// root and the UID that was meant.
func (t *target) delete(ctx context.Context, r *row) error {
	if err := checkPath(r.path); err != nil {
		return fault.New(fault.Park, fault.Unsupported, err)
	}
	doc, err := t.object(ctx, r.path)
	if err != nil || doc.uid() != r.UID {
		return errors.Join(fmt.Errorf("remove /%s: another object stands there", r.path), err)
	}
	clear(t.parents)
	delete(t.there, r.UID)
	t.effects++
	_, err = t.do(ctx, request{method: http.MethodDelete, path: r.path})
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

func isStructural(typ string) bool {
	return slices.Contains(skippedTypes, typ) || slices.Contains(languageFolders, typ)
}

// container makes sure that a container stands at a path, and that the site does not
// take another one further up for it.
func (t *target) container(ctx context.Context, p string) error {
	if p == "" || time.Since(t.parents[p].at) < parentAge {
		return nil
	}
	if err := checkPath(p); err != nil {
		return fault.New(fault.Park, fault.NameRefused, err)
	}
	doc, err := t.object(ctx, p)
	switch {
	case errors.Is(err, errElsewhere), isAbsent(err):
		return fault.New(fault.Retry, fault.ParentMissing, fmt.Errorf("the container /%s is not on the site: %w", p, err))
	case err != nil:
		return err
	case !doc.container():
		return fault.Errorf(fault.Park, fault.ParentMissing, "/%s is a %s and cannot hold anything", p, doc.str("@type"))
	}
	t.parents[p] = parent{doc.uid(), time.Now()}
	return nil
}

// knownParents gives the UIDs of the containers that ops need and that were seen once.
func (t *target) knownParents(ops []content.Op) (uids []string) {
	for i := range ops {
		if p := t.parents[parentOf(placeOnSite(ops[i].To))]; p.uid != "" && !slices.Contains(uids, p.uid) {
			uids = append(uids, p.uid)
		}
	}
	return uids
}

// seeParents takes in where the containers are by now.
func (t *target) seeParents(uids []string, rows map[string][]row) {
	for _, uid := range uids {
		maps.DeleteFunc(t.parents, func(_ string, p parent) bool { return p.uid == uid })
		if len(rows[uid]) == 1 {
			t.parents[rows[uid][0].path] = parent{uid, time.Now()}
		}
	}
}
