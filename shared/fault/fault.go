// Package fault gives errors the one property that decides what happens next:
// whether to try again, to set the item aside, or to stop. It knows no driver
// and no transport; drivers choose the class and the code, services obey them.
package fault

import (
	"errors"
	"fmt"
)

// Class says what a service does about an error.
type Class string

const (
	// Retry marks what may succeed later without anybody's help.
	Retry Class = "retry"
	// Park marks an item that cannot be applied until somebody mends the cause.
	Park Class = "park"
	// Held marks an item that waits for another one and is released by it.
	Held Class = "held"
	// Stop marks a wrong configuration or identity: no item can be right.
	Stop Class = "stop"
)

// Code names the cause. The list is closed, so that codes can be metric labels
// and filters; docs/errors.md has the same list for operators.
type Code string

// The codes, each with what an operator can do about it in Advice.
const (
	Unknown       Code = "unknown"
	Unsettled     Code = "unsettled"
	Vanished      Code = "vanished"
	TargetDown    Code = "target-down"
	TargetMissing Code = "target-missing"
	SourceMissing Code = "source-missing"
	DiskFull      Code = "disk-full"
	Permission    Code = "permission"
	NotEmpty      Code = "not-empty"
	NameTooLong   Code = "name-too-long"
	NameRefused   Code = "name-refused"
	PathTaken     Code = "path-taken"
	ParentMissing Code = "parent-missing"
	Waiting       Code = "waiting"
	Unsupported   Code = "unsupported"
	Invalid       Code = "invalid"
	SchemaUnknown Code = "schema-unknown"
	Untrusted     Code = "untrusted"
	BlobMissing   Code = "blob-missing"
	BlobDamaged   Code = "blob-damaged"
	BrokerDown    Code = "broker-down"
	BrokerFull    Code = "broker-full"
	ReadFailed    Code = "read-failed"
	LeaseLost     Code = "lease-lost"
	BadExpression Code = "bad-expression"
	Guarded       Code = "guarded"
	Paused        Code = "paused"
	Locked        Code = "locked"
	Conflict      Code = "conflict"
	Refused       Code = "refused"
	DuplicateUID  Code = "duplicate-uid"
	LocalEdit     Code = "local-edit"
	NotArrived    Code = "not-arrived"
	OtherSite     Code = "other-site"
	PluginDown    Code = "plugin-down"
	PluginRefused Code = "plugin-refused"
	PluginFailed  Code = "plugin-failed"
	PluginAnswer  Code = "plugin-answer"
	Edited        Code = "edited"
	Misconfigured Code = "misconfigured"
)

