//go:build unix

package folder

import (
	"errors"
	"io/fs"
)

// enterDir opens a folder. One that may not be entered gets the owner's rights
// until the batch ends.
func (b *batch) enterDir(parent *dir, name, path string) (*dir, error) {
	d, err := b.place.tree.child(parent, name)
	if err == nil {
		b.join(d)
	}
	if !errors.Is(err, fs.ErrPermission) {
		return d, err
	}
	st, statErr := parent.at(name)
	if statErr != nil || !st.isDir() {
		return nil, err
	}
	h, holdErr := b.place.keeper.enter(path, func() (stat, error) { return parent.at(name) })
	if holdErr != nil {
		return nil, holdErr
	}
	s := &spot{dir: parent, name: name, path: path, stat: st}
	if chmodErr := b.chmod(s, h.was.perm()|0o700); chmodErr != nil {
		b.place.keeper.abandon(h)
		return nil, err
	}
	b.place.keeper.widened(h)
	if d, err = b.place.tree.child(parent, name); err != nil {
		err = errors.Join(err, b.chmod(s, h.was.perm()))
		b.place.keeper.abandon(h)
		return nil, err
	}
	b.held[path] = heldDir{h, d}
	return d, nil
}

// join keeps a folder open that another batch has given more rights.
func (b *batch) join(d *dir) {
	if h := b.place.keeper.join(d.path); h != nil {
		b.held[d.path] = heldDir{h, d}
	}
}

// hold notes how a folder is before its entries change.
func (b *batch) hold(d *dir) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.held[d.path]; ok {
		return nil
	}
	h, err := b.place.keeper.enter(d.path, func() (stat, error) { return d.at(".") })
	if err == nil {
		b.held[d.path] = heldDir{h, d}
	}
	return err
}

// widen gives folders that are held the owner's rights; false when it may not.
func (b *batch) widen(dirs []*dir) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range dirs {
		h := b.held[d.path]
		if err := b.place.keeper.widen(h.hold, h.dir); err != nil {
			return false
		}
	}
	return true
}

// widenMoved is widen for a folder that moves to another one, which writes to it.
func (b *batch) widenMoved(from *spot) bool {
	d, err := b.dir(from.path)
	if err != nil || b.hold(d) != nil {
		return false
	}
	return b.widen([]*dir{d})
}
