package seed

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"synchro.example/shared/content"
)

// entry is where an object of the export lies.
type entry struct {
	uid, path, typ string
	file           string
	off, n         int64

	address, parent string // as an older export names them
}

// index is what is known of an export: all but the objects themselves.
type index struct {
	files   *files
	entries []*entry
	// relations are UIDs by UID and field, in order.
	relations map[string]map[string][]string
	positions map[string]int      // of UIDs in their containers
	order     map[string][]string // UIDs by the path of their container
	sites     map[string]bool
	stamps    map[string]string // of the files, when they were read
	report    func(path, why string)
}

func newIndex(f *files, report func(path, why string)) *index {
	return &index{files: f, report: report, order: map[string][]string{}, stamps: map[string]string{}, relations: map[string]map[string][]string{}, positions: map[string]int{}, sites: map[string]bool{}}
}

// Types that are no content of their own.
var skippedTypes = []string{"Plone Site", "Discussion Item"}

func (e *entry) item(x *index) content.Item {
	return content.Item{
		UID: e.uid, Path: e.path, Type: e.typ, Identity: e.uid, Handle: e,
		Fingerprint: strings.Join([]string{x.stamps[e.file], e.file, fmt.Sprint(e.off)}, "\x1f"),
	}
}

// scan reads the whole export once.
func (x *index) scan(ctx context.Context) error {
	meta, err := x.files.metadata()
	if err != nil {
		return err
	}
	if meta == nil {
		return x.scanOlder(ctx)
	}
	x.positions = meta.Ordering
	for _, name := range meta.Files {
		if err := x.scanFile(ctx, path.Join("content", name)); err != nil {
			return err
		}
	}
	if x.files.has("relations.json") {
		return x.scanFile(ctx, "relations.json")
	}
	return nil
}

// scanOlder reads all files: each object of theirs tells what it is.
func (x *index) scanOlder(ctx context.Context) error {
	if x.files.zip {
		return errors.New("it is a zip without content/__metadata__.json, which plone.exportimport writes; unpack other exports")
	}
	names, err := x.files.json()
	if err != nil {
		return err
	}
	for _, name := range names {
		had := len(x.entries)
		err := x.scanFile(ctx, name)
		if err != nil && ctx.Err() == nil && had == len(x.entries) && len(names) > 1 {
			x.report(name, "it has no objects: "+err.Error())
			continue
		}
		if err != nil {
			return err
		}
	}
	if len(x.entries) == 0 {
		return errors.New("no objects are in it; it is to be the folder or zip that plone.exportimport has written, or JSON of collective.exportimport")
	}
	return x.place()
}

func (x *index) scanFile(ctx context.Context, name string) error {
	if !fs.ValidPath(name) {
		return fmt.Errorf("it names the file %q, which is not in it", name)
	}
	f, err := x.files.Open(name)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil {
		x.stamps[name] = stamp(info)
	}
	err = scan(f, 0, func(o found) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return x.take(name, o)
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return closed(f, err)
}

// record is what the listing reads of an object, and what the other files have.
type record struct {
	ID     string `json:"@id"`
	Type   string `json:"@type"`
	UID    string `json:"UID"`
	Name   string `json:"id"`
	Parent struct {
		ID   string `json:"@id"`
		Type string `json:"@type"`
	} `json:"parent"`

	From      string `json:"from_uuid"`
	To        string `json:"to_uuid"`
	Attribute string `json:"from_attribute"`
	Relation  string `json:"relationship"`

	UUID  string          `json:"uuid"`
	Order json.RawMessage `json:"order"`
}

func (x *index) take(file string, o found) error {
	var r record
	if o.large {
		x.report(file, fmt.Sprintf("what begins at byte %d has more than %d bytes of fields", o.off, maxObject))
		return nil
	}
	if err := json.Unmarshal(o.json, &r); err != nil {
		return fmt.Errorf("the object at byte %d: %w", o.off, err)
	}
	switch {
	case r.ID != "" && r.Type != "":
		e := &entry{uid: r.UID, typ: typeNow(r.Type), file: file, off: o.off, n: o.n, address: r.ID, parent: r.Parent.ID}
		if !strings.Contains(r.ID, "://") {
			e.path = plain(strings.Trim(r.ID, "/"), r.Name)
		}
		if r.Parent.Type == "Plone Site" {
			x.sites[r.Parent.ID] = true
		}
		if r.Type == "Plone Site" {
			e.path = ""
		}
		x.entries = append(x.entries, e)
	case r.From != "" && r.To != "":
		x.relate(r.From, r.Attribute+r.Relation, r.To)
	case r.UUID != "" && len(r.Order) > 0:
		var n int
		if json.Unmarshal(r.Order, &n) == nil {
			x.positions[r.UUID] = n
		}
	}
	return nil
}

// relate takes in one relation, under the name that the field has now.
func (x *index) relate(from, field, to string) {
	if field == "relatesTo" {
		field = "relatedItems"
	}
	if slices.Contains([]string{"", "isReferencing", "translationOf", "iterate-working-copy"}, field) {
		return
	}
	if x.relations[from] == nil {
		x.relations[from] = map[string][]string{}
	}
	x.relations[from][field] = append(x.relations[from][field], to)
}

// plain takes the escapes of addresses out of a path.
func plain(p, name string) string {
	ids := strings.Split(p, "/")
	for i := range ids {
		if id, err := url.PathUnescape(ids[i]); err == nil {
			ids[i] = id
		}
	}
	if name != "" {
		ids[len(ids)-1] = name
	}
	return strings.Join(ids, "/")
}

func parentOf(p string) string {
	if d := path.Dir(p); d != "." {
		return d
	}
	return ""
}

// place finds the paths of objects that have addresses.
func (x *index) place() error {
	site, err := x.site()
	if err != nil {
		return err
	}
	for _, e := range x.entries {
		rest, ok := strings.CutPrefix(e.address, site+"/")
		switch {
		case e.address == site:
			e.path = ""
		case ok:
			e.path = plain(strings.Trim(rest, "/"), "")
		case e.path == "":
			return fmt.Errorf("%q does not lie below %q, as the others do; keep exports of different sites apart", e.address, site)
		}
	}
	return nil
}

// site finds the address of the site's root: what an object names as such, or what all
// containers have in common.
func (x *index) site() (string, error) {
	if len(x.sites) > 1 {
		return "", errors.New("its objects are of more than one site; keep exports of different sites apart")
	}
	for site := range x.sites {
		return strings.TrimSuffix(site, "/"), nil
	}
	common := ""
	for i, e := range x.entries {
		parent := e.parent
		if parent == "" {
			parent = strings.TrimSuffix(e.address, "/"+path.Base(e.address))
		}
		if i == 0 {
			common = parent
		}
		for common != "" && parent != common && !strings.HasPrefix(parent, common+"/") {
			common = common[:max(strings.LastIndexByte(common, '/'), 0)]
		}
	}
	return strings.TrimSuffix(common, "/"), nil
}

// arrange puts what each container holds in order, as far as that is known.
func (x *index) arrange() {
	for _, e := range x.entries {
		if _, known := x.positions[e.uid]; known {
			x.order[parentOf(e.path)] = append(x.order[parentOf(e.path)], e.uid)
		}
	}
	for _, uids := range x.order {
		slices.SortStableFunc(uids, func(a, b string) int { return cmp.Compare(x.positions[a], x.positions[b]) })
	}
}
