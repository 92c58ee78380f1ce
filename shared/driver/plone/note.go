package plone

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

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
func (w *work) leave(have *state) {
	if w.op.Note == nil {
		return
	}
	n := noteOf(have)
	for field := range w.kept {
		n[field] = w.base.of(field)
	}
	w.op.Note.State, w.op.Note.Missing = n.String(), w.missing
}
