package plone

import "context"

// The order at the top of a site has no object of its own: a site's root is another one on
// each site. So one of the objects at the top has it, that with the first UID, which is the
// same one on all sites.

// top is the order at the top of a source, guarded by the source's lock.
type topOrder struct {
	root  row    // the site's own row when it was read
	first string // the UID of the object that has the order
	order []string
}

// lookTop reads the order at the top again when the site's own row has changed.
func (s *source) lookTop(ctx context.Context) error {
	var root row
	for _, r := range s.rows {
		if r.path == "" {
			root = r
		}
	}
	if s.rowsAlone || root == s.top.root && root != (row{}) {
		return nil
	}
	rows, err := s.children(ctx, "")
	if err != nil {
		return err
	}
	s.top = topOrder{root: root}
	pick := selection{scope: s.opts.Scope}
	for i := range rows {
		if item, ok := pick.item(&rows[i]); !ok || item.Problem != nil || isStructural(rows[i].Type) {
			continue
		}
		uid := rows[i].UID
		if s.top.order = append(s.top.order, uid); s.top.first == "" || uid < s.top.first {
			s.top.first = uid
		}
	}
	return nil
}

// of gives the order, if it is this object that has it.
func (t *topOrder) of(uid string) []string {
	if uid == t.first && len(t.order) > 1 {
		return t.order
	}
	return nil
}

// mark makes a fingerprint that differs after each change of the order.
func (t *topOrder) mark(uid string) string {
	if order := t.of(uid); order != nil {
		return "\x1ftop " + digest(order)
	}
	return ""
}

// topOf gives the order at the top that belongs to an object, and the mark of it.
func (s *source) topOf(uid string) (order []string, mark string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.top.of(uid), s.top.mark(uid)
}
