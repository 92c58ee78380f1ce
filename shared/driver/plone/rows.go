package plone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// How many rows one question asks for.
const (
	pageSize  = 1000
	wholeSite = 1 << 20
)

// row is what the site's catalog says of one object.
type row struct {
	ID       string `json:"@id"`
	Type     string `json:"@type"`
	UID      string `json:"UID"`
	Created  string `json:"created"`
	Modified string `json:"modified"`
	State    string `json:"review_state"`
	Language string `json:"Language"`
	Group    string `json:"TranslationGroup"`

	path string
}

// page is one answer to a question for rows.
type page struct {
	Items []row `json:"items"`
	Total int   `json:"items_total"`
	at    time.Time
	dead  int // rows without an object, which are left out
}

// key names a row among all of a site. A few rows have no UID.
func (r *row) key() string {
	if r.UID != "" {
		return r.UID
	}
	return "/" + r.path
}

// fingerprint differs when the row says that the state may differ.
func (r *row) fingerprint() string {
	return strings.Join([]string{r.UID, r.path, r.Modified, r.State, r.Group}, "\x1f")
}

// modifiedAt is the row's date, and the zero time where there is none.
func (r *row) modifiedAt() time.Time {
	t, _ := time.Parse(time.RFC3339, r.Modified)
	return t
}

// search asks the catalog for the rows below a container. query may be nil.
func (c *client) search(ctx context.Context, container string, query url.Values, start, size int) (*page, error) {
	q := url.Values{
		"b_start": {strconv.Itoa(start)}, "b_size": {strconv.Itoa(size)},
		// Without it, what is not published yet or has expired is left out.
		"show_inactive":   {"1"},
		"metadata_fields": {"UID", "created", "modified", "Language", "TranslationGroup"},
	}
	maps.Copy(q, query)
	p := new(page)
	h, err := c.get(ctx, container, "@search", q, p)
	if err != nil {
		return nil, err
	}
	p.at = serverTime(h)
	for i := range p.Items {
		if p.Items[i].path, err = c.pathOf(ctx, p.Items[i].ID); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// all asks for every row of a query, in the order of the paths. A site that changes
// while it is listed shows rows twice, or not at all; it is asked again then, and at
// last for all of them at once.
func (c *client) all(ctx context.Context, container string, query url.Values) (*page, error) {
	for _, size := range []int{pageSize, pageSize, wholeSite} {
		whole, err := c.paged(ctx, container, query, size)
		if whole != nil || err != nil {
			return whole, err
		}
	}
	return nil, fault.OfSite(fault.Retry, fault.Unsettled, errors.New("the listing does not have the rows that it announces"))
}

// paged is nil when the pages do not fit together.
func (c *client) paged(ctx context.Context, container string, query url.Values, size int) (*page, error) {
	q := url.Values{"sort_on": {"path"}}
	maps.Copy(q, query)
	whole := &page{}
	for start := 0; ; start += size {
		p, err := c.around(ctx, container, q, start, size)
		if err != nil {
			return nil, err
		}
		if start == 0 {
			whole.Total, whole.at = p.Total, p.at
		}
		whole.Items = append(whole.Items, p.Items...)
		whole.dead += p.dead
		if p.Total != whole.Total {
			return nil, nil
		}
		if len(p.Items)+p.dead < size {
			break
		}
	}
	slices.SortFunc(whole.Items, func(a, b row) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.UID, b.UID)) })
	whole.Items = slices.CompactFunc(whole.Items, func(a, b row) bool { return a.path == b.path && a.UID == b.UID })
	if len(whole.Items)+whole.dead != whole.Total {
		return nil, nil
	}
	return whole, nil
}

// around asks for rows and leaves out those that have no object behind them: one of them
// makes the whole page fail. They are looked for by halving.
func (c *client) around(ctx context.Context, container string, query url.Values, start, size int) (*page, error) {
	p, err := c.search(ctx, container, query, start, size)
	if e, ok := errors.AsType[*apiError](err); !ok || e.status != http.StatusServiceUnavailable || e.kind == "" {
		return p, c.classify(ctx, err)
	}
	if size == 1 {
		return &page{dead: 1}, nil
	}
	first, err := c.around(ctx, container, query, start, size/2)
	if err != nil {
		return nil, err
	}
	second, err := c.around(ctx, container, query, start+size/2, size-size/2)
	if err != nil {
		return nil, err
	}
	first.Items = append(first.Items, second.Items...)
	first.dead += second.dead
	first.Total = max(first.Total, second.Total)
	if first.at.IsZero() {
		first.at = second.at
	}
	return first, nil
}

