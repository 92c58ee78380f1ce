package plone

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"synchro.example/shared/content"
)

// Bounds of one import: Plone takes all of it into memory.
const (
	seedBatch  = 200
	seedObject = 16 << 20
	seedBytes  = 64 << 20
	// seedIdle is how long nothing new has come when the first copy is taken for done. An
	// import looks at all objects of the site, so that it is no way for single ones.
	seedIdle = 10 * time.Minute
)

// seed makes those objects of a call that the site has not, all at once, with the import
// that Plone 6.2 comes with: nothing else keeps dates and histories. What it leaves out or
// leaves undone is done as ever afterwards, so an import that fails costs no more than time.
// It is true when the site may have other rows now.
func (t *target) seed(ctx context.Context, ops []content.Op, rows map[string][]row) (bool, error) {
	z, err := newSeedZip()
	if err != nil {
		return false, err
	}
	defer z.close()
	for i := range ops {
		if len(rows[ops[i].Change.Object.UID]) > 0 || !seedable(&ops[i]) {
			continue
		}
		if err := t.addSeed(ctx, z, &ops[i]); err != nil {
			return false, err
		}
	}
	if len(z.items) == 0 {
		return false, nil
	}
	t.effects++
	err = z.send(ctx, t.client)
	if e, ok := errors.AsType[*apiError](err); ok {
		t.noSeed = isStatus(err, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound)
		t.opts.Log.Warn("the site does not take a first copy with its dates and histories", "error", e, "again", !t.noSeed)
		err = nil
	}
	return true, err
}

// seedable tells whether an op is to make an object that may have dates and a history.
func seedable(op *content.Op) bool {
	c := op.Change
	typ := c.Object.Type
	return op.To != "" && op.From == "" && c.Kind == content.Modified && len(c.Payloads) > 0 && isUID(c.Object.UID) &&
		typ != content.TypeFile && typ != content.TypeFolder && !isStructural(typ)
}

// addSeed puts an object into the import, unless that could do harm: an import finds
// objects by their path, and overwrites what is there.
func (t *target) addSeed(ctx context.Context, z *seedZip, op *content.Op) error {
	want, err := t.wanted(ctx, op)
	to := placeOnSite(op.To)
	if err != nil || !holdable(path.Base(to)) || checkPath(to) != nil || t.container(ctx, parentOf(to)) != nil {
		return ctx.Err() // it is told when the object's turn comes
	}
	if _, err := t.object(ctx, to); !errors.Is(err, errElsewhere) && !isAbsent(err) {
		return ctx.Err()
	}
	w := &work{target: t, op: op, want: want, to: to, spooled: map[string]*spooled{}, kept: map[string]bool{}}
	defer w.drop()
	size := int64(0)
	for field := range want.Files {
		size += want.payloads[field].Size
	}
	if size > seedObject || z.size+size > seedBytes || w.spoolAll(ctx) != nil {
		return ctx.Err()
	}
	sc, err := t.types.of(ctx, want.Type)
	if err != nil {
		return ctx.Err()
	}
	item := w.seedItem(sc)
	if err := w.seedRelations(ctx, sc, z, item); err != nil {
		return err
	}
	return z.add(w, item)
}

// seedRelations puts in the relations of those fields of which all objects are there. The
// others are written afterwards, which costs the date of the object's last change.
func (w *work) seedRelations(ctx context.Context, sc *schema, z *seedZip, item map[string]any) error {
	for field, uids := range w.want.Relations {
		if sc.fields[field] != relation || !w.wants(field) {
			continue
		}
		there, err := w.byUIDs(ctx, uids)
		if err != nil {
			return err
		}
		lacks := func(uid string) bool { return len(there[uid]) == 0 && !z.has[uid] }
		if len(uids) > 0 && !slices.ContainsFunc(uids, lacks) {
			item[field] = sc.related(field, uids)
		}
	}
	return nil
}