var advice = map[Code]string{
	Unknown:       "Read the reason; replay when its cause is gone.",
	Unsettled:     "The object was changing while it was read; it is read again by itself.",
	Vanished:      "The object went away while it was read; the next scan sends its removal.",
	TargetDown:    "Bring the target back; the site goes on by itself.",
	TargetMissing: "Mount or create the receiving folder; the site goes on by itself.",
	SourceMissing: "Bring the source back: mount its folder, start its server; nothing is removed meanwhile.",
	DiskFull:      "Make room on the target's disk; the site goes on by itself.",
	Permission:    "Give the service's account the right to do this, then replay.",
	NotEmpty:      "The folder holds files that did not come through Synchro; move them away, then replay.",
	NameTooLong:   "The target cannot hold a name this long; rename the object on the source.",
	NameRefused:   "The target cannot hold this name; rename the object on the source.",
	PathTaken:     "Something else stands at this path; move it away, then replay.",
	ParentMissing: "The container is not on the target; replay the container first.",
	Waiting:       "It is released by itself when the object that it waits for succeeds.",
	Unsupported:   "This driver cannot hold such an object; leave it out of the channel.",
	Invalid:       "The change is malformed; look at its source, then discard it.",
	SchemaUnknown: "The change was written by a newer version; upgrade this service, then replay.",
	Untrusted:     "Somebody else has written it into the broker, or a key is missing: compare sites.NAME.sign and signed_by, find out who can write there, then replay; `synchro reconcile --repair` sends what is right again.",
	BlobMissing:   "The source has been asked to send the bytes again; the change is tried again by itself.",
	BlobDamaged:   "The source has been asked to send the bytes again; the change is tried again by itself.",
	BrokerDown:    "Bring the broker back; work goes on by itself.",
	BrokerFull:    "Raise the broker's limits or free space; work goes on by itself.",
	ReadFailed:    "The source could not read the object; mend it there, the next scan tries again.",
	Locked:        "Somebody edits the object on the site; it is tried again, replay when the lock is gone.",
	Conflict:      "Others were writing to the site at the same moment; it is tried again by itself, replay when it was set aside.",
	Refused:       "The site does not take a value; the reason names it. Mend it on the source, or the type on the target, then replay.",
	DuplicateUID:  "Two objects of the site have one UID; copy one of them and remove its original.",
	LocalEdit:     "Somebody changed the object on the target; undo that, or set drift to overwrite or keep, then replay. `synchro reconcile --repair` overwrites it.",
	NotArrived:    "The site took the change and has something else now; the reason names the field. Compare the types of both sites.",
	OtherSite:     "See whether the address is right and leads to the site that is meant; if it does, `synchro adopt --site NAME` tells so.",
	PluginDown:    "Start the plugin's program, or take the plugin out of the site's configuration; the site goes on by itself.",
	PluginRefused: "The plugin does not take the change; the reason is its own. Mend what it names, then replay.",
	PluginFailed:  "The plugin failed at this change, or took too long; its own log tells more. It is tried again by itself, replay when it is mended.",
	PluginAnswer:  "The plugin's answer is not what docs/plugins.md asks for; mend the plugin, then replay.",
	Edited:        "Somebody has edited the object here; it is decided when the site's exporter has sent the edit. See that the exporter runs.",
	LeaseLost:     "Another process took over; this one stands by and needs nothing.",
	BadExpression: "Correct the expression or the object, then replay; `synchro expr` shows what an expression gives.",
	Guarded:       "Look at the source; if so much is to be removed, `synchro resume --site NAME` lets it go.",
	Paused:        "`synchro resume` with the same selection lets it go on.",
	Misconfigured: "Correct the configuration and start again.",
}

// Advice tells an operator in a sentence what to do about a code. An unknown
// code gets the advice of Unknown.
func Advice(c Code) string {
	if a, ok := advice[c]; ok {
		return a
	}
	return advice[Unknown]
}

// passing are the codes whose cause may go away without anybody telling Synchro.
var passing = map[Code]bool{
	Unknown: true, TargetDown: true, TargetMissing: true, DiskFull: true, Permission: true, NotEmpty: true,
	PathTaken: true, ParentMissing: true, BlobMissing: true, BlobDamaged: true, ReadFailed: true, SchemaUnknown: true, Untrusted: true,
	Locked: true, Conflict: true, PluginFailed: true, Edited: true,
}

// Passes tells whether an item that failed with a code is worth another try by itself,
// after a while.
func Passes(c Code) bool { return passing[c] }

// Known tells whether there is such a code.
func Known(c Code) bool { return advice[c] != "" }

// Error is an error with a decision.
type Error struct {
	Class Class
	Code  Code
	// WholeSite says that the cause is the site and not this item, so that every
	// other item would fail as well: no attempt is counted against the item.
	WholeSite bool
	Err       error
}

// New wraps err; it panics never and accepts a nil err only by mistake of the caller.
func New(class Class, code Code, err error) *Error {
	return &Error{Class: class, Code: code, Err: err}
}

// Errorf makes a classed error from a format, with %w as in fmt.Errorf.
func Errorf(class Class, code Code, format string, args ...any) *Error {
	return New(class, code, fmt.Errorf(format, args...))
}

// OfSite is New for a cause that affects every item of the site.
func OfSite(class Class, code Code, err error) *Error {
	return &Error{Class: class, Code: code, WholeSite: true, Err: err}
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Of finds the decision in err. An error without one is retried under the code Unknown.
func Of(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return New(Retry, Unknown, err)
}
