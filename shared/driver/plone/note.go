package plone

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// note tells how a change left an object: a short digest of each field. A field that
// has another one later was changed by somebody else.
type note map[string]string

// parseNote takes what cannot be read for nothing: then nothing counts as changed.
func parseNote(s string) note {
	n := note{}
	if json.Unmarshal([]byte(s), &n) != nil {
		return note{}
	}
	return n
}

func (n note) String() string {
	b, _ := json.Marshal(n) // a map of strings
	return string(b)
}

// Names in notes, in omit, and in reasons, of what is no field.
const (
	stateField  = "review_state"
	layoutField = "layout"
	orderField  = "order"
)

// What else a note may have. A change that does not say what each field is to be leaves an
// object with more than the change has: whether it is as it was left can be told from the
// note alone, which then also has digests of the bytes.
const (
	remark     = "#"
	ownState   = remark + "own state"
	bytesState = remark + "bytes of "
)

// remember adds what is needed to tell whether the object is as it was left, where the
// change alone does not tell.
func (w *work) remember(n note, sc *schema) {
	own := w.want.partial
	for field, k := range sc.fields {
		_, given := w.want.Fields[field]
		own = own || !given && k != file && k != relation
	}
	if !own {
		return
	}
	n[ownState] = "yes"
	for field := range w.want.Files {
		n[bytesState+field] = hex.EncodeToString(w.want.payloads[field].SHA256[:])
	}
}

// AsLeft tells whether an object has all fields and bytes that a note has.
func (s *source) AsLeft(ctx context.Context, item content.Item, noted string) (bool, error) {
	r, ok := item.Handle.(row)
	n := parseNote(noted)
	if !ok || n[ownState] == "" {
		return false, nil
	}
	doc, err := s.object(ctx, r.path)
	if err != nil {
		return false, err
	}
	st, err := reader{s.client, s.types}.state(ctx, r.path, doc, false)
	if err != nil {
		return false, err
	}
	if doc.uid() != r.UID || !n.tells(noteOf(st)) {
		return false, nil
	}
	for field, digest := range n {
		if name, ok := strings.CutPrefix(field, bytesState); ok {
			if same, err := s.hasBytes(ctx, r.path, name, st.Files[name], digest); err != nil || !same {
				return false, err
			}
		}
	}
	return true, nil
}

// tells whether two notes have the same of all fields.
func (n note) tells(now note) bool {
	for field := range n {
		if !strings.HasPrefix(field, remark) && now.of(field) != n.of(field) {
			return false
		}
	}
	for field := range now {
		if now.of(field) != n.of(field) {
			return false
		}
	}
	return true
}

// hasBytes tells whether a file has the bytes with a digest.
func (c *client) hasBytes(ctx context.Context, path, field string, info fileInfo, digest string) (bool, error) {
	r, err := c.download(ctx, path, field, info)
	if err != nil {
		return false, err
	}
	defer r.Close()
	h := sha256.New()
	_, err = io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)) == digest, err
}

// noteOf digests a state, without the order of what it holds.
func noteOf(st *state) note {
	n := note{stateField: digest(st.ReviewState), layoutField: digest(st.Layout)}
	for field, v := range st.Fields {
		if isEmpty(v) {
			v = nil
		}
		n[field] = digest(v)
	}
	for field, info := range st.Files {
		n[field] = digest(info)
	}
	for field, uids := range st.Relations {
		if len(uids) > 0 {
			n[field] = digest(uids)
		}
	}
	return n
}

func digest(v any) string {
	b, _ := marshal(v) // it came from JSON
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

var nothing = digest(nil)

func (n note) of(field string) string {
	if d, ok := n[field]; ok {
		return d
	}
	return nothing
}

// checkDrift looks for what somebody has changed on the target since the last change,
// and does with it as the configuration says.
func (w *work) checkDrift(now *row, have *state) error {
	if len(w.base) == 0 {
		return nil
	}
	do := w.opts.driftAt(w.to)
	if do == Overwrite || do == Report && w.op.Repair {
		return nil
	}
	var edited []string
	current, want := noteOf(have), noteOf(&w.want.state)
	for _, field := range slices.Sorted(maps.Keys(w.base)) {
		if strings.HasPrefix(field, remark) {
			continue
		}
		if c := current.of(field); c != w.base.of(field) && c != want.of(field) && !slices.Contains(w.opts.Omit, field) {
			edited = append(edited, field)
		}
	}
	if do == Keep {
		for _, field := range edited {
			w.kept[field] = true
		}
		return nil
	}
	if moved := now.path != w.to && now.path != placeOnSite(w.op.From); moved {
		edited = append(edited, "place (it is at /"+now.path+")")
	}
	if len(edited) > 0 {
		return fault.Errorf(fault.Park, fault.LocalEdit, "/%s was changed on this site since the last change: %s", now.path, strings.Join(edited, ", "))
	}
	return nil
}

// driftAt finds the longest rule about a path.
func (o Options) driftAt(p string) Drift {
	do, longest := o.Drift, -1
	for _, rule := range o.DriftRules {
		top := strings.Trim(path.Clean("/"+rule.Path), "/")
		if (top == "" || p == top || strings.HasPrefix(p, top+"/")) && len(top) > longest {
			do, longest = rule.Do, len(top)
		}
	}
	return do
}

// leave puts down how the change left the object.
func (w *work) leave(have *state, sc *schema) {
	if w.op.Note == nil {
		return
	}
	n := noteOf(have)
	w.remember(n, sc)
	for field := range w.kept {
		n[field] = w.base.of(field)
	}
	if len(w.want.Translations) > 0 && w.wants(translationsField) {
		n[translationsNote] = digest(w.want.Translations)
	}
	w.op.Note.State, w.op.Note.Missing = n.String(), w.missing
}
