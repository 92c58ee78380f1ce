package relay

import (
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
)

func TestWhatReceiversHaveMadeIsNotSentBack(t *testing.T) {
	live := stored{version: 3}
	for name, c := range map[string]struct {
		to     []string
		head   envelope.Head
		old    stored
		stops  bool
		circle []string
	}{
		"an edit of the source's own":                     {to: []string{"a"}, head: envelope.Head{Kind: content.Modified}},
		"an edit of the only receiver":                    {to: []string{"a"}, head: envelope.Head{Kind: content.Modified, Origin: "a"}, stops: true},
		"an edit of the only receiver, which the log has": {to: []string{"a"}, head: envelope.Head{Kind: content.Modified, Origin: "a"}, old: live, stops: true},
		"an edit of one of two receivers":                 {to: []string{"a", "c"}, head: envelope.Head{Kind: content.Modified, Origin: "a"}},
		"a removal by the receiver of what the log has":   {to: []string{"a"}, head: envelope.Head{Kind: content.Removed, Origin: "a"}, old: live},
		"a removal by the receiver of what it never got":  {to: []string{"a"}, head: envelope.Head{Kind: content.Removed, Origin: "a"}, stops: true},
		"what left another channel of the circle":         {to: []string{"a"}, circle: []string{"a", "b"}, head: envelope.Head{Kind: content.Removed, Origin: "c", Withdrawn: true}, old: live, stops: true},
		"what left a channel before, for a site outside":  {to: []string{"d"}, circle: []string{"a", "b"}, head: envelope.Head{Kind: content.Removed, Origin: "c", Withdrawn: true}, old: live},
		"what left a channel before, where is no circle":  {to: []string{"d"}, head: envelope.Head{Kind: content.Removed, Origin: "c", Withdrawn: true}, old: live},
	} {
		r := &Relay{to: c.to, circle: c.circle}
		if got := r.stopsHere(c.head, c.old); got != c.stops {
			t.Errorf("%s stops here: %v, want %v", name, got, c.stops)
		}
	}
}
