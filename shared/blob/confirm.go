package blob

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

const (
	// trust is how long after the begin of a Put its own chunks need no looking
	// after. A collector's grace is longer.
	trust  = 10 * time.Minute
	askers = 8
)

// MissingError names chunks that are not stored any more.
type MissingError struct{ Digests []content.Digest }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%d chunks are not in the broker any more, the first is %x; put the bytes again", len(e.Digests), e.Digests[0])
}

// Confirm makes sure that all chunks of a result are stored. The caller calls it
// after the envelope that refers to them is: from then on the collector spares them,
// but what was there before the Put it may have removed in between. The error is a
// fault of class Retry around a MissingError then: put again, with a known that says
// no for those chunks.
func (s *Store) Confirm(ctx context.Context, r Result) error {
	ask := r.found
	if time.Since(r.began) > trust {
		ask = slices.Concat(r.found, r.written)
	}
	var mu sync.Mutex
	var missing []content.Digest
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(askers)
	for _, d := range ask {
		g.Go(func() error {
			found, err := s.has(ctx, d)
			if err == nil && !found {
				mu.Lock()
				missing = append(missing, d)
				mu.Unlock()
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if len(missing) > 0 {
		return fault.New(fault.Retry, fault.BlobMissing, &MissingError{missing})
	}
	return nil
}
