package plone

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

const (
	// relist is how long the catalog is asked for what is new only. Some changes of
	// rows show in a whole listing alone.
	relist = 5 * time.Minute
	// overlap is how far such a question looks back: dates are compared by the minute.
	overlap = 2 * time.Minute
)

// source keeps the rows of the last listing, so that an idle site costs few questions.
type source struct {
	opts Options
	*client
	types *schemas
	addon *addon

	rowsAlone bool // what rows do not tell is not asked for

	mu         sync.Mutex
	feed       feed
	top        topOrder
	rows       map[string]row
	listed     time.Time         // when all rows were asked for, by our clock
	cursor     time.Time         // the site's clock at the last look
	dead       int               // rows without an object
	generation int               // counts looks that found something
	swept      time.Time         // up to where the sweep has come, by our clock
	skipped    map[string]string // UID to the fingerprint at which an object was no content
	reported   map[string]bool
}

var (
	_ content.Source = (*source)(nil)
	_ content.Prover = (*source)(nil)
)

func newSource(o Options, c *client) *source {
	return &source{
		opts: o, client: c, types: newSchemas(c), addon: &addon{client: c}, swept: time.Now(),
		skipped: map[string]string{}, reported: map[string]bool{},
	}
}

func (s *source) Close() error {
	s.http.CloseIdleConnections()
	return nil
}

// List yields the rows of the catalog. In each sweep every object gets a fingerprint
// once that nothing equals, so that it is read.
func (s *source) List(ctx context.Context) iter.Seq2[content.Item, error] {
	return func(yield func(content.Item, error) bool) {
		items, err := s.list(ctx)
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
		if err != nil {
			yield(content.Item{}, err)
		}
	}
}

func (s *source) list(ctx context.Context) ([]content.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stirred, err := s.follow(ctx)
	if err == nil && (stirred || !s.feed.on || time.Since(s.listed) >= relist) {
		err = s.look(ctx)
	}
	if err == nil {
		err = s.lookTop(ctx)
	}
	if err != nil {
		return nil, s.listFault(ctx, err)
	}
	due := s.due(time.Now())
	var items []content.Item
	pick := selection{scope: s.opts.Scope}
	for _, r := range s.sorted() {
		item, ok := pick.item(&r)
		if !ok || s.skipped[r.UID] == item.Fingerprint {
			continue
		}
		item.Unsettled = item.Unsettled || s.unsettled(&r)
		item.Fingerprint += s.feed.mark(r.UID) + s.top.mark(r.UID)
		if due(r.UID) {
			item.Fingerprint = fmt.Sprintf("%s\x1fswept %d", item.Fingerprint, s.swept.UnixNano())
		}
		items = append(items, item)
	}
	return items, nil
}

// listFault makes what ended a listing a fault of the whole site.
func (s *source) listFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f := fault.Of(s.classify(ctx, err))
	class := f.Class
	if class == fault.Park {
		class = fault.Retry
	}
	return fault.OfSite(class, f.Code, fmt.Errorf("list %s: %w", s.base, err))
}

// sorted gives the rows by their age, but containers before what they hold. Mostly that is
// the order in containers, and what an object refers to is older than it, so that who makes
// the objects one after the other has little to mend afterwards. Of one second are those that
// a program makes, which counts in their names.
func (s *source) sorted() []row {
	rows := slices.Collect(maps.Values(s.rows))
	slices.SortFunc(rows, func(a, b row) int {
		x, y := path.Base(a.path), path.Base(b.path)
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(len(x), len(y)), cmp.Compare(x, y), cmp.Compare(a.path, b.path))
	})
	return containersFirst(rows)
}

// containersFirst puts each row behind those of what holds it, and else keeps the order.
func containersFirst(rows []row) []row {
	at := make(map[string]int, len(rows)) // one row each, should a path have several
	for i := range rows {
		at[rows[i].path] = i
	}
	out, done := make([]row, 0, len(rows)), make([]bool, len(rows))
	var put func(i int)
	put = func(i int) {
		if done[i] {
			return
		}
		done[i] = true
		if p := rows[i].path; strings.Contains(p, "/") {
			if above, ok := at[parentOf(p)]; ok {
				put(above)
			}
		}
		out = append(out, rows[i])
	}
	for i := range rows {
		put(i)
	}
	return out
}

// unsettled tells whether an object may change again within the second that its date
// names: the date would then not show it.
func (s *source) unsettled(r *row) bool {
	if s.feed.on {
		return false // a later change is in the feed, whatever its date
	}
	at := r.modifiedAt()
	return !at.IsZero() && !s.cursor.After(at.Add(time.Second)) && at.Before(s.cursor.Add(time.Minute))
}

// due gives the part of the site whose turn in the sweep has come since the last call:
// each UID has a moment of its own in it.
func (s *source) due(now time.Time) func(uid string) bool {
	period := s.opts.Sweep
	from := s.swept
	s.swept = now
	return func(uid string) bool {
		sum := sha256.Sum256([]byte(uid))
		moment := time.Duration(binary.BigEndian.Uint64(sum[:8]) % uint64(period))
		next := from.Truncate(period).Add(moment)
		if !next.After(from) {
			next = next.Add(period)
		}
		return !next.After(now)
	}
}

// report says once why an object is left out.
func (s *source) report(r *row, why string) {
	if s.reported[r.key()] {
		return
	}
	s.reported[r.key()] = true
	s.opts.Log.Warn("skipped", "path", r.path, "why", why)
}

