package plone

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// reader makes states from what a site answers. Source and target read alike, so that
// what they read can be compared.
type reader struct {
	*client
	types *schemas
}

// state reads the state of an object whose JSON is known. order says whether the order
// of what a container holds belongs to it.
func (r reader) state(ctx context.Context, path string, doc document, order bool) (*state, error) {
	raw, err := r.rawFor(ctx, path, doc)
	if err != nil {
		return nil, err
	}
	return r.stateWith(ctx, path, doc, raw, order)
}

// stateWith makes the state of an object whose stored text is known too.
func (r reader) stateWith(ctx context.Context, path string, doc document, raw *rawText, order bool) (*state, error) {
	typ := doc.str("@type")
	sc, err := r.types.of(ctx, typ)
	if err != nil {
		return nil, err
	}
	st := &state{
		Type: typ, Fields: map[string]any{}, Files: map[string]fileInfo{}, Relations: map[string][]string{},
		ReviewState: doc.str("review_state"), Layout: doc.str("layout"),
	}
	for _, name := range sortedFields(sc.fields) {
		if v, ok := doc[name]; ok {
			if err := r.field(ctx, st, name, sc.fields[name], v, raw); err != nil {
				return nil, fmt.Errorf("field %s of /%s: %w", name, path, err)
			}
		}
	}
	if order && doc.container() {
		rows, err := r.children(ctx, path)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			st.Order = append(st.Order, rows[i].UID)
		}
	}
	return st, nil
}

// linkField is the field whose stored form is in the headers of the raw text.
const linkField = "remoteUrl"

// rawFor asks for the raw text of objects that have one.
func (r reader) rawFor(ctx context.Context, path string, doc document) (*rawText, error) {
	sc, err := r.types.of(ctx, doc.str("@type"))
	if err != nil || len(rendered(sc, doc)) == 0 {
		return nil, err
	}
	raw, err := r.raw(ctx, path)
	return raw, r.classify(ctx, err)
}

// rendered gives those values of an object that a browser gets otherwise than they are stored.
func rendered(sc *schema, doc document) map[string]any {
	out := map[string]any{}
	for name, k := range sc.fields {
		if k == rich && normalRich(doc[name]) != nil || name == linkField && !isEmpty(doc[name]) {
			out[name] = doc[name]
		}
	}
	return out
}

func (r reader) field(ctx context.Context, st *state, name string, k kind, v any, raw *rawText) error {
	switch k {
	case file:
		if info, ok := fileOf(v); ok {
			st.Files[name] = info
		}
	case relation:
		uids, ok := relations(v)
		if !ok {
			return fault.Errorf(fault.Retry, fault.ReadFailed, "an object that it refers to is hidden from the account; give the account the right to see it")
		}
		if len(uids) > 0 {
			st.Relations[name] = uids
		}
	case rich:
		return r.rich(ctx, st, name, v, raw)
	case blocks:
		var err error
		st.Fields[name], err = r.unlink(ctx, v)
		return err
	default:
		if link, ok := rawLink(name, raw); ok {
			v = link
		}
		st.Fields[name] = normal(name, k, v)
	}
	return nil
}

func rawLink(name string, raw *rawText) (string, bool) {
	if name != linkField || raw == nil {
		return "", false
	}
	return raw.linkOf(name)
}

// rich takes the stored text, or says that it is the rendered one. The raw form has one
// text only: that of the field named text.
func (r reader) rich(ctx context.Context, st *state, name string, v any, raw *rawText) error {
	value, _ := normal(name, rich, v).(map[string]any)
	if value == nil {
		st.Fields[name] = nil
		return nil
	}
	if raw != nil && raw.body != "" && name == "text" {
		value["data"] = foldLines(raw.body)
	} else {
		linked, err := r.unlinkText(ctx, value["data"].(string))
		if err != nil {
			return err
		}
		value["data"] = linked
		st.Rendered = append(st.Rendered, name)
	}
	st.Fields[name] = value
	return nil
}

func fileOf(v any) (fileInfo, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return fileInfo{}, false
	}
	info := fileInfo{Name: document(m).str("filename"), Media: document(m).str("content-type"), Size: -1}
	if n, ok := m["size"].(interface{ Int64() (int64, error) }); ok {
		if size, err := n.Int64(); err == nil {
			info.Size = size
		}
	}
	return info, true
}

// download opens the bytes of a file.
func (c *client) download(ctx context.Context, path, field string, info fileInfo) (io.ReadCloser, error) {
	if info.Media == "text/html" && info.Size <= maxWrapped {
		// The download of a page is rewritten for whoever is logged in.
		return c.wrapped(ctx, path)
	}
	r := request{method: http.MethodGet, path: path, service: "@@download/" + escapeSegment(field)}
	ctx, cancel := context.WithCancel(ctx)
	resp, err := c.send(ctx, r)
	if err != nil {
		cancel()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		_ = resp.Body.Close()
		cancel()
		return nil, parseError(r, resp, body)
	}
	return &transfer{body: resp.Body, c: c, r: r, stop: cancel, alarm: time.AfterFunc(c.opts.Timeout, cancel)}, nil
}

// transfer is the bytes of a file on their way. It ends when none come for a while.
type transfer struct {
	body  io.ReadCloser
	c     *client
	r     request
	stop  func()
	alarm *time.Timer
}

