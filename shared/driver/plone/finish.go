package plone

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"synchro.example/shared/fault"
)

// finish does what needs the object to be there, reads it back and compares.
func (w *work) finish(ctx context.Context, doc document, late []lateFile) error {
	if doc.uid() != w.uid() {
		return fault.Errorf(fault.Park, fault.NotArrived, "/%s has the UID %s; the account needs the role Manager to give an object its UID", w.to, doc.uid())
	}
	w.stands(w.uid())
	if doc.container() {
		w.parents[w.to] = parent{w.uid(), time.Now()}
	}
	again := len(late) > 0
	for _, l := range late {
		if err := w.upload(ctx, l); err != nil {
			return err
		}
	}
	transited, err := w.transit(ctx, doc)
	if err != nil {
		return err
	}
	if again || transited {
		if doc, err = w.object(ctx, w.to); err != nil {
			return err
		}
	}
	moved := 0
	if doc.container() {
		if moved, err = w.arrange(ctx, w.to, w.want.Order); err != nil {
			return err
		}
	}
	if _, err := w.arrange(ctx, "", w.want.Top); err != nil {
		return err
	}
	if err := w.translate(ctx); err != nil {
		return err
	}
	raw, err := w.stored(ctx, doc)
	if err != nil {
		return err
	}
	have, err := w.stateWith(ctx, w.to, doc, raw, false)
	if err != nil {
		return err
	}
	sc, err := w.types.of(ctx, w.want.Type)
	if err != nil {
		return err
	}
	if err := w.compare(sc, have); err != nil {
		return err
	}
	w.leave(have, sc)
	if w.op.Applied != nil && moved == 0 {
		w.op.Applied((&row{UID: w.uid(), path: w.to, Modified: doc.modified(), State: have.ReviewState}).fingerprint())
	}
	return nil
}

// wants tells whether a field is this change's to set.
func (w *work) wants(field string) bool {
	return !slices.Contains(w.opts.Omit, field) && !w.kept[field]
}

// compare names what has not arrived.
func (w *work) compare(sc *schema, have *state) error {
	var lost []string
	for _, field := range sortedFields(sc.fields) {
		if w.wants(field) && !w.arrived(field, sc.fields[field], have) {
			lost = append(lost, field)
		}
	}
	for _, field := range w.unknown(sc) {
		lost = append(lost, field+" (the type has no such field here)")
	}
	if w.want.ReviewState != "" && w.wants(stateField) && have.ReviewState != w.want.ReviewState {
		lost = append(lost, fmt.Sprintf("%s (%q instead of %q)", stateField, have.ReviewState, w.want.ReviewState))
	}
	if w.want.Layout != "" && w.wants(layoutField) && have.Layout != w.want.Layout {
		lost = append(lost, layoutField)
	}
	if len(lost) > 0 {
		return fault.Errorf(fault.Park, fault.NotArrived, "/%s: after the write the site has something else in %s", w.to, strings.Join(lost, ", "))
	}
	return nil
}

func (w *work) arrived(field string, k kind, have *state) bool {
	if _, named := w.want.Files[field]; w.want.partial && (k == relation || k == file && !named) {
		return true
	}
	switch k {
	case file:
		return have.Files[field] == w.want.Files[field]
	case relation:
		return slices.Equal(have.Relations[field], w.want.Relations[field])
	}
	v, given := w.want.Fields[field]
	if !given || slices.Contains(have.Rendered, field) {
		return true
	}
	return same(normal(field, k, v), have.Fields[field])
}

// unknown gives the fields with a value that the target's type does not have.
func (w *work) unknown(sc *schema) []string {
	var names []string
	for field, v := range w.want.Fields {
		if _, ok := sc.fields[field]; !ok && !isEmpty(v) && v != false && w.wants(field) {
			names = append(names, field)
		}
	}
	for field, uids := range w.want.Relations {
		if _, ok := sc.fields[field]; !ok && len(uids) > 0 && w.wants(field) {
			names = append(names, field)
		}
	}
	for field := range w.want.Files {
		if _, ok := sc.fields[field]; !ok && w.wants(field) {
			names = append(names, field)
		}
	}
	slices.Sort(names)
	return names
}