// seedItem is the object in the form of plone.exportimport, without its files.
func (w *work) seedItem(sc *schema) map[string]any {
	item := w.fieldsBody(sc)
	item["@id"], item["@type"], item["UID"], item["id"] = "/"+w.to, w.want.Type, w.uid(), path.Base(w.to)
	if w.want.ReviewState != "" && w.wants(stateField) {
		item["review_state"] = w.want.ReviewState
	}
	for _, k := range []string{"created", "modified", "workflow_history"} {
		if v := w.op.Change.Object.Meta[k]; v != nil {
			item[k] = v
		}
	}
	return item
}

// seedZip is an import in the making, in a file without a name.
type seedZip struct {
	file  *os.File
	zip   *zip.Writer
	items []string
	has   map[string]bool // the UIDs of its objects
	size  int64
}

func newSeedZip() (*seedZip, error) {
	f, err := tempFile()
	if err != nil {
		return nil, err
	}
	return &seedZip{file: f, zip: zip.NewWriter(f), has: map[string]bool{}}, nil
}

func (z *seedZip) close() { _ = z.file.Close() }

func (z *seedZip) put(name string, r io.Reader) error {
	to, err := z.zip.Create("content/" + name)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, r)
	z.size += n
	return err
}

func (z *seedZip) putJSON(name string, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	return z.put(name, strings.NewReader(string(b)))
}

// add puts in an object with its files.
func (z *seedZip) add(w *work, item map[string]any) error {
	for field, info := range w.want.Files {
		s := w.spooled[field]
		name := path.Join(w.uid(), escapeSegment(field), "data")
		item[field] = map[string]any{"filename": info.Name, "content-type": info.Media, "size": s.size, "blob_path": name}
		if err := z.put(name, s.section(0, s.size)); err != nil {
			return err
		}
	}
	name := w.uid() + "/data.json"
	z.items, z.has[w.uid()] = append(z.items, name), true
	return z.putJSON(name, item)
}

// send has the site import what is in the file. There is nothing in it but content: what
// an import says of relations replaces those of the whole site.
func (z *seedZip) send(ctx context.Context, c *client) error {
	if err := z.putJSON("__metadata__.json", map[string]any{"__version__": "1.0.0", "_data_files_": z.items}); err != nil {
		return err
	}
	if err := z.zip.Close(); err != nil {
		return err
	}
	size, err := z.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	var form strings.Builder
	m := multipart.NewWriter(&form)
	if _, err := m.CreateFormFile("file", "content.zip"); err != nil {
		return err
	}
	head := form.String()
	form.Reset()
	if err := m.Close(); err != nil {
		return err
	}
	tail := form.String()
	_, err = c.do(ctx, request{
		method: http.MethodPost, service: "@import", header: http.Header{"Content-Type": {m.FormDataContentType()}},
		raw:  io.MultiReader(strings.NewReader(head), io.NewSectionReader(z.file, 0, size), strings.NewReader(tail)),
		size: int64(len(head)) + size + int64(len(tail)),
	})
	return err
}

// rowsFor asks for what is where before a call, after a first copy where that is wanted.
func (t *target) rowsFor(ctx context.Context, ops []content.Op) (map[string][]row, error) {
	var uids []string
	for i := range ops {
		if uid := ops[i].Change.Object.UID; isUID(uid) {
			uids = append(uids, uid)
		}
	}
	// The ops do not touch one another, so what is where can be asked at once.
	parents := t.knownParents(ops)
	rows, err := t.byUIDs(ctx, slices.Concat(uids, parents))
	if err == nil {
		t.seeParents(parents, rows)
	}
	if err != nil || !t.opts.Seed || t.noSeed {
		return rows, err
	}
	made, err := t.seed(ctx, ops, rows)
	if err != nil {
		return nil, fmt.Errorf("make a first copy: %w", err)
	}
	if !made {
		t.noSeed = time.Since(t.seeded) > seedIdle
		return rows, nil
	}
	t.seeded = time.Now()
	return t.byUIDs(ctx, uids)
}
