//go:build unix

package sidecar

import (
	"context"
	"iter"
	"os"
	"sync"

	"synchro.example/shared/content"
	"synchro.example/shared/driver/folder"
	"synchro.example/shared/fault"
)

// target places the files of objects. All files of an object come together or not at all.
type target struct {
	*folder.Target
	path string
	*gather

	one sync.Mutex // what belongs to whom is looked up in the tree
}

// List yields the objects that stand in the tree.
func (t *target) List(ctx context.Context) iter.Seq2[content.Item, error] {
	return t.yield(t.Target.List(ctx))
}

// Apply carries out ops on objects, each as a group of ops on files.
func (t *target) Apply(ctx context.Context, ops []content.Op) []error {
	t.one.Lock()
	defer t.one.Unlock()
	errs := make([]error, len(ops))
	root, err := os.OpenRoot(t.path)
	if err != nil {
		for i := range errs {
			errs[i] = fault.OfSite(fault.Retry, fault.TargetMissing, err)
		}
		return errs
	}
	defer root.Close()
	groups := make([][]content.Op, len(ops))
	plans := make([]*plan, len(ops))
	claims := map[string]string{}
	for i := range ops {
		if isTree(&ops[i]) {
			groups[i] = ops[i : i+1]
			continue
		}
		plans[i] = &plan{root: root, op: &ops[i], prints: map[string]string{}, claims: claims}
		groups[i], errs[i] = plans[i].make(ctx)
		if errs[i] != nil {
			groups[i] = nil
		}
	}
	for i, err := range t.ApplyTogether(ctx, groups) {
		if errs[i] == nil {
			errs[i] = err
		}
		if errs[i] == nil && plans[i] != nil {
			plans[i].applied()
		}
	}
	return errs
}

// isTree tells whether an op is about a file or folder that came as such.
func isTree(op *content.Op) bool {
	typ := op.Change.Object.Type
	return typ == content.TypeFile || typ == content.TypeFolder
}
