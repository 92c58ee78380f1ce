package plone

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"synchro.example/shared/fault"
)

const (
	// addonProtocol is the protocol of the add-on's services that this driver speaks.
	addonProtocol = 1
	// addonAge is how long a site counts as one with the add-on, or without.
	addonAge = 5 * time.Minute
	// addonJSON is the type of bodies that Plone does not parse before it knows who asks.
	addonJSON = "application/vnd.synchro+json"
	// addonChunk is how many bytes of a file go in one request.
	addonChunk = 8 << 20
)

// addon speaks to the optional package synchro_plone in a site. A site that has it gives
// and takes objects exactly, and says what was committed.
type addon struct {
	*client

	mu    sync.Mutex
	info  *addonInfo // nil without the package
	asked time.Time
}

// addonInfo is what a site says of the package and of what it lets be written.
type addonInfo struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	Top      string `json:"top"`
	Options  struct {
		Roles []string `json:"roles"`
	} `json:"options"`
}

// of gives what the site has, and nil for a site that is served by stock REST. It asks
// now and then, and says in the log when that changes.
func (a *addon) of(ctx context.Context) (*addonInfo, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.asked.IsZero() && time.Since(a.asked) < addonAge {
		return a.info, nil
	}
	info, why, err := a.ask(ctx)
	if err != nil {
		return nil, err
	}
	if a.asked.IsZero() || (info == nil) != (a.info == nil) {
		a.opts.Log.Info("how the site is served", "url", a.base.String(), "way", wayOf(info), "why", why)
	}
	a.info, a.asked = info, time.Now()
	return info, nil
}

// present tells whether the site had the package when it was asked the last time.
func (a *addon) present() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.info != nil
}

func wayOf(info *addonInfo) string {
	if info == nil {
		return "stock REST"
	}
	return "add-on " + info.Version
}

// ask gives nil and the reason for a site whose package is not there or not to be used.
func (a *addon) ask(ctx context.Context) (*addonInfo, string, error) {
	info := new(addonInfo)
	_, err := a.get(ctx, "", "@synchro-info", nil, info)
	switch {
	case isAbsent(err):
		return nil, "the add-on is not installed", nil
	case isStatus(err, http.StatusUnauthorized, http.StatusForbidden):
		return nil, "the account has none of the add-on's roles", nil
	case err != nil && a.info == nil && isAPIError(err):
		return nil, "the add-on does not work: " + err.Error(), nil
	case err != nil:
		return nil, "", err
	case info.Protocol != addonProtocol:
		return nil, fmt.Sprintf("the add-on speaks protocol %d, this driver %d", info.Protocol, addonProtocol), nil
	}
	return info, "", nil
}

// served says which way the site is served, and why.
func (k *checker) served(ctx context.Context) {
	info, why, err := k.addon.ask(ctx)
	switch {
	case err != nil:
		k.Error("add-on", err)
	case info == nil:
		k.Good("add-on", "served by stock REST: %s", why)
	default:
		k.Good("add-on", "synchro_plone %s: exact, and in batches", info.Version)
	}
}

// forget has the site asked again: what it was asked for is not there any more.
func (a *addon) forget(err error) {
	if isAbsent(err) {
		a.mu.Lock()
		a.asked = time.Time{}
		a.mu.Unlock()
	}
}

// newBody is the body of a request; one without bytes has a length as well.
func newBody(b []byte) io.Reader {
	if len(b) == 0 {
		return http.NoBody
	}
	return bytes.NewReader(b)
}

// call posts JSON to one of the services and reads the answer into v.
func (a *addon) call(ctx context.Context, service string, body, v any) error {
	b, err := marshal(body)
	if err != nil {
		return err
	}
	r := request{
		method: http.MethodPost, service: service, raw: newBody(b), size: int64(len(b)),
		header: http.Header{"Content-Type": {addonJSON}},
	}
	rep, err := a.do(ctx, r)
	if err != nil {
		a.forget(err)
		return err
	}
	if err := unmarshal(rep.body, v); err != nil {
		return fault.OfSite(fault.Retry, a.down, fmt.Errorf("%s: the answer is no JSON: %w", r, err))
	}
	return nil
}

// exact is the whole state of an object in the add-on's words. Its values are the site's
// affair and another site's; only what the driver has to change is named here.
type exact map[string]json.RawMessage

// read gives the exact state of an object, and nil where there is none that can travel
// whole.
func (a *addon) read(ctx context.Context, uid string) (exact, error) {
	var answer struct {
		Items []exact `json:"items"`
	}
	if err := a.call(ctx, "@synchro-read", map[string]any{"uids": []string{uid}}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Items) != 1 || answer.Items[0]["gone"] != nil || answer.Items[0]["unsupported"] != nil {
		return nil, nil
	}
	return answer.Items[0].travelling()
}

