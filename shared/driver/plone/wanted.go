package plone

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"mime"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// wanted is the state that a change asks for.
type wanted struct {
	state
	payloads map[string]*content.Payload // bytes by field
	bare     bool                        // a container of which only the name is known
	// partial says that what is not named is not to be changed.
	partial bool
}

func (t *target) wanted(ctx context.Context, op *content.Op) (*wanted, error) {
	w := &wanted{payloads: map[string]*content.Payload{}}
	if len(op.Change.Payloads) == 0 && op.Change.Object.Type != content.TypeFile {
		return bareContainer(op), nil
	}
	// A file of a classic queue comes without the state that one of a folder has.
	if typ := op.Change.Object.Type; typ == content.TypeFile || typ == content.TypeFolder {
		return fromTree(ctx, op, w)
	}
	p := op.Change.Payload(content.PluginContent)
	if p == nil {
		return nil, fault.Errorf(fault.Park, fault.Unsupported, "place %q: the change has no content payload, without which a Plone site cannot hold a %q", op.To, op.Change.Object.Type)
	}
	body, err := contentOf(ctx, op, p)
	if err != nil {
		return nil, err
	}
	if err := unmarshal(body, &w.state); err != nil {
		return nil, fault.New(fault.Park, fault.Invalid, fmt.Errorf("place %q: read the content payload: %w", op.To, err))
	}
	if w.Type != op.Change.Object.Type || w.Fields == nil {
		return nil, fault.Errorf(fault.Park, fault.Invalid, "place %q: the payload is of a %q, the change of a %q", op.To, w.Type, op.Change.Object.Type)
	}
	for i := range op.Change.Payloads {
		if p := &op.Change.Payloads[i]; p.Plugin == content.PluginFSS && len(p.Names) > 0 {
			w.payloads[p.Names[0]] = p
		}
	}
	for field := range w.Files {
		if w.payloads[field] == nil {
			return nil, fault.Errorf(fault.Park, fault.Invalid, "place %q: the bytes of %s are missing", op.To, field)
		}
	}
	return w, nil
}

// bareContainer is a container that comes with nothing but its name, for the sake of what
// it holds. One that stands there is left as it is; a new one has its name as title.
func bareContainer(op *content.Op) *wanted {
	w := &wanted{state: state{Type: op.Change.Object.Type, Fields: map[string]any{}}, bare: true, partial: true}
	if w.Type == content.TypeFolder {
		w.Type = "Folder"
	}
	return w
}

// fromTree makes objects of what a folder tree holds.
func fromTree(ctx context.Context, op *content.Op, w *wanted) (*wanted, error) {
	name := op.Change.Object.Name
	w.Fields, w.partial = map[string]any{"title": name}, true
	if op.Change.Object.Type == content.TypeFolder {
		w.Type = "Folder"
		return w, nil
	}
	p := op.Change.Payload(content.PluginFSS)
	if p == nil {
		return nil, fault.Errorf(fault.Park, fault.Invalid, "place %q: the bytes of the file are missing", op.To)
	}
	if ext := strings.ToLower(path.Ext(name)); (ext == ".html" || ext == ".htm") && p.Size <= maxPage {
		if isPage, err := w.page(ctx, op, p); isPage || err != nil {
			return w, err
		}
	}
	media, _, _ := strings.Cut(mime.TypeByExtension(path.Ext(name)), ";")
	field := "file"
	w.Type = "File"
	if strings.HasPrefix(media, "image/") {
		w.Type, field = "Image", "image"
	}
	if media == "" {
		media = "application/octet-stream"
	}
	w.Files = map[string]fileInfo{field: {Name: name, Media: media, Size: p.Size}}
	w.payloads[field] = p
	return w, nil
}

// maxPage is the largest file that becomes a page.
const maxPage = 8 << 20

// page makes a page of a file with HTML, if it is text that Plone can hold.
func (w *wanted) page(ctx context.Context, op *content.Op, p *content.Payload) (bool, error) {
	b, err := contentOf(ctx, op, p)
	if err != nil || !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return false, err
	}
	w.Type = "Document"
	if title := titleOf(b); title != "" {
		w.Fields["title"] = title
	}
	w.Fields["text"] = nil
	if len(b) > 0 {
		w.Fields["text"] = map[string]any{"data": string(b), "content-type": "text/html"}
	}
	return true, nil
}

var titleElement = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// titleOf gives the title that a page has in its head, on one line.
func titleOf(page []byte) string {
	m := titleElement.FindSubmatch(page)
	if m == nil {
		return ""
	}
	return strings.Join(strings.Fields(html.UnescapeString(string(m[1]))), " ")
}

// inlineLimit is the largest file that travels in the JSON of a request.
const inlineLimit = 1 << 20

// lateFile is a file that is sent after the object is there.
type lateFile struct {
	field string
	info  fileInfo
}

// newBody makes the request that creates the object.
func (w *work) newBody(ctx context.Context, name string) (map[string]any, []lateFile, error) {
	sc, err := w.types.of(ctx, w.want.Type)
	if err != nil {
		return nil, nil, err
	}
	body := w.fieldsBody(sc)
	body["@type"], body["id"], body["UID"] = w.want.Type, name, w.uid()
	if w.want.bare {
		body["title"] = name
	}
	if err := w.addRelations(ctx, sc, body, nil); err != nil {
		return nil, nil, err
	}
	var late []lateFile
	for _, field := range sortedFields(w.want.Files) {
		l, err := w.addFile(ctx, body, field, true)
		if err != nil {
			return nil, nil, err
		}
		late = append(late, l...)
	}
	return body, late, nil
}

