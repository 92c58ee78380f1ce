package relay

import (
	"slices"

	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
)

// On a circle of channels a source's log also has what other sites have made, and what was
// removed there. Not all of that goes on.

// stopsHere tells whether the channel does without a state of the source: what all of its
// receivers have made themselves is not sent back to them, but for the removal of what the
// channel has; and what has only left another channel of the circle goes no further.
func (r *Relay) stopsHere(h envelope.Head, old stored) bool {
	switch {
	case r.goesNoFurther(h):
		return true
	case !r.isOfReceivers(h):
		return false
	}
	return h.Kind != content.Removed || !old.in()
}

// isOfReceivers tells whether all receivers have made a state themselves.
func (r *Relay) isOfReceivers(h envelope.Head) bool {
	return h.Origin != "" && !slices.ContainsFunc(r.to, func(site string) bool { return site != h.Origin })
}

func (r *Relay) goesNoFurther(h envelope.Head) bool {
	return h.Withdrawn && len(r.circle) > 0 && !slices.ContainsFunc(r.to, func(site string) bool { return !slices.Contains(r.circle, site) })
}
