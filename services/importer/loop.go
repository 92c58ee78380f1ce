package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// loop takes in, gives out and records, until soft ends and nothing runs, or, with an
// upstream, until that is closed and nothing is left.
func (s *session) loop(soft, hard context.Context, upstream <-chan struct{}) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for soft.Err() == nil || s.running > 0 {
		if soft.Err() == nil {
			if err := s.dispatch(hard); err != nil {
				return err
			}
		} else {
			s.letGo()
		}
		ended, err := s.turn(soft, hard, upstream, tick.C)
		if ended || err != nil {
			return err
		}
	}
	return nil
}

// turn waits until something happens and takes it in.
func (s *session) turn(soft, hard context.Context, upstream <-chan struct{}, tick <-chan time.Time) (ended bool, err error) {
	select {
	case <-hard.Done():
		return true, nil
	case <-s.endOf(soft):
		return false, nil
	case err := <-s.broken:
		return true, err
	case d := <-s.roomFor():
		return false, s.receive(hard, d)
	case r := <-s.results:
		s.running--
		return false, s.finished(hard, r)
	case f := <-s.kept:
		s.settled(hard, f)
		return false, nil
	case t := <-s.again:
		s.asleep--
		s.due = append(s.due, t)
		return false, nil
	case <-s.paused.wake.C:
		s.paused.probe = true
		return false, nil
	case <-s.news:
		return false, s.hear(hard)
	case h := <-s.own:
		return false, s.learn(hard, h)
	case do := <-s.asked:
		return false, do()
	case <-tick:
		return false, s.lookAround(hard, upstream)
	case <-s.lull(upstream):
		return s.isDone(hard, upstream)
	}
}

// lookAround does what is due now and then.
func (s *session) lookAround(ctx context.Context, upstream <-chan struct{}) error {
	s.say()
	if s.NC.Stats().Reconnects != s.reconnects {
		return errReconnected
	}
	if upstream != nil {
		if err := errors.Join(s.stuck(), s.handedOver(upstream)); err != nil {
			return err
		}
	}
	return errors.Join(s.tryAgain(ctx), s.healRest(ctx), s.placeAgain(ctx))
}

// stuck tells why nobody should wait for the site to be done.
func (s *session) stuck() error {
	if p, paused := s.told.Site(s.Site); paused {
		return fault.OfSite(fault.Retry, fault.Paused, fmt.Errorf("site %s is %v", s.Site, p))
	}
	if s.paused.on && time.Since(s.paused.since) > pauseLimit {
		return fault.OfSite(fault.Retry, fault.TargetDown, fmt.Errorf("site %s has taken nothing for %v: %w", s.Site, pauseLimit, s.paused.reason))
	}
	return nil
}

// letGo begins nothing more, and does not wait for what somebody else has to do, when the
// importer is to stop.
func (s *session) letGo() {
	s.gate.shut.Store(true)
	if w, ok := s.target.(content.Waiter); ok {
		w.Release()
	}
}

// handedOver tells, for who waits until all is done, that the site has everything that it
// can get, and that the rest is up to somebody else.
func (s *session) handedOver(upstream <-chan struct{}) error {
	w, ok := s.target.(content.Waiter)
	if !ok || !isClosed(upstream) {
		return nil
	}
	if n := w.Waiting(); n == 0 || n < min(s.running, s.Workers) || len(s.inbox) > 0 || s.asleep > 0 {
		s.waitsSince = time.Time{}
		return nil
	}
	if s.waitsSince.IsZero() {
		s.waitsSince = time.Now()
	}
	if time.Since(s.waitsSince) < handoverWait {
		return nil
	}
	return fault.OfSite(fault.Retry, fault.Paused, fmt.Errorf("%d changes are handed over to site %s, which has not taken them yet", s.running, s.Site))
}

// lull comes a while after nothing is here any more, for who waits until all is done.
func (s *session) lull(upstream <-chan struct{}) <-chan time.Time {
	if upstream == nil || !s.idle() {
		return nil
	}
	return time.After(askEvery)
}

// isDone tells whether everything is done.
func (s *session) isDone(ctx context.Context, upstream <-chan struct{}) (bool, error) {
	if !isClosed(upstream) {
		return false, nil
	}
	left, err := s.left(ctx)
	return !left, err
}

// endOf is soft's end as long as something runs: the loop must not spin on it.
func (s *session) endOf(soft context.Context) <-chan struct{} {
	if soft.Err() != nil {
		return nil
	}
	return soft.Done()
}

// roomFor is the inbox while there is room.
func (s *session) roomFor() <-chan delivery {
	if s.tasks.Open() >= s.Window {
		return nil
	}
	return s.inbox
}

// idle tells whether nothing is here.
func (s *session) idle() bool {
	return s.tasks.Open() == 0 && len(s.inbox) == 0 && s.running == 0 && len(s.lacking.ready) == 0 && len(s.doubtful) == 0
}

// left asks the broker whether anything is on its way to the site.
func (s *session) left(ctx context.Context) (bool, error) {
	if err := errors.Join(s.records.Flush(ctx), s.failures.Flush(ctx)); err != nil {
		return true, err
	}
	if err := s.NC.FlushTimeout(flushWait); err != nil {
		return true, changelog.Classify(err)
	}
	for _, c := range s.consumers {
		info, err := c.Info(ctx)
		if err != nil {
			return true, changelog.Classify(err)
		}
		if info.NumPending > 0 || info.NumAckPending > 0 {
			return true, nil
		}
	}
	return !s.idle() || !s.compared, nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