func (t *transfer) Read(p []byte) (int, error) {
	t.alarm.Reset(t.c.opts.Timeout)
	n, err := t.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fault.OfSite(fault.Retry, t.c.down, fmt.Errorf("%s: the transfer broke off: %w", t.r, err))
	}
	return n, err
}

func (t *transfer) Close() error {
	t.alarm.Stop()
	t.stop()
	return t.body.Close()
}

// maxWrapped is the largest page that is asked for in base64, which costs the site
// fourteen times its size in memory.
const maxWrapped = 32 << 20

// wrapped gets the bytes of a file object as base64.
func (c *client) wrapped(ctx context.Context, path string) (io.ReadCloser, error) {
	raw, err := c.raw(ctx, path)
	switch {
	case err != nil:
		return nil, err
	case raw == nil:
		return nil, fault.Errorf(fault.Park, fault.ReadFailed, "read /%s: the site gives the bytes of pages only changed, and does not answer manage_DAVget", path)
	}
	if raw.header.Get("Content-Transfer-Encoding") != "base64" {
		return io.NopCloser(strings.NewReader(raw.body)), nil
	}
	return io.NopCloser(base64.NewDecoder(base64.StdEncoding, strings.NewReader(raw.body))), nil
}

// Read opens the state of one listed object.
func (s *source) Read(ctx context.Context, item content.Item) (*content.Snapshot, error) {
	r, ok := item.Handle.(row)
	if !ok {
		return nil, fault.Errorf(fault.Retry, fault.Vanished, "read %q: it was not listed", item.Path)
	}
	top, ofTop := s.topOf(r.UID)
	marked := s.marked(r.UID) + ofTop // before anything is read: later changes have another mark
	doc, err := s.object(ctx, r.path)
	switch {
	case errors.Is(err, errElsewhere), isAbsent(err):
		return nil, fault.New(fault.Retry, fault.Vanished, err)
	case err != nil:
		return nil, s.classify(ctx, err)
	case doc.uid() != r.UID:
		return nil, fault.Errorf(fault.Retry, fault.Vanished, "read /%s: another object stands there now", r.path)
	case doc["working_copy_of"] != nil:
		s.skipFor(&r, "it is a working copy")
		return nil, fault.Errorf(fault.Retry, fault.Vanished, "read /%s: it is a working copy of another object", r.path)
	case doc.modified() != r.Modified:
		return nil, fault.Errorf(fault.Retry, fault.Unsettled, "read /%s: it has changed since it was listed", r.path)
	}
	st, err := reader{s.client, s.types}.state(ctx, r.path, doc, true)
	if err != nil {
		return nil, s.classify(ctx, err)
	}
	st.Translations, st.Top = s.translations(&r), top
	if err := s.exactly(ctx, r.UID, st); err != nil {
		return nil, s.classify(ctx, err)
	}
	snap, err := s.snapshot(ctx, &r, doc, st)
	if err == nil {
		snap.Fingerprint += marked
	}
	return snap, err
}

func (s *source) snapshot(ctx context.Context, r *row, doc document, st *state) (*content.Snapshot, error) {
	body, err := marshal(st)
	if err != nil {
		return nil, err
	}
	snap := &content.Snapshot{Meta: doc.meta(), Fingerprint: r.fingerprint(), Parts: []content.Part{{
		Plugin: content.PluginContent, MediaType: "application/json", Size: int64(len(body)), Body: bytes.NewReader(body),
	}}}
	var open []*lazyBody
	for _, field := range sortedFields(st.Files) {
		info := st.Files[field]
		b := &lazyBody{open: func() (io.ReadCloser, error) {
			rc, err := s.download(ctx, r.path, field, info)
			return rc, s.classify(ctx, err)
		}}
		open = append(open, b)
		snap.Parts = append(snap.Parts, content.Part{
			Plugin: content.PluginFSS, MediaType: info.Media, Names: []string{field, info.Name}, Size: info.Size, Body: b,
			Stable: info.Size > 0,
		})
	}
	// What is read in several answers belongs together when the row is still the same.
	several := len(open) > 0 || len(st.Order) > 0 || hasRich(st) || st.Exact != nil
	snap.Close = func() error {
		for _, b := range open {
			b.close()
		}
		if several {
			return s.unchanged(ctx, r)
		}
		return nil
	}
	return snap, nil
}

func hasRich(st *state) bool {
	for _, v := range st.Fields {
		if m, ok := v.(map[string]any); ok && m["data"] != nil {
			return true
		}
	}
	return false
}

func (s *source) unchanged(ctx context.Context, r *row) error {
	now, err := s.byUID(ctx, r.UID)
	if err != nil {
		return err
	}
	if now == nil || now.fingerprint() != r.fingerprint() {
		return fault.Errorf(fault.Retry, fault.Unsettled, "read /%s: it changed meanwhile", r.path)
	}
	return nil
}

// lazyBody opens bytes when they are asked for.
type lazyBody struct {
	open func() (io.ReadCloser, error)
	rc   io.ReadCloser
	err  error
}

func (b *lazyBody) Read(p []byte) (int, error) {
	if b.rc == nil && b.err == nil {
		b.rc, b.err = b.open()
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.rc.Read(p)
}

func (b *lazyBody) close() {
	if b.rc != nil {
		_ = b.rc.Close()
	}
}
