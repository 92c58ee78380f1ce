package plone

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
)

// mirror carries what a source has to a target, as the services do, but one by one and
// without a broker.
type mirror struct {
	t      *testing.T
	source content.Source
	to     content.Target
	target *target // the same, when it is a site

	paths  map[string]string // UID to path on the target
	notes  map[string]*content.Note
	prints map[string]string // UID to the fingerprint that was carried
	states map[string]content.Digest
	last   map[string]*content.Change

	reads, changes int
}

func newMirror(t *testing.T, s content.Source, to content.Target) *mirror {
	site, _ := to.(*target)
	return &mirror{
		t: t, source: s, to: to, target: site, paths: map[string]string{}, notes: map[string]*content.Note{}, prints: map[string]string{},
		states: map[string]content.Digest{}, last: map[string]*content.Change{},
	}
}

// items lists the source until nothing is unsettled.
func (m *mirror) items() []content.Item {
	m.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		var items []content.Item
		settled := true
		for it, err := range m.source.List(m.t.Context()) {
			check(m.t, err)
			if it.UID == "" { // it comes from a folder
				it.UID = uidOf(it.Path)
			}
			items = append(items, it)
			settled = settled && (!it.Unsettled || it.Problem != nil)
		}
		if settled {
			return items
		}
	}
	m.t.Fatal("the source does not settle")
	return nil
}

// read makes the change that an object's state is.
func (m *mirror) read(it content.Item) *content.Change {
	m.t.Helper()
	m.reads++
	snap, err := m.source.Read(m.t.Context(), it)
	check(m.t, err)
	var payloads []content.Payload
	for _, part := range snap.Parts {
		b, err := io.ReadAll(part.Body)
		check(m.t, err)
		p := contenttest.Payload(part.Plugin, part.MediaType, part.Names, b)
		payloads = append(payloads, p)
	}
	check(m.t, snap.Close())
	m.prints[it.UID] = snap.Fingerprint
	c := contenttest.Change(it.UID, it.Path, it.Type, payloads)
	c.Object.Meta = snap.Meta
	return c
}

// sync carries everything, and gives the errors of what the target refused.
func (m *mirror) sync() (errs []error) {
	m.t.Helper()
	items := m.items()
	listed := map[string]bool{}
	var todo []*content.Change
	for _, it := range items {
		listed[it.UID] = true
		if it.Problem != nil || m.prints[it.UID] == it.Fingerprint {
			continue
		}
		if c := m.read(it); m.states[it.UID] != c.Digest || m.paths[it.UID] != it.Path {
			todo = append(todo, c)
		}
	}
	for _, c := range todo {
		if err := m.apply(c); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, m.remove(listed)...)
	for again := true; again; {
		again = false
		for uid, note := range m.notes {
			if there := slices.IndexFunc(note.Missing, func(u string) bool { return m.paths[u] != "" }); there >= 0 {
				again = true
				if err := m.apply(m.last[uid]); err != nil {
					return append(errs, err)
				}
			}
		}
	}
	return errs
}

func (m *mirror) apply(c *content.Change) error {
	uid := c.Object.UID
	note := m.notes[uid]
	if note == nil {
		note = &content.Note{}
	}
	op := content.Op{Change: c, From: m.paths[uid], To: c.Object.Path, Open: contenttest.OpenInline, Note: note}
	if err := m.to.Apply(m.t.Context(), []content.Op{op})[0]; err != nil {
		return fmt.Errorf("%s: %w", c.Object.Path, err)
	}
	m.changes++
	m.moved(uid, c.Object.Path)
	m.notes[uid], m.states[uid], m.last[uid] = note, c.Digest, c
	return nil
}

// moved takes along what lies below.
func (m *mirror) moved(uid, to string) {
	if from := m.paths[uid]; from != "" && from != to {
		for u, p := range m.paths {
			if strings.HasPrefix(p, from+"/") {
				m.paths[u] = to + p[len(from):]
			}
		}
	}
	m.paths[uid] = to
}