// uidsBelow bounds the UIDs in one question.
const uidsBelow = 500

// byUIDs asks for the rows of UIDs.
func (c *client) byUIDs(ctx context.Context, uids []string) (map[string][]row, error) {
	found := map[string][]row{}
	for some := range slices.Chunk(uids, uidsBelow) {
		p, err := c.search(ctx, "", url.Values{"UID": some}, 0, 2*uidsBelow)
		if err != nil {
			return nil, c.classify(ctx, err)
		}
		for _, r := range p.Items {
			found[r.UID] = append(found[r.UID], r)
		}
	}
	return found, nil
}

// byUID asks for the row of a UID; nil when there is none.
func (c *client) byUID(ctx context.Context, uid string) (*row, error) {
	found, err := c.byUIDs(ctx, []string{uid})
	if err != nil {
		return nil, err
	}
	return only(found[uid])
}

// only gives the one row of a UID, or nil.
func only(rows []row) (*row, error) {
	switch len(rows) {
	case 0:
		return nil, nil
	case 1:
		return &rows[0], nil
	}
	return nil, fault.Errorf(fault.Park, fault.DuplicateUID, "the site has the UID %s twice, at /%s and at /%s; removing one hides the other", rows[0].UID, rows[0].path, rows[1].path)
}

// children gives the rows of what a container holds, in its order.
func (c *client) children(ctx context.Context, container string) ([]row, error) {
	var rows []row
	for start := 0; ; start += pageSize {
		p, err := c.around(ctx, container, url.Values{"path.depth": {"1"}, "sort_on": {"getObjPositionInParent"}}, start, pageSize)
		if err != nil {
			return nil, err
		}
		rows = append(rows, p.Items...)
		if len(p.Items)+p.dead < pageSize {
			return rows, nil
		}
	}
}

// Types that are no content of their own.
var skippedTypes = []string{"Plone Site", "Discussion Item"}

// languageFolders are made by the site itself, one for each language and its media.
var languageFolders = []string{"LRF", "LIF"}

// selection yields the rows that a source has as items, containers first.
type selection struct{ scope Scope }

func (s selection) item(r *row) (content.Item, bool) {
	if r.path == "" || slices.Contains(skippedTypes, r.Type) || !s.scope.has(r) {
		return content.Item{}, false
	}
	item := content.Item{UID: r.key(), Path: r.path, Type: r.Type, Identity: r.UID, Fingerprint: r.fingerprint(), Handle: *r}
	if why := unusable(r); why != "" {
		item.Unsettled = true
		item.Problem = fault.Errorf(fault.Park, fault.Unsupported, "/%s cannot be carried: %s", r.path, why)
	}
	return item, true
}

func unusable(r *row) string {
	if !isUID(r.UID) {
		return fmt.Sprintf("its UID is %q, want 32 hexadecimal digits", r.UID)
	}
	if err := checkPath(r.path); err != nil {
		return err.Error()
	}
	return ""
}

func isUID(uid string) bool {
	if len(uid) != 32 {
		return false
	}
	for i := range len(uid) {
		if c := uid[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// has tells whether a row is in scope. The containers above a path of the scope are,
// so that what it holds has a place.
func (s Scope) has(r *row) bool {
	return s.hasPath(r.path) && in(s.Types, r.Type) && (r.Language == "" || in(s.Languages, r.Language)) && (r.State == "" || in(s.States, r.State))
}

func (s Scope) hasPath(path string) bool {
	if len(s.Paths) == 0 {
		return true
	}
	return slices.ContainsFunc(s.Paths, func(top string) bool {
		top = strings.Trim(top, "/")
		return top == "" || path == top || strings.HasPrefix(path, top+"/") || strings.HasPrefix(top, path+"/")
	})
}

func in(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
