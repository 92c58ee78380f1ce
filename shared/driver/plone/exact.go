package plone

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"strconv"
	"strings"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

const (
	// exactBatch is how many ops go into one transaction of a site with the add-on: more
	// make it no faster by much, and hold editors up for longer.
	exactBatch = 50
	// exactBytes is how long the states in one request are. The site takes twice that.
	exactBytes = 8 << 20
)

// exactItem is one op as the add-on takes it.
type exactItem struct {
	op   *content.Op
	body exact
	file map[string]*content.Payload // by SHA-256
}

// exactPart is an exact state with the digest of the state beside it. Whoever changes that
// one on the way (an editor of cards, a plugin) makes this one void.
type exactPart struct {
	Item exact  `json:"item"`
	Of   string `json:"of"`
}

// digest is that of a state without its exact part.
func (st *state) digest() (string, error) {
	rest := *st
	rest.Exact = nil
	b, err := marshal(&rest)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), err
}

// itemAnswer is what the add-on says of one item.
type itemAnswer struct {
	Result  string   `json:"result"`
	Class   string   `json:"class"`
	Kind    string   `json:"kind"`
	Message string   `json:"message"`
	Fields  []string `json:"fields"`
	Blobs   []string `json:"blobs"`
}

// applyExact carries out in one transaction what can be, and gives results for those ops;
// the others are left to stock REST.
func (t *target) applyExact(ctx context.Context, info *addonInfo, ops []content.Op, errs []error) (left []int) {
	var items []*exactItem
	var places []int
	for i := range ops {
		item, err := t.exactItem(ctx, info, &ops[i])
		switch {
		case err != nil:
			errs[i] = t.classify(ctx, err)
		case item == nil, item.size() > exactBytes:
			left = append(left, i)
		default:
			items, places = append(items, item), append(places, i)
		}
	}
	for first := 0; first < len(items); {
		last := first + fitting(items[first:])
		for i, err := range t.send(ctx, items[first:last]) {
			errs[places[first+i]] = err
		}
		first = last
	}
	return left
}

// fitting is how many of the items fit into one request, at least one.
func fitting(items []*exactItem) int {
	bytes := 0
	for n, item := range items {
		if bytes += item.size(); n > 0 && (n == exactBatch || bytes > exactBytes) {
			return n
		}
	}
	return len(items)
}

func (i *exactItem) size() int {
	n := 0
	for name, raw := range i.body {
		n += len(name) + len(raw)
	}
	return n
}

// exactItem makes an item of an op. It is nil for an op whose change came without an exact
// state, or whose target keeps what others made of fields.
func (t *target) exactItem(ctx context.Context, info *addonInfo, op *content.Op) (*exactItem, error) {
	uid := op.Change.Object.UID
	if !isUID(uid) {
		return nil, nil
	}
	item := &exactItem{op: op, body: exact{}, file: map[string]*content.Payload{}}
	if op.To != "" {
		if ok, err := t.fill(ctx, info, item); !ok || err != nil {
			return nil, err
		}
	}
	return item, item.head(uid, op.To == "")
}

// head says which object the item is about, and which version it makes of it.
func (i *exactItem) head(uid string, removal bool) error {
	head := map[string]any{"op": "put", "uid": uid, "version": uint64(i.op.Change.Version)}
	if removal {
		head["op"] = "remove"
	}
	// The same version is carried out again when it belongs elsewhere now, or is to repair.
	if i.op.Repair || i.op.From != i.op.To {
		head["again"] = true
	}
	return i.set(head)
}

func (i *exactItem) set(values map[string]any) error {
	for name, v := range values {
		b, err := marshal(v)
		if err != nil {
			return err
		}
		i.body[name] = b
	}
	return nil
}

// fill takes the exact state of a change over. It is false when there is none, or when it
// is not to be used.
func (t *target) fill(ctx context.Context, info *addonInfo, item *exactItem) (bool, error) {
	op := item.op
	if len(op.Change.Payloads) == 0 || op.Change.Payload(content.PluginContent) == nil {
		return false, nil
	}
	want, err := t.wanted(ctx, op)
	if err != nil {
		return false, err
	}
	to := placeOnSite(op.To)
	drift := t.opts.driftAt(to)
	if want.Exact == nil || isStructural(want.Type) || drift == Keep {
		return false, nil
	}
	if of, err := want.digest(); err != nil || of != want.Exact.Of {
		return false, err
	}
	item.body = maps.Clone(want.Exact.Item)
	for field, p := range want.payloads {
		item.file[hex.EncodeToString(p.SHA256[:])] = want.payloads[field]
	}
	err = item.body.eachFile(func(field string, file map[string]json.RawMessage) bool {
		if p := want.payloads[field]; p != nil {
			file["sha256"], file["size"] = []byte(strconv.Quote(hex.EncodeToString(p.SHA256[:]))), []byte(strconv.FormatInt(p.Size, 10))
		}
		return true
	})
	if err != nil {
		return false, err
	}
	if err := item.body.without(t.opts.Omit); err != nil {
		return false, err
	}
	if err := item.body.rights(info.Options.Roles); err != nil {
		return false, err
	}
	place := map[string]any{"id": path.Base(to), "parent": "/" + parentOf(to)}
	// What stock REST has written, the add-on's ledger takes for an editor's.
	if exactly := op.Note == nil || op.Note.State == ""; drift == Report && !op.Repair && exactly {
		place["expect"] = "ledger"
	}
	return true, item.set(place)
}

