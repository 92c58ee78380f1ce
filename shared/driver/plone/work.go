package plone

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"path"
	"regexp"
	"slices"
	"strings"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// work is one change on its way into the site.
type work struct {
	*target
	op   *content.Op
	want *wanted
	to   string // where it belongs

	spooled map[string]*spooled // the files that were read, by field
	base    note                // how the last change left the object
	kept    map[string]bool     // fields that stay as somebody made them on the target
	missing []string            // UIDs that it refers to and that the site has not
	before  *before             // a write that has no text in it; nil for any other
}

// before is an object before a write that leaves its text alone.
type before struct {
	rendered map[string]any
	raw      *rawText // as it is stored; may be nil
}

func (w *work) uid() string { return w.op.Change.Object.UID }

// run brings the object to its place and its state. now is where it is, if anywhere.
func (w *work) run(ctx context.Context, now *row) error {
	defer w.drop()
	if w.op.Note != nil {
		w.base = parseNote(w.op.Note.State)
	}
	if isStructural(w.want.Type) {
		return w.structural(ctx)
	}
	if now != nil && now.Type != w.want.Type {
		if err := w.clearOtherType(ctx, now); err != nil {
			return err
		}
		now = nil
	}
	if now == nil {
		return w.make(ctx)
	}
	return w.change(ctx, now)
}

// structural objects are made by the site itself; they are there or they are not.
func (w *work) structural(ctx context.Context) error {
	doc, err := w.object(ctx, w.to)
	if err == nil && doc.str("@type") == w.want.Type {
		return nil
	}
	if err != nil && !isAbsent(err) && !errors.Is(err, errElsewhere) {
		return err
	}
	return fault.Errorf(fault.Park, fault.ParentMissing, "the site has no language folder /%s; add the language in its settings", w.to)
}

// clearOtherType removes an object whose UID belongs to an object of another type now.
func (w *work) clearOtherType(ctx context.Context, now *row) error {
	// What the new object needs is looked at first: after the removal there is no way back.
	if err := w.spoolAll(ctx); err != nil {
		return err
	}
	if err := w.remove(ctx, w.op, now); err != nil {
		return fmt.Errorf("replace the %s by a %s: %w", now.Type, w.want.Type, err)
	}
	return nil
}

// make creates the object with its UID.
func (w *work) make(ctx context.Context) error {
	name := path.Base(w.to)
	if !holdable(name) {
		return fault.Errorf(fault.Park, fault.NameRefused, "place %q: Plone does not take the name %q", w.op.To, name)
	}
	if err := w.container(ctx, parentOf(w.to)); err != nil {
		return err
	}
	body, late, err := w.newBody(ctx, name)
	if err != nil {
		return err
	}
	doc, err := w.post(ctx, body)
	if err != nil {
		return err
	}
	return w.finish(ctx, doc, late)
}

