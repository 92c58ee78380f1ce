package plone

import (
	"context"
	"errors"
	"time"
)

// feedPoll is how often a site with the add-on is asked for what was committed: one small
// request, which no thread of the site waits in.
const feedPoll = time.Second

// feed is how far a source has read what its site says was committed. Guarded by the
// source's lock.
type feed struct {
	on     bool
	cursor string
	// marks are the transactions that changed objects last, as far as this process has seen
	// them. The rows of the objects need not show the change.
	marks map[string]string
	stirs bool // something was committed that no listing has looked at yet
}

// mark makes a fingerprint that differs after each change.
func (f *feed) mark(uid string) string {
	if tid := f.marks[uid]; tid != "" {
		return "\x1ffeed " + tid
	}
	return ""
}

// follow reads the feed to its end, where there is one, and tells whether something was
// committed since the last listing. The caller holds the lock.
func (s *source) follow(ctx context.Context) (bool, error) {
	info, err := s.addon.of(ctx)
	if err != nil {
		return false, err
	}
	if info == nil {
		s.feed = feed{}
		return true, nil
	}
	if !s.feed.on {
		// What was committed between this and the listing is read once more.
		s.feed = feed{on: true, cursor: info.Top, marks: map[string]string{}}
		return true, nil
	}
	if err := s.drain(ctx); err != nil {
		return false, err
	}
	stirs := s.feed.stirs
	s.feed.stirs = false
	return stirs, nil
}

func (s *source) drain(ctx context.Context) error {
	for more := true; more; {
		p, err := s.addon.feed(ctx, s.feed.cursor)
		if errors.Is(err, errDistrust) {
			return s.restart(ctx, err)
		}
		if err != nil {
			return err
		}
		for _, c := range p.Changes {
			s.feed.marks[c.UID], s.feed.stirs = c.TID, true
		}
		if len(p.Changes) > 0 {
			s.generation++
		}
		s.feed.cursor, more = p.Until, p.More
	}
	return nil
}

// restart follows the feed from where it ends now, and has all objects be read again.
func (s *source) restart(ctx context.Context, why error) error {
	s.opts.Log.Warn("all objects are read again", "why", why)
	p, err := s.addon.feed(ctx, "")
	if err != nil {
		return err
	}
	for uid := range s.rows {
		s.feed.marks[uid] = "after " + p.Until
	}
	s.generation++
	s.feed.cursor, s.feed.stirs, s.listed = p.Until, true, time.Time{}
	return nil
}

// stirs tells whether it is time to look at the rows: when something was committed, where
// the site says so, else every while.
func (s *source) stirs(ctx context.Context, looked time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	stirred, err := s.follow(ctx)
	if err != nil {
		return false
	}
	s.feed.stirs = s.feed.on && stirred // for the listing
	if s.feed.on {
		return stirred || time.Since(looked) >= relist
	}
	return time.Since(looked) >= s.opts.Poll
}

// exactly puts the exact state of an object beside the one that was read, on a site that
// has the add-on.
func (s *source) exactly(ctx context.Context, uid string, st *state) error {
	info, err := s.addon.of(ctx)
	if info == nil || err != nil {
		return err
	}
	item, err := s.addon.read(ctx, uid)
	if item == nil || err != nil {
		return err
	}
	of, err := st.digest()
	st.Exact = &exactPart{Item: item, Of: of}
	return err
}

func (s *source) marked(uid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.feed.mark(uid)
}
