package exporter

import (
	"context"

	"synchro.example/shared/fault"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/tree"
)

// Verify compares the source with its log and changes nothing. It may run while another
// process exports; what changes meanwhile may show as a difference.
func (e *Exporter) Verify(ctx context.Context) ([]reconcile.Difference, error) {
	e.forget()
	e.Distrust()
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	items, err := e.list(ctx)
	if err != nil {
		return nil, err
	}
	d, err := e.difference(ctx, items)
	if err != nil {
		return nil, err
	}
	var list []reconcile.Difference
	for _, p := range d.problems {
		list = append(list, reconcile.Difference{Site: e.Site, UID: p.uid, Path: p.path, What: reconcile.Failed, Detail: p.fault.Error()})
	}
	for _, s := range d.steps {
		what, err := e.verifyStep(ctx, s)
		if err != nil {
			return nil, err
		}
		if what != "" && !s.aside {
			list = append(list, reconcile.Difference{Site: e.Site, UID: s.uid, Path: s.path, What: what})
		}
	}
	for i := range list {
		list[i].Hop = reconcile.Source
	}
	return list, nil
}

// verifyStep tells what of a step is a difference: another fingerprint need not be
// another state.
func (e *Exporter) verifyStep(ctx context.Context, s *step) (what string, err error) {
	k, known := e.old(s.uid)
	switch {
	case s.resigned:
		return "", nil
	case s.removed:
		return reconcile.Extra, nil
	case !known:
		return reconcile.Missing, nil
	case k.unsigned && e.Rule != nil:
		return reconcile.Different, nil
	case !e.stands(s.uid, s.place):
		return reconcile.Different, nil
	}
	digest, err := reconcile.Digest(ctx, e.Source, s.item)
	switch f := fault.Of(err); {
	case err == nil && digest == k.read:
		return "", nil
	case err != nil && f.WholeSite:
		return "", err
	}
	return reconcile.Different, nil
}

func (e *Exporter) stands(uid string, p tree.Place) bool {
	at, ok := e.placeOf(uid)
	return ok && at == p
}
