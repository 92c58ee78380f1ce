package plone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"synchro.example/shared/fault"
)

// maxMessage is how much of a site's message is kept.
const maxMessage = 400

// apiError is an answer that is no success. The traceback that Plone sends along to a
// manager is left where it is.
type apiError struct {
	asked    string
	status   int
	kind     string // such as BadRequest; empty when something before Plone answered
	message  string
	location string
	login    string // digest of what the account was proven with
}

func (e *apiError) Error() string {
	what := fmt.Sprintf("%s: status %d", e.asked, e.status)
	if e.kind != "" {
		what += " " + e.kind
	}
	if e.message != "" {
		what += ": " + e.message
	}
	return what
}

// parseError reads both shapes of Plone's errors.
func parseError(r request, resp *http.Response, body []byte) *apiError {
	type shape struct {
		Type    string          `json:"type"`
		Message json.RawMessage `json:"message"`
	}
	var doc struct {
		shape
		Error json.RawMessage `json:"error"`
	}
	e := &apiError{asked: r.String(), status: resp.StatusCode, location: resp.Header.Get("Location")}
	if resp.Request != nil {
		e.login = digest(resp.Request.Header.Get("Authorization"))
	}
	if json.Unmarshal(body, &doc) != nil {
		return e
	}
	var inner shape
	if json.Unmarshal(doc.Error, &inner) == nil && inner.Type != "" {
		doc.shape = inner
	}
	e.kind, e.message = doc.Type, text(doc.Message)
	return e
}

// text is a message that may be a string or something else in JSON.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(raw)
	}
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + " …"
	}
	return s
}

func isStatus(err error, statuses ...int) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && slices.Contains(statuses, e.status)
}

// isAPIError tells whether it was Plone itself that answered with an error.
func isAPIError(err error) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.kind != ""
}

// isAbsent tells whether nothing is at an address: not there, or moved away.
func isAbsent(err error) bool {
	return isStatus(err, http.StatusNotFound, http.StatusGone, http.StatusMovedPermanently, http.StatusFound,
		http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect)
}

// classify decides about an error of an exchange. What has been decided stays.
func (c *client) classify(ctx context.Context, err error) error {
	e, ok := errors.AsType[*apiError](err)
	if _, decided := errors.AsType[*fault.Error](err); !ok || decided {
		return err
	}
	switch {
	case e.status == http.StatusUnauthorized:
		return c.unauthorized(ctx, e, err)
	case e.status == http.StatusLocked, e.status == http.StatusForbidden && strings.HasPrefix(e.message, "Resource is locked"):
		return fault.New(fault.Retry, fault.Locked, err)
	case e.status == http.StatusForbidden:
		return fault.New(fault.Park, fault.Permission, err)
	case strings.Contains(e.message, "No space left on device"):
		return fault.OfSite(fault.Retry, fault.DiskFull, err)
	case e.kind == "ConflictError", e.kind == "ReadConflictError":
		return fault.New(fault.Retry, fault.Conflict, err)
	case e.kind == "" && e.status >= http.StatusInternalServerError, e.status == http.StatusTooManyRequests:
		return fault.OfSite(fault.Retry, c.down, err)
	case e.status == http.StatusBadRequest, e.status == http.StatusRequestEntityTooLarge, e.status == http.StatusUnprocessableEntity:
		return fault.New(fault.Park, fault.Refused, err)
	default:
		return fault.New(fault.Retry, fault.Unknown, err)
	}
}

// unauthorized tells a right that is missing from a login that is lost: both are 401. A
// password that has been renewed since is a reason to ask again.
func (c *client) unauthorized(ctx context.Context, e *apiError, err error) error {
	if !strings.Contains(err.Error(), "@login-renew") {
		if lost := c.prove(ctx); lost != nil {
			return lost
		}
		if e.login != c.login() {
			return fault.OfSite(fault.Retry, fault.Permission, fmt.Errorf("the account's password has just been renewed: %w", err))
		}
	}
	return fault.New(fault.Park, fault.Permission, err)
}