// post creates, and looks again when the answer leaves open what has happened.
func (w *work) post(ctx context.Context, body map[string]any) (document, error) {
	w.effects++
	r := request{method: http.MethodPost, path: parentOf(w.to), body: body}
	rep, err := w.do(ctx, r)
	if err != nil {
		return w.afterPost(ctx, err)
	}
	doc := document{}
	if err := unmarshal(rep.body, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	if err := w.checkPlace(ctx, doc, w.to); err != nil {
		return nil, fault.New(fault.Park, fault.NotArrived, fmt.Errorf("create /%s: %w", w.to, err))
	}
	return doc, nil
}

func (w *work) afterPost(ctx context.Context, err error) (document, error) {
	if !isStatus(err, http.StatusBadRequest) {
		if isStatus(err, http.StatusNotFound) {
			return nil, fault.New(fault.Retry, fault.ParentMissing, err)
		}
		return nil, err
	}
	there, other := w.object(ctx, w.to)
	if other != nil {
		return nil, err
	}
	if there.uid() == w.uid() {
		return there, nil
	}
	return nil, fault.New(fault.Park, fault.PathTaken, fmt.Errorf("create /%s: a %s with the UID %s stands there: %w", w.to, there.str("@type"), there.uid(), err))
}

// change moves the object if need be, and writes what differs.
func (w *work) change(ctx context.Context, now *row) error {
	doc, err := w.object(ctx, now.path)
	if err != nil {
		return fmt.Errorf("the catalog has the object at /%s: %w", now.path, err)
	}
	raw, err := w.rawFor(ctx, now.path, doc)
	if err != nil {
		return err
	}
	have, err := w.stateWith(ctx, now.path, doc, raw, false)
	if err != nil {
		return err
	}
	if err := w.checkDrift(now, have); err != nil {
		return err
	}
	body, late, err := w.difference(ctx, now.path, have)
	if err != nil {
		return err
	}
	if err := w.noteText(ctx, doc, raw, body); err != nil {
		return err
	}
	if now.path != w.to {
		if err := w.move(ctx, now); err != nil {
			return err
		}
		doc = nil
	}
	if len(body) > 0 {
		if doc, err = w.patch(ctx, body); err != nil {
			return err
		}
	}
	if doc == nil {
		if doc, err = w.object(ctx, w.to); err != nil {
			return err
		}
	}
	return w.finish(ctx, doc, late)
}

// noteText keeps what was read of the object's text, if the write has none.
func (w *work) noteText(ctx context.Context, doc document, raw *rawText, body map[string]any) error {
	sc, err := w.types.of(ctx, doc.str("@type"))
	if err != nil {
		return err
	}
	for field := range body {
		if sc.fields[field] == rich || field == linkField {
			return nil
		}
	}
	w.before = &before{rendered(sc, doc), raw}
	return nil
}

// stored gives the stored text after the write. What was read before holds when the write had
// no text in it and a browser still gets the same. What a browser gets is what is stored, when
// it is what was sent and there is nothing in it that Plone replaces.
func (w *work) stored(ctx context.Context, doc document) (*rawText, error) {
	sc, err := w.types.of(ctx, doc.str("@type"))
	if err != nil {
		return nil, err
	}
	if w.before != nil && same(rendered(sc, doc), w.before.rendered) {
		return w.before.raw, nil
	}
	if raw, err := w.verbatim(ctx, sc, doc); raw != nil || err != nil {
		return raw, err
	}
	return w.rawFor(ctx, w.to, doc)
}

// verbatim gives the text that was sent, if the site shows just that, and else nil.
func (w *work) verbatim(ctx context.Context, sc *schema, doc document) (*rawText, error) {
	site, err := w.root(ctx)
	if err != nil {
		return nil, err
	}
	raw := &rawText{header: textproto.MIMEHeader{}}
	for field, v := range rendered(sc, doc) {
		want := w.want.Fields[field]
		sent, _ := want.(string)
		if m, ok := want.(map[string]any); ok && field == "text" {
			sent, _ = m["data"].(string)
			raw.body = sent
		} else if field == linkField {
			raw.header.Set(field, sent)
		}
		replaced := slices.ContainsFunc([]string{"&", "resolveuid", site.Host}, func(s string) bool { return strings.Contains(sent, s) })
		if sent == "" || replaced || !same(normal(field, sc.fields[field], v), want) {
			return nil, nil
		}
	}
	return raw, nil
}

// patch changes fields and gives the object as it is then.
func (w *work) patch(ctx context.Context, body map[string]any) (document, error) {
	w.effects++
	r := request{method: http.MethodPatch, path: w.to, body: body, header: http.Header{"Prefer": {"return=representation"}}}
	rep, err := w.do(ctx, r)
	if err != nil {
		return nil, err
	}
	doc := document{}
	if rep.status == http.StatusNoContent {
		return w.object(ctx, w.to)
	}
	if err := unmarshal(rep.body, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	return doc, w.checkPlace(ctx, doc, w.to)
}

// renamable are names that Plone's PATCH takes as they are.
var renamable = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,48}[a-z0-9])?$`)

// move brings the object to its place, in at most three steps.
func (w *work) move(ctx context.Context, now *row) error {
	if err := w.container(ctx, parentOf(w.to)); err != nil {
		return err
	}
	if err := w.free(ctx, w.to); err != nil {
		return err
	}
	at, name := now.path, path.Base(w.to)
	if path.Base(at) != name && !renamable.MatchString(name) {
		return fault.Errorf(fault.Park, fault.NameRefused, "rename /%s: Plone would not take the name %q as it is", at, name)
	}
	clear(w.parents)
	if parentOf(at) != parentOf(w.to) {
		meanwhile := join(parentOf(w.to), path.Base(at))
		if meanwhile != w.to && w.free(ctx, meanwhile) != nil {
			aside := "synchro-aside-" + w.uid()
			if err := w.rename(ctx, at, aside); err != nil {
				return err
			}
			at = join(parentOf(at), aside)
		}
		if err := w.moveTo(ctx, at, parentOf(w.to)); err != nil {
			return err
		}
		at = join(parentOf(w.to), path.Base(at))
	}
	if at == w.to {
		return nil
	}
	return w.rename(ctx, at, name)
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "/" + name
}

// free makes sure that nobody else's object is at a path.
func (w *work) free(ctx context.Context, p string) error {
	if err := checkPath(p); err != nil {
		return fault.New(fault.Park, fault.NameRefused, err)
	}
	doc, err := w.object(ctx, p)
	switch {
	case errors.Is(err, errElsewhere), isAbsent(err), err == nil && doc.uid() == w.uid():
		return nil
	case err != nil:
		return err
	}
	return fault.Errorf(fault.Park, fault.PathTaken, "move to /%s: a %s with the UID %s stands there", p, doc.str("@type"), doc.uid())
}

func (w *work) rename(ctx context.Context, at, name string) error {
	if err := checkPath(at); err != nil {
		return fault.New(fault.Park, fault.Unsupported, err)
	}
	w.effects++
	if _, err := w.do(ctx, request{method: http.MethodPatch, path: at, body: map[string]any{"id": name}}); err != nil {
		return err
	}
	to := join(parentOf(at), name)
	if doc, err := w.object(ctx, to); err != nil || doc.uid() != w.uid() {
		return fault.New(fault.Park, fault.NotArrived, errors.Join(fmt.Errorf("rename /%s: Plone did not give it the name %q", at, name), err))
	}
	return nil
}

// moveTo moves an object into another container of the same site.
func (w *work) moveTo(ctx context.Context, at, container string) error {
	if err := checkPath(at); err != nil {
		return fault.New(fault.Park, fault.Unsupported, err)
	}
	site, err := w.root(ctx)
	if err != nil {
		return err
	}
	w.effects++
	rep, err := w.do(ctx, request{
		method: http.MethodPost, path: container, service: "@move", body: map[string]any{"source": address(site, at, "", nil)},
	})
	if err != nil {
		return err
	}
	var pairs []struct {
		Source string `json:"source"`
		Target string `json:"target"`
	}
	if err := unmarshal(rep.body, &pairs); err != nil || len(pairs) != 1 {
		return fault.Errorf(fault.Retry, fault.NotArrived, "move /%s to /%s: the site has moved %d objects", at, container, len(pairs))
	}
	got, err := w.pathOf(ctx, pairs[0].Target)
	if want := join(container, path.Base(at)); err == nil && got != want {
		err = fault.Errorf(fault.Retry, fault.PathTaken, "move /%s: it came to /%s instead of /%s", at, got, want)
	}
	return err
}