// look brings the rows up to date: with what is new when that explains the number of
// rows, else with all of them.
func (s *source) look(ctx context.Context) error {
	if s.rows != nil && time.Since(s.listed) < relist {
		ok, err := s.lookNew(ctx)
		if ok || err != nil {
			return err
		}
	}
	return s.lookAll(ctx)
}

// lookAll proves the account before and after: in between, rows that it may not see
// look like rows that are gone.
func (s *source) lookAll(ctx context.Context) error {
	if err := s.sure(ctx); err != nil {
		return err
	}
	p, err := s.all(ctx, "", nil)
	if err != nil {
		return err
	}
	if err := s.prove(ctx); err != nil {
		return err
	}
	rows := make(map[string]row, len(p.Items))
	for _, r := range p.Items {
		if other, twice := rows[r.key()]; twice {
			return fault.OfSite(fault.Retry, fault.DuplicateUID, fmt.Errorf("the UID %s stands at /%s and at /%s; give one of them another", r.UID, other.path, r.path))
		}
		rows[r.key()] = r
	}
	s.adopt(rows, p.at)
	s.listed = time.Now()
	if p.dead > s.dead {
		s.opts.Log.Error("the catalog has rows without an object; what they are about is left as it is until the site's manager removes them", "rows", p.dead)
	}
	s.dead = p.dead
	return nil
}

// adopt takes in rows and counts whether they differ.
func (s *source) adopt(rows map[string]row, at time.Time) {
	changed := len(rows) != len(s.rows)
	for k, r := range rows {
		if old, ok := s.rows[k]; !ok || old != r {
			changed = true
			break
		}
	}
	if changed {
		s.generation++
	}
	s.rows, s.cursor = rows, at
}

// lookNew asks for rows with a recent date, and how many there are in all. It is false
// when the two do not fit together: then something was removed.
func (s *source) lookNew(ctx context.Context) (bool, error) {
	since := s.cursor.Add(-overlap).Truncate(time.Minute).UTC().Format(time.RFC3339)
	p, err := s.all(ctx, "", url.Values{"modified.query": {since}, "modified.range": {"min"}})
	if err != nil {
		return false, err
	}
	total, err := s.search(ctx, "", nil, 0, 0)
	if err != nil {
		return false, err
	}
	rows := maps.Clone(s.rows)
	for _, r := range p.Items {
		rows[r.key()] = r
	}
	if p.dead > 0 || len(rows)+s.dead != total.Total || len(p.Items) == 0 && len(s.rows) > 0 && s.recent() {
		return false, nil
	}
	if len(p.Items) > 0 {
		if err := s.recognise(ctx); err != nil {
			return false, err
		}
	}
	s.adopt(rows, p.at)
	return true, s.prove(ctx)
}

// recent tells whether the rows hold one that a question for recent dates has to find.
func (s *source) recent() bool {
	for _, r := range s.rows {
		if !r.modifiedAt().Before(s.cursor.Add(-overlap)) {
			return true
		}
	}
	return false
}

// Watch looks for changes every while. An object whose date is of this very second is
// looked at again.
func (s *source) Watch(ctx context.Context, hint func()) error {
	seen := -1
	tick := time.NewTicker(min(s.opts.Poll, feedPoll))
	defer tick.Stop()
	for looked := (time.Time{}); ; {
		if s.stirs(ctx, looked) {
			looked = time.Now()
			if generation, restless, err := s.glance(ctx); err == nil && (generation != seen || restless) {
				seen = generation
				hint()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *source) glance(ctx context.Context) (generation int, restless bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.look(ctx); err != nil {
		return 0, false, err
	}
	for _, r := range s.rows {
		restless = restless || r.path != "" && s.unsettled(&r)
	}
	return s.generation, restless, nil
}

// Gone asks the site whether an object that is not listed any more is really gone. Out
// of scope is gone as well.
func (s *source) Gone(ctx context.Context, uid, at string) (bool, error) {
	s.mu.Lock()
	_, listed := s.rows[uid]
	s.mu.Unlock()
	if listed {
		return true, nil
	}
	r, err := s.byUID(ctx, uid)
	if err != nil || r != nil {
		return false, err
	}
	if checkPath(at) != nil {
		return true, s.sure(ctx)
	}
	doc, err := s.object(ctx, at)
	switch {
	case errors.Is(err, errElsewhere), isAbsent(err):
		return true, s.sure(ctx)
	case err != nil:
		return false, s.classify(ctx, err)
	}
	return doc.uid() != uid, nil
}

// skipFor leaves an object out of listings until its row changes.
func (s *source) skipFor(r *row, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skipped[r.UID] = r.fingerprint()
	s.report(r, why)
}

// errElsewhere means that the site answered with another object than the one at the
// path: one that it found above, or that the path has been given to.
var errElsewhere = errors.New("the site answers with an object of another path")

// object reads the JSON of the object at a path, and of no other.
func (c *client) object(ctx context.Context, path string) (document, error) {
	doc := document{}
	if _, err := c.get(ctx, path, "", url.Values{"include_items": {"false"}}, &doc); err != nil {
		return nil, err
	}
	return doc, c.checkPlace(ctx, doc, path)
}

func (c *client) checkPlace(ctx context.Context, doc document, path string) error {
	at, err := c.pathOf(ctx, doc.str("@id"))
	if err == nil && at != path {
		err = fmt.Errorf("%s: %w: /%s", request{method: http.MethodGet, path: path}, errElsewhere, at)
	}
	return err
}
