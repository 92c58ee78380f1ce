package plone

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strings"

	"synchro.example/shared/fault"
)

// transitions lead from one state to another in the workflows that Plone comes with:
// the first one that the site offers is taken, and then the next step is looked up.
var transitions = map[string][]string{
	"private published":             {"publish", "publish_externally", "show_internally"},
	"private pending":               {"submit"},
	"pending published":             {"publish"},
	"pending private":               {"retract", "reject"},
	"published private":             {"retract", "reject"},
	"published pending":             {"retract", "reject"},
	"private internal":              {"show_internally"},
	"internal private":              {"hide"},
	"internal pending":              {"submit"},
	"pending internal":              {"retract", "reject"},
	"internal internally_published": {"publish_internally"},
	"pending internally_published":  {"publish_internally"},
	"internally_published internal": {"retract", "reject"},
	"internal external":             {"publish_externally"},
	"pending external":              {"publish_externally"},
	"external internal":             {"retract", "reject"},
	"internally_published private":  {"retract", "reject"},
	"internally_published pending":  {"retract", "reject"},
	"internally_published external": {"publish_externally", "retract"},
	"external private":              {"retract", "reject"},
	"external pending":              {"retract", "reject"},
	"external internally_published": {"retract", "reject"},
	"private internally_published":  {"show_internally"},
	"private external":              {"show_internally"},
	"pending draft":                 {"retract", "reject"},
	"draft published":               {"publish"},
	"published draft":               {"retract", "reject"},
	"draft pending":                 {"submit"},
	"visible published":             {"publish"},
	"visible private":               {"hide"},
	"private visible":               {"show"},
	"published visible":             {"retract", "reject"},
	"visible pending":               {"submit"},
	"pending visible":               {"retract", "reject"},
}

// maxTransitions bounds the way from one state to another.
const maxTransitions = 4

// transit brings the object into its state. Every transition makes the object effective
// if it was not; that is put back to what the source has.
func (w *work) transit(ctx context.Context, doc document) (bool, error) {
	at := doc.str(stateField)
	if w.want.ReviewState == "" || at == w.want.ReviewState || !w.wants(stateField) {
		return false, nil
	}
	if at == "" {
		return false, fault.Errorf(fault.Park, fault.Refused, "/%s: a %s has no workflow on this site, and cannot be %q; add review_state to omit if that is meant", w.to, w.want.Type, w.want.ReviewState)
	}
	for range maxTransitions {
		next, err := w.step(ctx, at)
		if err != nil {
			return false, err
		}
		if at = next; at == w.want.ReviewState {
			return true, w.keepEffective(ctx)
		}
	}
	return false, w.noWay(at, nil)
}

func (w *work) noWay(at string, offered []string) error {
	return fault.Errorf(fault.Park, fault.Refused, "/%s: no known transition leads from %q to %q; the site offers: %s. Name one under workflow",
		w.to, at, w.want.ReviewState, strings.Join(offered, ", "))
}

// step makes one transition and gives the state after it.
func (w *work) step(ctx context.Context, at string) (string, error) {
	offered, err := w.offered(ctx, w.to)
	if err != nil {
		return "", err
	}
	if name := w.opts.transition(at+" "+w.want.ReviewState, offered); name != "" {
		return w.fire(ctx, name)
	}
	return "", w.noWay(at, offered)
}

// offered gives the transitions that the site offers to the account for an object.
func (c *client) offered(ctx context.Context, at string) ([]string, error) {
	var flow struct {
		Transitions []struct {
			ID string `json:"@id"`
		} `json:"transitions"`
	}
	if _, err := c.get(ctx, at, "@workflow", nil, &flow); err != nil {
		return nil, err
	}
	var offered []string
	for _, t := range flow.Transitions {
		offered = append(offered, path.Base(t.ID))
	}
	return offered, nil
}

// transition gives the first one for a pair of states that is offered, or nothing.
func (o Options) transition(pair string, offered []string) string {
	for _, name := range slices.Concat(o.Workflow[pair], transitions[pair]) {
		if slices.Contains(offered, name) {
			return name
		}
	}
	return ""
}

func (w *work) fire(ctx context.Context, name string) (string, error) {
	w.effects++
	rep, err := w.do(ctx, request{method: http.MethodPost, path: w.to, service: "@workflow/" + escapeSegment(name)})
	if err != nil {
		return "", err
	}
	var done struct {
		State string `json:"review_state"`
	}
	err = unmarshal(rep.body, &done)
	return done.State, err
}

func (w *work) keepEffective(ctx context.Context) error {
	if !isEmpty(w.want.Fields["effective"]) || !w.wants("effective") {
		return nil
	}
	_, err := w.patch(ctx, map[string]any{"effective": nil})
	return err
}
