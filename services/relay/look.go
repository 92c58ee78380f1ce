package relay

import (
	"context"
	"fmt"
	"time"

	"synchro.example/shared/changelog"
	"synchro.example/shared/status"
	"synchro.example/shared/subject"
)

// lookEvery is how often the channel's log is looked at from outside, which costs one
// request. Reading it whole, which is seldom, finds what that does not show.
const lookEvery = 10 * time.Second

// sighting is what the channel's log was like when it was last looked at.
type sighting struct {
	created time.Time
	last    uint64 // sequence
	at      time.Time
	read    time.Time // when it was read whole
}

func (r *Relay) sight(ctx context.Context) (sighting, error) {
	s, err := r.js.Stream(ctx, subject.ImportStream(r.channel))
	if err != nil {
		return sighting{}, changelog.Classify(fmt.Errorf("look at the log of channel %s: %w", r.channel, err))
	}
	info, now := s.CachedInfo(), time.Now()
	return sighting{created: info.Created, last: info.State.LastSeq, at: now, read: now}, nil
}

// look forgets what the log has when that may not be true any more: it was made anew, it
// has lost its end, or it is time to read it again.
func (r *Relay) look(ctx context.Context) error {
	switch {
	case time.Since(r.seen.read) > r.reconcile, r.reread.Swap(false):
		r.have = nil
		return nil
	case time.Since(r.seen.at) < lookEvery:
		return nil
	}
	now, err := r.sight(ctx)
	if err != nil {
		return err
	}
	now.read = r.seen.read
	if !now.created.Equal(r.seen.created) || now.last < r.seen.last {
		r.log.Warn("the channel's log is another one than before, or has lost its end; it is read again")
		r.have = nil
	}
	r.seen = now
	return nil
}

// isPaused waits for a change of mind when somebody has paused the channel.
func (r *Relay) isPaused(ctx context.Context) bool {
	state, changed := r.control.State()
	p, paused := state.Channel(r.channel)
	if !paused {
		return false
	}
	r.report.Store(&status.Report{State: status.Paused, Reason: p.String(), Done: r.done.Load()})
	select {
	case <-ctx.Done():
	case <-changed:
	}
	return true
}