func (m *mirror) remove(listed map[string]bool) (errs []error) {
	var gone []string
	for uid := range m.paths {
		if !listed[uid] {
			gone = append(gone, uid)
		}
	}
	slices.SortFunc(gone, func(a, b string) int { return strings.Count(m.paths[b], "/") - strings.Count(m.paths[a], "/") })
	for _, uid := range gone {
		if p, ok := m.source.(content.Prover); ok {
			really, err := p.Gone(m.t.Context(), uid, m.paths[uid])
			check(m.t, err)
			if !really {
				m.t.Errorf("%s is not listed and not gone", m.paths[uid])
			}
		}
		op := content.Op{Change: contenttest.Removal(uid, m.paths[uid], "x"), From: m.paths[uid], Open: contenttest.OpenNever}
		if err := m.to.Apply(m.t.Context(), []content.Op{op})[0]; err != nil {
			errs = append(errs, err)
			continue
		}
		m.changes++
		delete(m.paths, uid)
		delete(m.notes, uid)
		delete(m.prints, uid)
		delete(m.states, uid)
	}
	return errs
}

// keys of a REST reply that tell nothing about what the object is.
var fleeting = []string{"modified", "created", "parent", "previous_item", "next_item", "lock", "@components", "items", "changeNote", "version"}

// portrait is everything that an editor can see of a site, with addresses made equal.
func (w world) portrait(t *testing.T) map[string]string {
	t.Helper()
	paths, err := w.paths()
	check(t, err)
	out := map[string]string{}
	for p, typ := range paths {
		out[p] = w.face(t, p, typ)
	}
	return out
}

func (w world) face(t *testing.T, p, typ string) string {
	t.Helper()
	doc := must[jsonMap](t)(w.call("GET", w.at(p)+"?include_items=0", nil))
	for _, k := range fleeting {
		delete(doc, k)
	}
	for _, field := range []string{"file", "image"} {
		f, ok := doc[field].(jsonMap)
		if !ok {
			continue
		}
		_, b, err := w.try("GET", w.at(p)+"/@@download/"+field, nil)
		check(t, err)
		if f["content-type"] == "text/html" {
			b = nil // rewritten for whoever is logged in
		}
		doc[field] = []any{f["filename"], f["content-type"], f["size"], fmt.Sprintf("%x", sha256.Sum256(b))}
	}
	if s, ok := doc["effective"].(string); ok {
		doc["effective"] = s[:len("2006-01-02T15:04")] // a transition writes seconds, nobody else can
	}
	var uids []any
	related, _ := doc["relatedItems"].([]any)
	for _, r := range related {
		uids = append(uids, r.(jsonMap)["UID"])
	}
	doc["relatedItems"] = uids
	if text, ok := doc["text"].(jsonMap); ok && typ != "Collection" {
		_, b, err := w.try("GET", w.at(p)+"/manage_DAVget", nil)
		check(t, err)
		_, raw, _ := strings.Cut(string(b), "\n\n")
		text["data"] = raw
	}
	if doc["is_folderish"] == true {
		out := must[jsonMap](t)(w.call("GET", w.at(p)+"/@search?path.depth=1&sort_on=getObjPositionInParent&b_size=1000&show_inactive=1", nil))
		var order []string
		for _, item := range out["items"].([]any) {
			order = append(order, path.Base(item.(jsonMap)["@id"].(string)))
		}
		doc["order"] = order
	}
	b, err := marshal(doc)
	check(t, err)
	return strings.ReplaceAll(string(b), w.base, "SITE")
}

// wantEqual compares two sites.
func wantEqual(t *testing.T, a, b world) {
	t.Helper()
	pa, pb := a.portrait(t), b.portrait(t)
	for p := range pa {
		if pa[p] != pb[p] {
			t.Errorf("/%s differs:\n%s\n%s", p, pa[p], pb[p])
		}
	}
	for p := range pb {
		if pa[p] == "" {
			t.Errorf("/%s should not be there", p)
		}
	}
}