// feedPage is what was committed behind a cursor.
type feedPage struct {
	Until   string `json:"until"`
	More    bool   `json:"more"`
	Changes []struct {
		TID string `json:"tid"`
		UID string `json:"uid"`
	} `json:"changes"`
}

// errDistrust means that the feed cannot say what has changed since a cursor.
var errDistrust = errors.New("the site's feed begins anew")

func (a *addon) feed(ctx context.Context, since string) (*feedPage, error) {
	p := new(feedPage)
	_, err := a.get(ctx, "", "@synchro-feed", url.Values{"since": {since}, "limit": {"5000"}}, p)
	if isStatus(err, http.StatusGone) {
		return nil, errors.Join(errDistrust, err)
	}
	a.forget(err)
	return p, err
}

// stage puts the bytes of a file beside the site's, where the batch that needs them finds
// them. What was put before an interruption is not sent again.
func (a *addon) stage(ctx context.Context, sha256 string, size int64, open func() (io.ReadCloser, error)) error {
	have, complete, err := a.piece(ctx, sha256, 0, size, nil)
	if err != nil || complete || size == 0 {
		return err
	}
	rc, err := open()
	if err != nil {
		return err
	}
	defer rc.Close()
	if _, err := io.CopyN(io.Discard, rc, have); err != nil {
		return err
	}
	chunk := make([]byte, min(addonChunk, size))
	for !complete {
		n, err := io.ReadFull(rc, chunk)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if have, complete, err = a.piece(ctx, sha256, have, size, chunk[:n]); err != nil {
			return err
		}
	}
	return nil
}

func (a *addon) piece(ctx context.Context, sha256 string, offset, size int64, b []byte) (have int64, complete bool, err error) {
	r := request{
		method: http.MethodPut, service: "@synchro-blob/" + sha256, raw: newBody(b), size: int64(len(b)),
		query:  url.Values{"offset": {strconv.FormatInt(offset, 10)}, "size": {strconv.FormatInt(max(size, 1), 10)}},
		header: http.Header{"Content-Type": {"application/octet-stream"}},
	}
	rep, err := a.do(ctx, r)
	if err != nil {
		return 0, false, err
	}
	var answer struct {
		Have     int64 `json:"have"`
		Complete bool  `json:"complete"`
	}
	if err := unmarshal(rep.body, &answer); err != nil {
		return 0, false, fmt.Errorf("%s: the answer is no JSON: %w", r, err)
	}
	return answer.Have, answer.Complete, nil
}

// local are parts of a state that say something about one site only.
var local = []string{"path", "digest", "blobs"}

// travelling leaves out what is true on one site only.
func (e exact) travelling() (exact, error) {
	for _, name := range local {
		delete(e, name)
	}
	return e, e.eachFile(func(_ string, file map[string]json.RawMessage) bool {
		delete(file, "handle")
		return true
	})
}

// eachFile calls change for each field that holds a file, and takes over what it made of
// it where it returns true.
func (e exact) eachFile(change func(field string, file map[string]json.RawMessage) bool) error {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(e["fields"], &fields); err != nil {
		return fmt.Errorf("the fields of an exact state: %w", err)
	}
	changed := false
	for name, raw := range fields {
		file := map[string]json.RawMessage{}
		if json.Unmarshal(raw, &file) != nil || string(file["$"]) != `"blob"` || !change(name, file) {
			continue
		}
		b, err := marshal(file)
		if err != nil {
			return err
		}
		fields[name], changed = b, true
	}
	if !changed {
		return nil
	}
	b, err := marshal(fields)
	e["fields"] = b
	return err
}

// without leaves out fields that a target keeps for itself.
func (e exact) without(omitted []string) error {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(e["fields"], &fields); err != nil {
		return fmt.Errorf("the fields of an exact state: %w", err)
	}
	for _, name := range omitted {
		delete(fields, name)
		switch name {
		case stateField:
			delete(e, "history")
		case layoutField, orderField:
			delete(e, name)
		}
	}
	b, err := marshal(fields)
	e["fields"] = b
	return err
}

// rights leaves the local roles that the site takes, and none where it takes none.
func (e exact) rights(taken []string) error {
	var all map[string][]string
	if len(taken) > 0 && e["roles"] != nil {
		if err := json.Unmarshal(e["roles"], &all); err != nil {
			return fmt.Errorf("the local roles of an exact state: %w", err)
		}
	}
	delete(e, "roles")
	if len(taken) == 0 {
		return nil
	}
	roles := map[string][]string{}
	for user, given := range all {
		given = slices.DeleteFunc(given, func(role string) bool { return !slices.Contains(taken, role) })
		if len(given) > 0 {
			roles[user] = given
		}
	}
	b, err := marshal(roles)
	e["roles"] = b
	return err
}