// send stages the files of items and applies the items. What is refused for want of a
// file's bytes gets them, and a second chance.
func (t *target) send(ctx context.Context, items []*exactItem) []error {
	errs := make([]error, len(items))
	again := t.post(ctx, items, errs, func(i int) error {
		if items[i].op.SameBytes {
			return nil
		}
		return t.stageAll(ctx, items[i])
	})
	if len(again) == 0 {
		return errs
	}
	some, late := make([]*exactItem, len(again)), make([]error, len(again))
	for n, i := range again {
		some[n] = items[i]
	}
	t.post(ctx, some, late, func(n int) error { return t.stageAll(ctx, some[n]) })
	for n, i := range again {
		errs[i] = late[n]
	}
	return errs
}

func (t *target) stageAll(ctx context.Context, item *exactItem) error {
	for sha256, p := range item.file {
		open := func() (io.ReadCloser, error) { return item.op.Open(ctx, p) }
		if err := t.addon.stage(ctx, sha256, p.Size, open); err != nil {
			return err
		}
	}
	return nil
}

// post prepares items and sends those that are ready in one request. It gives the places of
// those that lack the bytes of files.
func (t *target) post(ctx context.Context, items []*exactItem, errs []error, prepare func(i int) error) (again []int) {
	var ready []int
	var bodies []exact
	for i := range items {
		if err := prepare(i); err != nil {
			errs[i] = t.classify(ctx, err)
			continue
		}
		ready, bodies = append(ready, i), append(bodies, items[i].body)
	}
	if len(ready) == 0 {
		return nil
	}
	answers, err := t.exchange(ctx, bodies)
	if len(ready) > 1 && isBroken(err) {
		return t.oneByOne(ctx, items, ready, errs)
	}
	for n, i := range ready {
		if errs[i] = err; err == nil {
			errs[i] = t.outcome(items[i], &answers[n])
		}
		if err == nil && answers[n].Kind == "blob-missing" {
			again = append(again, i)
		}
	}
	return again
}

// isBroken tells whether the site failed over a batch, for the sake of one item perhaps.
func isBroken(err error) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.status == http.StatusInternalServerError && e.kind != "" && !strings.Contains(e.kind, "Conflict")
}

// oneByOne finds the items that a site fails over, so that the others get through.
func (t *target) oneByOne(ctx context.Context, items []*exactItem, which []int, errs []error) (again []int) {
	for _, i := range which {
		one := errs[i : i+1]
		if late := t.post(ctx, items[i:i+1], one, func(int) error { return nil }); len(late) > 0 {
			again = append(again, i)
		}
	}
	return again
}

func (t *target) exchange(ctx context.Context, bodies []exact) ([]itemAnswer, error) {
	var reply struct {
		Items []itemAnswer `json:"items"`
	}
	t.effects++
	err := t.addon.call(ctx, "@synchro-apply", map[string]any{"writer": writerName, "fence": 0, "mode": "each", "items": bodies}, &reply)
	switch {
	case isStatus(err, http.StatusConflict):
		return nil, fault.OfSite(fault.Retry, fault.OtherSite, err)
	case err != nil:
		return nil, t.classify(ctx, err)
	case len(reply.Items) != len(bodies):
		return nil, fault.OfSite(fault.Retry, t.down, fmt.Errorf("the add-on answers about %d of %d items", len(reply.Items), len(bodies)))
	}
	return reply.Items, nil
}

// writerName is whom a site knows as its writer.
const writerName = "synchro"

// kinds of refusals that have a code of their own.
var refusals = map[string]fault.Code{
	"parent-missing": fault.ParentMissing, "path-taken": fault.PathTaken, "locked": fault.Locked, "not-empty": fault.NotEmpty,
	"name-refused": fault.NameRefused, "local-edit": fault.LocalEdit, "field": fault.NotArrived, "state": fault.NotArrived,
	"layout": fault.NotArrived, "out-of-scope": fault.Permission, "role": fault.Permission, "blob-missing": fault.BlobMissing,
}

// outcome makes a result of an answer. What refers to objects that are not there is made by
// the site itself when they come.
func (t *target) outcome(item *exactItem, a *itemAnswer) error {
	if a.Result != "refused" {
		if item.op.Note != nil {
			*item.op.Note = content.Note{}
		}
		return nil
	}
	code, known := refusals[a.Kind]
	if !known {
		code = fault.Refused
	}
	class := fault.Park
	if a.Class == string(fault.Retry) {
		class = fault.Retry
	}
	what := item.op.To
	if what == "" {
		what = item.op.From
	}
	return fault.Errorf(class, code, "/%s: the site refuses it: %s", placeOnSite(what), a.Message)
}
