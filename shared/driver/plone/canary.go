package plone

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// canaryName begins the names of what a check makes and removes again.
const canaryName = "synchro-check-"

// canaryGrace is how long the removal may take after the check was interrupted.
const canaryGrace = 30 * time.Second

const askForManager = "Give the account the role Manager: Plone lets nobody else give an object its UID."

// canary makes a folder with one object of each type in it, looks at them, and removes
// all that.
func (k *checker) canary(ctx context.Context, from []*Facts) {
	uid := randomUID()
	name := canaryName + uid[:8]
	doc, err := k.place(ctx, "", jsonObject{"@type": "Folder", "id": name, "UID": uid, "title": "Synchro looks whether it may write here"})
	switch {
	case refused(err):
		k.Fail("rights", askForManager, "the account may not create an object: %v", err)
		return
	case err != nil:
		k.Error("rights", k.classify(ctx, err))
		return
	}
	defer k.removeCanary(ctx, &row{UID: uid, Type: "Folder", path: name})
	if doc.uid() != uid {
		k.Fail("rights", askForManager, "an object did not get the UID that it was given")
		return
	}
	_, err = k.do(ctx, request{method: http.MethodPatch, path: name, body: jsonObject{"description": "It removes this at once."}})
	if err != nil {
		k.Fail("rights", askForManager, "the account may not change an object: %v", err)
		return
	}
	k.acquisition(ctx, name)
	k.tryTypes(ctx, name, from)
}

type jsonObject = map[string]any

func (k *checker) place(ctx context.Context, container string, body jsonObject) (document, error) {
	rep, err := k.do(ctx, request{method: http.MethodPost, path: container, body: body})
	if err != nil {
		return nil, err
	}
	doc := document{}
	return doc, unmarshal(rep.body, &doc)
}

// removeCanary also runs when the check was interrupted.
func (k *checker) removeCanary(ctx context.Context, r *row) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), canaryGrace)
	defer cancel()
	if err := k.delete(ctx, r); err != nil {
		k.Fail("rights", "Remove /"+r.path+" by hand; the account needs the role Manager.", "what the check had made could not be removed: %v", err)
		return
	}
	k.Good("rights", "an object was created with its UID, changed, read and removed")
}

// acquisition looks whether the site answers with another object where none is.
func (k *checker) acquisition(ctx context.Context, name string) {
	_, err := k.object(ctx, join(name, name))
	if errors.Is(err, errElsewhere) {
		k.Advise("acquisition", "Start Zope with PUBLISHING_EXPLICIT_ACQUISITION=true.", "the site answers with an object from further up where none is")
		return
	}
	k.Good("acquisition", "the site answers only for what is at an address")
}

// tryTypes makes one object of each type that would come, as far as a title is enough for
// one, and looks whether its states can be reached.
func (k *checker) tryTypes(ctx context.Context, container string, from []*Facts) {
	wanted := wantedStates(from)
	before := len(k.Report)
	for _, typ := range sortedFields(wanted) {
		doc, err := k.place(ctx, container, jsonObject{"@type": typ, "id": "one-" + randomUID(), "title": typ})
		switch {
		case err == nil:
			k.workflow(ctx, doc, typ, wanted[typ])
		case isStatus(err, http.StatusForbidden):
			k.Fail("types", "Allow the type to be added in folders, and the account to add it.", "a %s cannot be added: %v", typ, err)
		}
	}
	if len(wanted) > 0 && len(k.Report) == before {
		k.Good("workflow", "a way is known into each state that the source has")
	}
}

func (k *checker) workflow(ctx context.Context, doc document, typ string, states []string) {
	at := doc.str(stateField)
	if slices.Contains(k.opts.Omit, stateField) || len(states) == 0 {
		return
	}
	if at == "" {
		k.Fail("workflow", "Give the type a workflow, or add review_state to omit.", "a %s has no workflow here, and comes as %s", typ, strings.Join(states, ", "))
		return
	}
	path, err := k.pathOf(ctx, doc.str("@id"))
	if err != nil {
		k.Error("workflow", err)
		return
	}
	offered, err := k.offered(ctx, path)
	if err != nil {
		k.Error("workflow", k.classify(ctx, err))
		return
	}
	for _, state := range states {
		if state != at && k.opts.transition(at+" "+state, offered) == "" {
			k.Fail("workflow", "Name a transition under workflow, such as {\""+at+" "+state+"\": ["+strings.Join(offered[:min(1, len(offered))], "")+"]}.",
				"no known transition leads a %s from %q to %q; the site offers: %s", typ, at, state, strings.Join(offered, ", "))
		}
	}
}

func randomUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
