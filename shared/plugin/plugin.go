// Package plugin lets others take part in what happens to a change: at the source, before
// it is published; at a receiver, before the driver applies it or after; and where a
// receiver puts it. A plugin is a Go value in a build of one's own, or any program that
// answers in the broker (docs/plugins.md). What is called, and for what, stands in the
// configuration and nowhere else.
package plugin

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"sync"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Side is what a plugin is asked for.
type Side string

// The sides.
const (
	Export Side = "export" // to change what a source has read
	Import Side = "import" // to change or to hear of what a receiver applies
	Locate Side = "locate" // where a receiver puts an object
)

// Priorities order what happens to one change.
const (
	// DriverPriority is the turn of the built-in plugins. A driver carries out their
	// payloads together, as one act.
	DriverPriority = 100
	// DefaultPriority is that of a plugin that names none.
	DefaultPriority = 50
)

// Plugin is one that is part of the program.
type Plugin struct {
	// ID names it: 1 to 32 of a-z, 0-9 and -.
	ID string
	// Priority says when its turn is, lower ones first; DefaultPriority when 0.
	Priority int
	// Events are what it is asked about, everything when empty.
	Events []content.Kind
	// Export and Import give the payloads that the change is to have instead of those of the
	// call, or more of their own; none for a change that is right as it is. Locate gives a
	// place. Nil stands for a side that it does not have. All may be called at the same
	// time, and twice for the same change.
	Export, Import func(ctx context.Context, c *Call) ([]Part, error)
	Locate         func(ctx context.Context, c *Call) (Place, error)
}

// Call is what a plugin is asked about.
type Call struct {
	Side Side
	// Operation is what happens to the object on this site: Removed also when a rule
	// begins to keep it away.
	Operation content.Kind
	// Site is the one that asks, Channel how the change came to it.
	Site, Channel string
	// Change is the change with the payloads that earlier plugins have left. On export it
	// has no id and no version yet.
	Change *content.Change
	// From and To are the object's paths on the receiving site, empty where it is not.
	From, To string

	files files
}

// Open gives the bytes of a payload of Change, verified while they are read.
func (c *Call) Open(ctx context.Context, p *content.Payload) (io.ReadCloser, error) {
	return c.files.blobs.Open(ctx, p)
}

// Store makes a payload of bytes, which may be many.
func (c *Call) Store(ctx context.Context, r io.Reader) (content.Payload, error) {
	return c.files.store(ctx, r)
}

// Added is the index of a payload that takes no other one's place.
const Added = -1

// Part is one payload that a plugin gives.
type Part struct {
	// Index is that of the payload of the call whose place it takes, which goes on to be
	// the payload of whoever made it. Added, on export, is a payload of the plugin itself.
	Index int
	// Payload has the bytes. Media type and names that are empty stay as they were.
	Payload content.Payload
}

// Place is where an object belongs.
type Place struct {
	Path string // on the receiving site
	Skip bool   // it does not get the object
}

// Refuse is the error of a plugin that does not take a change. The change is set aside
// with the reason.
func Refuse(format string, args ...any) error {
	return fault.Errorf(fault.Park, fault.PluginRefused, format, args...)
}

var (
	goodID = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

	mu         sync.Mutex
	registered = map[string]Plugin{}
)

// Register makes a plugin part of the program. It is called where a site names it.
func Register(p Plugin) error {
	mu.Lock()
	defer mu.Unlock()
	switch _, taken := registered[p.ID]; {
	case !goodID.MatchString(p.ID):
		return misconfigured("the plugin id %q is not 1 to 32 of a-z, 0-9 and -", p.ID)
	case content.IsBuiltIn(p.ID):
		return misconfigured("the plugin %s is built in; give yours another id", p.ID)
	case taken:
		return misconfigured("two plugins have the id %s", p.ID)
	}
	registered[p.ID] = p
	return nil
}

func misconfigured(format string, args ...any) error {
	return fault.New(fault.Stop, fault.Misconfigured, fmt.Errorf(format, args...))
}

func find(id string) (Plugin, bool) {
	mu.Lock()
	defer mu.Unlock()
	p, ok := registered[id]
	return p, ok
}
