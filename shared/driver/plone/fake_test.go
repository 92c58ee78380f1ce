package plone

import (
	"archive/zip"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakePlone answers as a stock Plone 6.2 does, as far as the driver asks, with the traps
// that research on a running site has found. Where it and a real site differ, it is wrong:
// the same suite runs against both.
type fakePlone struct {
	server *httptest.Server
	prefix string // of the site in addresses

	mu      sync.Mutex
	root    *fakeNode
	aliases map[string]string // old path to UID
	uploads map[string]*fakeUpload
	writes  int // requests that changed something
	// clock goes on by some seconds with each write, so that no test has to wait for a
	// second to be over.
	clock time.Time
	asked []string

	// before, when set, sees each request; true means that it has answered.
	before func(w http.ResponseWriter, r *http.Request) bool
	// dead is a row of the catalog that has no object.
	dead bool
	// languages, and the role of the account.
	languages []string
	role      string
	// lacks is a type, or a field of one as TYPE.FIELD, that the site has not.
	lacks string
	// explicit says that no object is looked for further up.
	explicit bool
	// noImport says that the account may not import, and imported counts what it did.
	noImport bool
	imported int
	// noRaw says that nobody may ask for the stored text.
	noRaw bool
}

type fakeNode struct {
	id, uid, typ      string
	parent            *fakeNode
	children          []*fakeNode
	fields            map[string]any
	files             map[string]fakeFile
	state, layout     string
	created, modified time.Time
	locked            bool
	group             string // of translations; empty on a site with one language
}

type fakeFile struct {
	name, media string
	data        []byte
}

type fakeUpload struct {
	node   *fakeNode
	meta   map[string]string
	data   []byte
	length int
}

// fakeSchemas are the fields of the fake's types, by what they hold.
var fakeSchemas = map[string]map[string]string{
	"Folder":   {"relatedItems": "Relation List"},
	"Document": {"relatedItems": "Relation List", "text": "Rich Text", "changeNote": "Text line (String)", "blocks": "JSONField"},
	"File":     {"file": "File", "relatedItems": "Relation List"},
	"Image":    {"image": "Image"},
	"Link":     {"remoteUrl": "Text line (String)"},
}

var fakeCommon = map[string]string{
	"title": "Text line (String)", "description": "Text", "rights": "Text", "subjects": "Tuple", "creators": "Tuple", "contributors": "Tuple",
	"effective": "Date/Time", "expires": "Date/Time", "language": "Choice", "exclude_from_nav": "Yes/No", "id": "Text line (String)",
}

func newFake(t testing.TB) *fakePlone {
	f := &fakePlone{prefix: "/plone", clock: time.Now().UTC().Truncate(time.Second), aliases: map[string]string{}, uploads: map[string]*fakeUpload{}, languages: []string{"en"}, role: "Manager"}
	f.root = f.node(nil, "plone", "Plone Site")
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func newFakeSite(t *testing.T) *site {
	s, _ := fakeSite(t)
	return s
}

func fakeSite(t testing.TB) (*site, *fakePlone) {
	f := newFake(t)
	return &site{world: world{f.server.URL + f.prefix}}, f
}

func newUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func (f *fakePlone) node(parent *fakeNode, id, typ string) *fakeNode {
	n := &fakeNode{
		id: id, uid: newUID(), typ: typ, parent: parent, fields: map[string]any{"title": id, "creators": []any{testUser}},
		files: map[string]fakeFile{}, created: f.clock, modified: f.clock, layout: strings.ToLower(typ) + "_view",
	}
	if typ != "File" && typ != "Image" && typ != "Plone Site" {
		n.state = "private"
	}
	if parent != nil {
		parent.children = append(parent.children, n)
	}
	return n
}

func (n *fakeNode) folderish() bool {
	return n.typ == "Folder" || n.typ == "Plone Site" || n.typ == "LRF"
}

func (n *fakeNode) path() string {
	if n.parent == nil {
		return ""
	}
	return strings.TrimPrefix(n.parent.path()+"/"+n.id, "/")
}

func (n *fakeNode) child(id string) *fakeNode {
	for _, c := range n.children {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (n *fakeNode) all() []*fakeNode {
	list := []*fakeNode{n}
	for _, c := range n.children {
		list = append(list, c.all()...)
	}
	return list
}

func (f *fakePlone) touch(n *fakeNode) { n.modified = f.clock }

func (f *fakePlone) url(n *fakeNode) string {
	u := f.server.URL + f.prefix
	for id := range strings.SplitSeq(n.path(), "/") {
		if id != "" {
			u += "/" + url.PathEscape(id)
		}
	}
	return u
}

// problem is an error of Plone: the answer's status, type and message.
type problem struct {
	status        int
	kind, message string
}

func (p *problem) Error() string { return p.message }

func fail(status int, kind, message string) error { return &problem{status, kind, message} }

func (f *fakePlone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Date", f.clock.Format(http.TimeFormat))
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	if f.before != nil && f.before(w, r) {
		return
	}
	status, body, err := f.answer(w, r)
	if p, ok := err.(*problem); ok { //nolint:errorlint // made by fail only
		status, body = p.status, map[string]any{"type": p.kind, "message": p.message, "traceback": []string{"secret"}}
		if p.status == http.StatusBadRequest { // Plone has two shapes
			body = map[string]any{"error": map[string]any{"type": p.kind, "message": p.message}}
		}
	}
	if b, ok := body.([]byte); ok {
		w.WriteHeader(status)
		_, _ = w.Write(b)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

func (f *fakePlone) knows(r *http.Request) bool {
	user, password, _ := r.BasicAuth()
	return user == testUser && password == testPassword
}

var errRedirect = fmt.Errorf("moved")

func (f *fakePlone) answer(w http.ResponseWriter, r *http.Request) (int, any, error) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), f.prefix)
	if !ok {
		return 0, nil, fail(404, "NotFound", "no such site")
	}
	var ids []string
	for id := range strings.SplitSeq(strings.Trim(rest, "/"), "/") {
		if id, err := url.PathUnescape(id); err == nil && id != "" {
			ids = append(ids, id)
		}
	}
	n, service, err := f.traverse(ids)
	if err == errRedirect { //nolint:errorlint // made by traverse only
		status := http.StatusTemporaryRedirect
		if r.Method == http.MethodGet {
			status = http.StatusFound
		}
		w.Header().Set("Location", f.url(n))
		return status, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	return f.serve(w, r, n, service)
}

// traverse finds an object as Zope does: an id that is not there is looked for above, and
// an old path leads to where the object is now.
func (f *fakePlone) traverse(ids []string) (*fakeNode, []string, error) {
	n := f.root
	for i, id := range ids {
		if strings.HasPrefix(id, "@") || id == "manage_DAVget" {
			return n, ids[i:], nil
		}
		next := n.child(id)
		for up := n; next == nil && up != nil && !f.explicit; up = up.parent {
			next = up.child(id)
		}
		if next == nil {
			if uid, ok := f.aliases[strings.Join(ids, "/")]; ok && f.byUID(uid) != nil {
				return f.byUID(uid), nil, errRedirect
			}
			return nil, nil, fail(404, "NotFound", "Resource not found: "+id)
		}
		n = next
	}
	return n, nil, nil
}

func (f *fakePlone) byUID(uid string) *fakeNode {
	for _, n := range f.root.all() {
		if n.uid == uid {
			return n
		}
	}
	return nil
}

func (f *fakePlone) serve(w http.ResponseWriter, r *http.Request, n *fakeNode, service []string) (int, any, error) {
	name := ""
	if len(service) > 0 {
		name = service[0]
	}
	known := f.knows(r)
	if name == "@search" {
		return f.search(r, n, known)
	}
	if !known && (n.typ != "Plone Site" || r.Method != http.MethodGet || name != "") {
		return 0, nil, fail(401, "Unauthorized", "You are not authorized to access this resource.")
	}
	if r.Method != http.MethodGet && name != "@login-renew" {
		f.writes++
		defer func() { f.clock = f.clock.Add(3 * time.Second) }()
	}
	switch r.Method + " " + name {
	case "POST @login-renew":
		return 200, map[string]any{"token": "x"}, nil
	case "GET ":
		return 200, f.json(n), nil
	case "GET @system":
		return 200, map[string]any{"plone_version": "6.2.2", "plone_restapi_version": "10.0.4", "upgrade": false}, nil
	case "GET @site":
		return 200, map[string]any{"plone.available_languages": f.languages}, nil
	case "GET @users":
		return 200, map[string]any{"id": testUser, "roles": []string{f.role}}, nil
	case "GET @types":
		return f.schema(service[1])
	case "GET @@download":
		return f.download(w, n, service[1])
	case "GET manage_DAVget":
		return f.raw(n)
	case "GET @workflow":
		return 200, map[string]any{"transitions": f.transitions(n)}, nil
	case "POST @workflow":
		return f.fire(n, service[1])
	case "POST @translations", "DELETE @translations":
		return f.translate(r, n)
	case "POST @move":
		return f.move(r, n)
	case "POST @import":
		return f.importZip(r)
	case "POST @tus-replace":
		return f.beginUpload(w, r, n)
	case "PATCH @tus-upload":
		return f.appendUpload(w, r, service[1])
	case "POST ":
		return f.create(r, n)
	case "PATCH ":
		return f.patch(r, n)
	case "DELETE ":
		return f.remove(n)
	}
	return 0, nil, fail(404, "NotFound", "Resource not found: "+name)
}

func (f *fakePlone) json(n *fakeNode) map[string]any {
	out := map[string]any{
		"@id": f.url(n), "@type": n.typ, "UID": n.uid, "id": n.id, "is_folderish": n.folderish(), "layout": n.layout,
		"review_state": orNil(n.state), "working_copy_of": nil, "lock": map[string]any{}, "type_title": n.typ,
		"@components": map[string]any{}, "changeNote": "",
	}
	if n.parent != nil {
		out["created"], out["modified"] = n.created.Format(fakeTime), n.modified.Format(fakeTime)
	}
	for field, factory := range f.fieldsOf(n.typ) {
		v := n.fields[field]
		switch factory {
		case "Relation List":
			v = f.related(n, field)
		case "Rich Text":
			v = f.render(v)
		case "File", "Image":
			if file, ok := n.files[field]; ok {
				v = map[string]any{"filename": file.name, "content-type": file.media, "size": len(file.data), "download": f.url(n) + "/@@download/" + field}
			}
		case "Choice":
			if v != nil {
				v = map[string]any{"title": v, "token": v}
			}
		case "Tuple":
			if v == nil {
				v = []any{}
			}
		}
		out[field] = v
	}
	if n.typ == "Link" {
		out["remoteUrl"] = f.linked(fmt.Sprint(n.fields["remoteUrl"]))
	}
	return out
}

const fakeTime = "2006-01-02T15:04:05+00:00"

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (f *fakePlone) fieldsOf(typ string) map[string]string {
	all := maps.Clone(fakeCommon)
	maps.Copy(all, fakeSchemas[typ])
	return all
}

func (f *fakePlone) related(n *fakeNode, field string) []any {
	out := []any{}
	uids, _ := n.fields[field].([]any)
	for _, uid := range uids {
		if to := f.byUID(uid.(string)); to != nil {
			out = append(out, map[string]any{"@id": f.url(to), "@type": to.typ, "UID": to.uid, "title": to.fields["title"]})
		}
	}
	return out
}

var resolve = regexp.MustCompile(`(?:\.\./)*resolveuid/([0-9a-f]{32})`)

func (f *fakePlone) linked(s string) string {
	return resolve.ReplaceAllStringFunc(s, func(m string) string {
		if to := f.byUID(m[len(m)-32:]); to != nil {
			return f.url(to)
		}
		return m
	})
}

// render gives rich text as a browser gets it, which is not what is stored.
func (f *fakePlone) render(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	data := strings.ReplaceAll(f.linked(m["data"].(string)), "&nbsp;", "\u00a0")
	return map[string]any{"data": data, "content-type": m["content-type"], "encoding": "utf8"}
}

func (f *fakePlone) schema(typ string) (int, any, error) {
	if fakeSchemas[typ] == nil || f.lacks == typ {
		return 0, nil, fail(404, "NotFound", "Type does not exist")
	}
	props := map[string]any{}
	for field, factory := range f.fieldsOf(typ) {
		if f.lacks != typ+"."+field {
			props[field] = map[string]any{"factory": factory}
		}
	}
	return 200, map[string]any{"properties": props, "required": []string{"title"}}, nil
}

func (f *fakePlone) row(n *fakeNode) map[string]any {
	return map[string]any{
		"@id": f.url(n), "@type": n.typ, "UID": n.uid, "TranslationGroup": n.group, "Language": orNil(n.language()), "created": n.created.Format(fakeTime), "modified": n.modified.Format(fakeTime), "review_state": orNil(n.state), "title": n.fields["title"],
	}
}

func since(q url.Values) time.Time {
	t, _ := time.Parse(time.RFC3339, q.Get("modified.query"))
	return t
}

func (f *fakePlone) search(r *http.Request, top *fakeNode, known bool) (int, any, error) {
	q := r.URL.Query()
	var found []*fakeNode
	for _, n := range top.all() {
		switch {
		case !known && n.state != "published" && n.parent != nil,
			q.Get("path.depth") == "1" && n.parent != top,
			q.Get("TranslationGroup") != "" && n.group != q.Get("TranslationGroup"),
			len(q["UID"]) > 0 && !slices.Contains(q["UID"], n.uid),
			q.Get("modified.query") != "" && n.modified.Truncate(time.Minute).Before(since(q)):
			continue
		}
		found = append(found, n)
	}
	if q.Get("sort_on") == "path" {
		slices.SortFunc(found, func(a, b *fakeNode) int { return strings.Compare(a.path(), b.path()) })
	}
	start, _ := strconv.Atoi(q.Get("b_start"))
	size, err := strconv.Atoi(q.Get("b_size"))
	if err != nil {
		size = 25
	}
	items := []any{}
	for i, n := range found {
		if i >= start && i < start+size {
			if f.dead && i == 1 {
				return 0, nil, fail(503, "KeyError", "'t3597'")
			}
			items = append(items, f.row(n))
		}
	}
	return 200, map[string]any{"items": items, "items_total": len(found)}, nil
}

func (f *fakePlone) download(w http.ResponseWriter, n *fakeNode, field string) (int, any, error) {
	file, ok := n.files[field]
	if !ok {
		return 0, nil, fail(404, "NotFound", "no such file")
	}
	w.Header().Set("Content-Type", file.media)
	if file.media == "text/html" {
		return 200, append([]byte("<!-- token -->"), file.data...), nil
	}
	return 200, file.data, nil
}

func (f *fakePlone) raw(n *fakeNode) (int, any, error) {
	if f.noRaw {
		return 0, nil, fail(404, "NotFound", "no such view")
	}
	head := "title: x\n"
	body := ""
	if m, ok := n.fields["text"].(map[string]any); ok {
		body = strings.ReplaceAll(m["data"].(string), "\r\n", "\n")
	}
	if n.typ == "Link" {
		head += fmt.Sprintf("remoteUrl: %s\n", n.fields["remoteUrl"])
	}
	for _, file := range n.files {
		head += "Content-Transfer-Encoding: base64\n"
		body = base64.StdEncoding.EncodeToString(file.data)
	}
	return 200, []byte(head + "Portal-Type: " + n.typ + "\n\n" + body), nil
}

var fakeFlow = map[string]map[string]string{
	"private": {"publish": "published", "submit": "pending"}, "pending": {"publish": "published", "retract": "private"},
	"published": {"retract": "private", "reject": "private"},
}

func (f *fakePlone) transitions(n *fakeNode) []any {
	out := []any{}
	for name := range fakeFlow[n.state] {
		out = append(out, map[string]any{"@id": f.url(n) + "/@workflow/" + name})
	}
	return out
}

// fire makes the object effective before it looks whether the transition is possible.
func (f *fakePlone) fire(n *fakeNode, name string) (int, any, error) {
	if n.fields["effective"] == nil {
		n.fields["effective"] = f.clock.Format(fakeTime)
		f.touch(n)
	}
	to, ok := fakeFlow[n.state][name]
	if !ok {
		return 0, nil, fail(400, "WorkflowException", "Invalid transition '"+name+"'.")
	}
	n.state = to
	return 200, map[string]any{"review_state": to}, nil
}

func decodeBody(r *http.Request) (map[string]any, error) {
	body := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, fail(400, "DeserializationError", "no JSON")
	}
	return body, nil
}

func (f *fakePlone) create(r *http.Request, parent *fakeNode) (int, any, error) {
	body, err := decodeBody(r)
	if err != nil {
		return 0, nil, err
	}
	id, typ := fmt.Sprint(body["id"]), fmt.Sprint(body["@type"])
	switch {
	case !parent.folderish():
		return 0, nil, fail(404, "NotFound", "no container")
	case fakeSchemas[typ] == nil:
		return 0, nil, fail(403, "Forbidden", "Disallowed type")
	case f.role != "Manager" && body["UID"] != nil:
		return 0, nil, fail(403, "Forbidden", "Setting UID of an object requires Manage Portal permission")
	case parent.child(id) != nil:
		return 0, nil, fail(400, "BadRequest", fmt.Sprintf("The id \"%s\" is invalid - it is already in use.", html.EscapeString(id)))
	case typ == "File" && body["file"] == nil || typ == "Image" && body["image"] == nil:
		return 0, nil, fail(400, "BadRequest", "Required input is missing.")
	}
	n := f.node(nil, id, typ)
	if len(f.languages) > 1 {
		n.group = newUID()
	}
	if uid, _ := body["UID"].(string); uid != "" {
		n.uid = uid
	}
	if err := f.set(n, body); err != nil {
		return 0, nil, err
	}
	n.parent = parent
	parent.children = append(parent.children, n)
	f.touch(parent)
	return 201, f.json(n), nil
}

// importZip makes or overwrites objects as plone.exportimport does: what has no container
// is left out without a word, and so are relations.
func (f *fakePlone) importZip(r *http.Request) (int, any, error) {
	if f.noImport {
		return 0, nil, fail(401, "Unauthorized", "You are not authorized to access this resource.")
	}
	file, head, err := r.FormFile("file")
	if err != nil {
		return 0, nil, fail(400, "BadRequest", "No file provided")
	}
	z, err := zip.NewReader(file, head.Size)
	if err != nil {
		return 0, nil, fail(500, "BadZipFile", "File is not a zip file")
	}
	read := func(name string) []byte {
		b, _ := fs.ReadFile(z, "content/"+name)
		return b
	}
	var meta struct {
		Files []string `json:"_data_files_"`
	}
	if json.Unmarshal(read("__metadata__.json"), &meta) != nil {
		return 0, nil, fail(500, "TypeError", "no metadata")
	}
	for _, name := range meta.Files {
		item := map[string]any{}
		if err := json.Unmarshal(read(name), &item); err != nil {
			return 0, nil, fail(500, "JSONDecodeError", err.Error())
		}
		if err := f.importItem(item, read); err != nil {
			return 0, nil, err
		}
		f.imported++
	}
	return 200, map[string]any{"status": "success", "report": []any{}}, nil
}

func (f *fakePlone) importItem(item map[string]any, read func(string) []byte) error {
	parent := f.root
	ids := strings.Split(strings.Trim(fmt.Sprint(item["@id"]), "/"), "/")
	for _, id := range ids[:len(ids)-1] {
		if parent = parent.child(id); parent == nil {
			return nil
		}
	}
	n := parent.child(ids[len(ids)-1])
	if n == nil {
		n = f.node(parent, ids[len(ids)-1], fmt.Sprint(item["@type"]))
	}
	for field, factory := range f.fieldsOf(n.typ) {
		if m, ok := item[field].(map[string]any); ok && (factory == "File" || factory == "Image") {
			n.files[field] = fakeFile{name: fmt.Sprint(m["filename"]), media: fmt.Sprint(m["content-type"]), data: read(fmt.Sprint(m["blob_path"]))}
			delete(item, field)
		}
	}
	n.uid = fmt.Sprint(item["UID"])
	if err := f.set(n, item); err != nil {
		return err
	}
	if state, _ := item["review_state"].(string); state != "" && n.state != "" {
		n.state = state
	}
	for key, at := range map[string]*time.Time{"created": &n.created, "modified": &n.modified} {
		if when, err := time.Parse(time.RFC3339, fmt.Sprint(item[key])); err == nil {
			*at = when.UTC()
		}
	}
	return nil
}

var notID = regexp.MustCompile(`[^a-z0-9.-]+`)

func (f *fakePlone) patch(r *http.Request, n *fakeNode) (int, any, error) {
	body, err := decodeBody(r)
	if err != nil {
		return 0, nil, err
	}
	if n.locked {
		return 0, nil, fail(403, "Forbidden", "Resource is locked.")
	}
	if o, ok := body["ordering"].(map[string]any); ok {
		f.reorder(n, o)
	}
	if err := f.set(n, body); err != nil {
		return 0, nil, err
	}
	if id, ok := body["id"].(string); ok && id != n.id {
		f.rename(n, id)
	}
	if strings.Contains(r.Header.Get("Prefer"), "return=representation") {
		return 200, f.json(n), nil
	}
	return 204, nil, nil
}

func (f *fakePlone) rename(n *fakeNode, id string) {
	id = strings.Trim(notID.ReplaceAllString(strings.ToLower(id), "-"), "-")
	for base, i := id, 1; n.parent.child(id) != nil; i++ {
		id = fmt.Sprintf("%s-%d", base, i)
	}
	f.relocate(n, func() { n.id = id })
	f.touch(n.parent)
}

// relocate leaves aliases behind and gives all below a new date.
func (f *fakePlone) relocate(n *fakeNode, do func()) {
	for _, x := range n.all() {
		f.aliases[x.path()] = x.uid
		f.touch(x)
	}
	do()
}

func (f *fakePlone) reorder(n *fakeNode, o map[string]any) {
	from := slices.IndexFunc(n.children, func(c *fakeNode) bool { return c.id == o["obj_id"] })
	if from < 0 {
		return
	}
	to := 0
	switch d := o["delta"].(type) {
	case float64:
		to = min(max(from+int(d), 0), len(n.children)-1)
	case string:
		if d == "bottom" {
			to = len(n.children) - 1
		}
	}
	c := n.children[from]
	n.children = slices.Insert(slices.Delete(n.children, from, from+1), to, c)
	f.touch(n)
}

func (f *fakePlone) move(r *http.Request, to *fakeNode) (int, any, error) {
	body, err := decodeBody(r)
	if err != nil {
		return 0, nil, err
	}
	source := fmt.Sprint(body["source"])
	var n *fakeNode
	for _, x := range f.root.all() {
		if f.url(x) == source && x.parent != nil {
			n = x
		}
	}
	if n == nil {
		return 200, []any{}, nil
	}
	for up := to; up != nil; up = up.parent {
		if up == n {
			return 0, nil, fail(500, "ValueError", "into itself")
		}
	}
	from := n.parent
	f.relocate(n, func() {
		from.children = slices.DeleteFunc(from.children, func(c *fakeNode) bool { return c == n })
		if to.child(n.id) != nil {
			n.id = "copy_of_" + n.id
		}
		n.parent = to
		to.children = append(to.children, n)
	})
	f.touch(from)
	f.touch(to)
	return 200, []any{map[string]any{"source": source, "target": f.url(n)}}, nil
}

func (f *fakePlone) remove(n *fakeNode) (int, any, error) {
	if n.parent == nil {
		f.root.children = nil // the whole site
		return 204, nil, nil
	}
	if n.locked {
		return 0, nil, fail(423, "ResourceLockedError", "locked")
	}
	n.parent.children = slices.DeleteFunc(n.parent.children, func(c *fakeNode) bool { return c == n })
	f.touch(n.parent)
	return 204, nil, nil
}

// set takes in fields. A file counts as a change whatever its bytes; an equal value does not.
func (f *fakePlone) set(n *fakeNode, body map[string]any) error {
	schema := f.fieldsOf(n.typ)
	changed := false
	for field, v := range body {
		factory, ok := schema[field]
		switch {
		case field == "layout":
			n.layout = fmt.Sprint(v)
			continue
		case !ok || field == "id":
			continue
		case field == "title" && (v == nil || v == "" || strings.Contains(fmt.Sprint(v), "\n")):
			return fail(400, "BadRequest", "[{'field': 'title', 'message': 'Constraint not satisfied'}]")
		}
		switch factory {
		case "File", "Image":
			if err := f.setFile(n, field, v); err != nil {
				return err
			}
			changed = true
			continue
		case "Rich Text":
			if m, ok := v.(map[string]any); ok {
				// Plone undoes the escapes of what it is sent, once.
				v = map[string]any{"data": html.UnescapeString(fmt.Sprint(m["data"])), "content-type": m["content-type"]}
			}
		case "Relation List":
			for _, uid := range asList(v) {
				if f.byUID(fmt.Sprint(uid)) == nil {
					return fail(400, "BadRequest", "cannot resolve "+fmt.Sprint(uid))
				}
			}
		case "Date/Time":
			if s, ok := v.(string); ok {
				t, err := time.Parse(time.RFC3339, s)
				if err != nil {
					return fail(400, "BadRequest", "no date")
				}
				v = t.UTC().Truncate(time.Minute).Format(fakeTime)
			}
		case "Choice":
			if m, ok := v.(map[string]any); ok {
				v = m["token"]
			}
		}
		if s, ok := v.(string); ok && field == "title" {
			v = strings.TrimSpace(s)
		}
		if fmt.Sprint(n.fields[field]) != fmt.Sprint(v) {
			changed = true
		}
		n.fields[field] = v
	}
	if _, sent := body["changeNote"]; changed || sent {
		f.touch(n)
	}
	return nil
}

func asList(v any) []any { l, _ := v.([]any); return l }

func (f *fakePlone) setFile(n *fakeNode, field string, v any) error {
	m, _ := v.(map[string]any)
	data, err := base64.StdEncoding.DecodeString(fmt.Sprint(m["data"]))
	if m == nil || err != nil || len(data) == 0 {
		return fail(400, "BadRequest", "Required input is missing.")
	}
	n.files[field] = fakeFile{name: fmt.Sprint(m["filename"]), media: fmt.Sprint(m["content-type"]), data: data}
	return nil
}

func (f *fakePlone) beginUpload(w http.ResponseWriter, r *http.Request, n *fakeNode) (int, any, error) {
	u := &fakeUpload{node: n, meta: map[string]string{}}
	u.length, _ = strconv.Atoi(r.Header.Get("Upload-Length"))
	for pair := range strings.SplitSeq(r.Header.Get("Upload-Metadata"), ",") {
		k, v, _ := strings.Cut(pair, " ")
		b, _ := base64.StdEncoding.DecodeString(v)
		u.meta[k] = string(b)
	}
	id := newUID()
	f.uploads[id] = u
	w.Header().Set("Location", f.url(n)+"/@tus-upload/"+id)
	return 201, nil, nil
}

// appendUpload adds whatever comes, and makes the file when there is enough of it.
func (f *fakePlone) appendUpload(w http.ResponseWriter, r *http.Request, id string) (int, any, error) {
	u := f.uploads[id]
	if u == nil {
		return 0, nil, fail(404, "NotFound", "no such upload")
	}
	b := make([]byte, 0, r.ContentLength)
	for buf := make([]byte, 1<<20); ; {
		n, err := r.Body.Read(buf)
		b = append(b, buf[:n]...)
		if err != nil {
			break
		}
	}
	u.data = append(u.data, b...)
	if len(u.data) >= u.length {
		delete(f.uploads, id)
		u.node.files[u.meta["fieldname"]] = fakeFile{name: u.meta["filename"], media: u.meta["content-type"], data: u.data}
		f.touch(u.node)
		w.Header().Set("Location", f.url(u.node))
	}
	return 204, nil, nil
}

func (n *fakeNode) language() string {
	l, _ := n.fields["language"].(string)
	return l
}

// translate links an object with one in another language, or takes that out of its group.
func (f *fakePlone) translate(r *http.Request, n *fakeNode) (int, any, error) {
	body, err := decodeBody(r)
	if err != nil {
		return 0, nil, err
	}
	for _, other := range f.root.all() {
		switch {
		case r.Method == http.MethodPost && other.uid == body["id"]:
			if n.group == "" || other.language() == n.language() {
				return 0, nil, fail(400, "BadRequest", "already translated into this language")
			}
			other.group = n.group
			return 201, nil, nil
		case r.Method == http.MethodDelete && other != n && other.group == n.group && other.language() == body["language"]:
			other.group = newUID()
			return 204, nil, nil
		}
	}
	return 0, nil, fail(400, "BadRequest", "no such translation")
}