// fieldsBody has what can be written at once: fields and layout, no relations and no files.
func (w *work) fieldsBody(sc *schema) map[string]any {
	body := map[string]any{}
	for field, v := range w.want.Fields {
		if k, ok := sc.fields[field]; ok && (!isEmpty(v) || sc.lists[field]) && w.wants(field) {
			body[field] = sc.writable(field, k, v)
		}
	}
	if w.want.Layout != "" && w.wants(layoutField) {
		body["layout"] = w.want.Layout
	}
	return body
}

// addFile puts a file into a request, or, when it is large, only a byte in its place:
// Plone takes no file without one.
func (w *work) addFile(ctx context.Context, body map[string]any, field string, placeholder bool) ([]lateFile, error) {
	info := w.want.Files[field]
	s, err := w.spool(ctx, field)
	if err != nil {
		return nil, err
	}
	data := []byte{0}
	if s.size <= inlineLimit {
		if data, err = s.bytes(); err != nil {
			return nil, err
		}
	}
	if s.size <= inlineLimit || placeholder {
		body[field] = map[string]any{
			"data": base64.StdEncoding.EncodeToString(data), "encoding": "base64", "filename": info.Name, "content-type": info.Media,
		}
	}
	if s.size <= inlineLimit {
		return nil, nil
	}
	return []lateFile{{field, info}}, nil
}

// writable gives a field's value in the form that Plone takes.
func (s *schema) writable(field string, k kind, v any) any {
	if s.lists[field] && isEmpty(v) {
		return []any{}
	}
	m, ok := v.(map[string]any)
	if k != rich || !ok {
		return v
	}
	data, _ := m["data"].(string)
	// Plone undoes one level of these escapes in what it is sent.
	return map[string]any{"data": strings.ReplaceAll(data, "&", "&amp;"), "content-type": m["content-type"], "encoding": "utf8"}
}

// addRelations puts those relations into a request whose objects the site has, and
// notes the others.
func (w *work) addRelations(ctx context.Context, sc *schema, body map[string]any, have *state) error {
	if w.want.partial {
		return nil
	}
	var all []string
	for _, uids := range w.want.Relations {
		all = append(all, uids...)
	}
	lacking, err := w.lacking(ctx, all)
	if err != nil {
		return err
	}
	for field, k := range sc.fields {
		if k != relation || !w.wants(field) {
			continue
		}
		var uids []string
		for _, uid := range w.want.Relations[field] {
			if lacking[uid] {
				w.miss(uid)
			} else {
				uids = append(uids, uid)
			}
		}
		if have == nil && len(uids) > 0 || have != nil && !slices.Equal(uids, have.Relations[field]) {
			body[field] = sc.related(field, uids)
		}
		if len(uids) != len(w.want.Relations[field]) {
			w.want.Relations[field] = uids
		}
	}
	return nil
}

// maxMissing bounds what the ledger keeps of one object.
const maxMissing = 5000

func (w *work) miss(uid string) {
	if !slices.Contains(w.missing, uid) && len(w.missing) < maxMissing {
		w.missing = append(w.missing, uid)
	}
}

// difference makes the request that changes what is not as it should be.
func (w *work) difference(ctx context.Context, at string, have *state) (map[string]any, []lateFile, error) {
	sc, err := w.types.of(ctx, w.want.Type)
	if err != nil {
		return nil, nil, err
	}
	body := map[string]any{}
	for field, k := range sc.fields {
		v, given := w.want.Fields[field]
		if k == file || k == relation || !given || !w.wants(field) {
			continue
		}
		if !same(normal(field, k, v), have.Fields[field]) || slices.Contains(have.Rendered, field) {
			body[field] = sc.writable(field, k, v)
		}
	}
	if w.want.Layout != "" && w.want.Layout != have.Layout && w.wants(layoutField) {
		body["layout"] = w.want.Layout
	}
	if err := w.addRelations(ctx, sc, body, have); err != nil {
		return nil, nil, err
	}
	late, err := w.addFiles(ctx, at, body, have)
	return body, late, err
}

func (w *work) addFiles(ctx context.Context, at string, body map[string]any, have *state) ([]lateFile, error) {
	var late []lateFile
	for _, field := range sortedFields(w.want.Files) {
		if !w.wants(field) {
			continue
		}
		equal, err := w.hasFile(ctx, at, field, have)
		if err != nil {
			return nil, err
		}
		if !equal {
			l, err := w.addFile(ctx, body, field, false)
			if err != nil {
				return nil, err
			}
			late = append(late, l...)
		}
	}
	for field := range have.Files {
		if _, stays := w.want.Files[field]; !stays && !w.want.partial && w.wants(field) {
			body[field] = nil
		}
	}
	return late, nil
}

// same compares values as JSON has them.
func same(a, b any) bool {
	if isEmpty(a) && isEmpty(b) {
		return true
	}
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, err1 := marshal(a)
	y, err2 := marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

// maxContent is the largest content payload that is read: an order of half a million
// objects.
const maxContent = 32 << 20

func contentOf(ctx context.Context, op *content.Op, p *content.Payload) ([]byte, error) {
	if p.Blob == nil {
		return p.Inline, nil
	}
	if p.Size > maxContent {
		return nil, fmt.Errorf("it has %d bytes, more than an object's fields may have", p.Size)
	}
	r, err := op.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxContent))
}
