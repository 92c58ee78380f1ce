package blob

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

const (
	// trust is how long after the begin of a Put its chunks need no looking after:
	// Grace is longer, also when the clocks of two machines do not run at one speed.
	trust  = 10 * time.Minute
	askers = 8
)

// MissingError names chunks that are not stored any more.
type MissingError struct{ Digests []content.Digest }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%d chunks are not in the broker any more, the first is %x; put the bytes again", len(e.Digests), e.Digests[0])
}

// Confirm makes sure that all chunks of a result are stored, and stay. The caller
// calls it after the envelope that refers to them is: a collector that has not seen
// the envelope has not removed them, or this tells. It costs nothing when the Put was
// begun a short while ago. The error is a fault of class Retry around a MissingError
// then: put the bytes again.
func (s *Store) Confirm(ctx context.Context, r Result) error {
	if time.Since(r.began) < s.trust {
		return nil
	}
	var mu sync.Mutex
	var missing []content.Digest
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(askers)
	for _, d := range r.chunks {
		g.Go(func() error {
			kept, err := s.has(ctx, d)
			if err == nil && !kept {
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

// has is hold, repeated while the broker does not answer.
func (s *Store) has(ctx context.Context, d content.Digest) (kept bool, err error) {
	err = s.persist(ctx, "look for chunk "+name(d), func(ctx context.Context) error {
		kept, _, err = s.hold(ctx, d)
		return err
	})
	return kept, err
}
