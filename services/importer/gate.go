package importer

import (
	"context"
	"errors"
	"sync/atomic"
)

// aheadPer is how many calls for each worker may be under way. The second of them waits at the
// gate with what it has in hand written down already, so that no worker waits for the broker.
const aheadPer = 2

// errShut is what became of a call that waited at the gate when that was shut.
var errShut = errors.New("the target is left alone for now")

// gate lets as many calls at the target as there are workers, and none while it is shut.
type gate struct {
	places chan struct{}
	shut   atomic.Bool
}

func newGate(workers int) *gate { return &gate{places: make(chan struct{}, workers)} }

// enter waits for a place. Who gets an error must not leave.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if g.shut.Load() {
		g.leave()
		return errShut
	}
	return nil
}

func (g *gate) leave() { <-g.places }
