package importer

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/ledger"
	"synchro.example/shared/reconcile"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// portion is how many changes the loop looks at in one go: it has other work.
const portion = 512

// suspect is a change that the site was given, as far as the broker knows.
type suspect struct {
	channel, uid string
	version      version.Version
}

// reconcile compares, beside the work, what the site has with the channels' logs and with
// the ledger's stream: when it begins and every period from then on. The broker may count
// changes as taken that no ledger has, because the ledger was lost or put back from a copy.
func (s *session) reconcile(ctx context.Context) {
	repair := s.Repair
	for {
		if err := s.compare(ctx, repair); err != nil && ctx.Err() == nil {
			s.log.Warn("the ledger could not be compared with the logs and the site, that is tried again", "error", err)
			s.endWithout(err)
		}
		s.inLoop(ctx, func() error { s.compared = true; return nil })
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.Reconcile):
			repair = s.Repair
		case order := <-s.orders:
			repair = s.Repair || order == reconcile.Repair
		}
	}
}

// endWithout ends a session whose consumer is gone, as the client's own word of that may have
// been lost, or whose ledger is damaged: the next session makes it again.
func (s *session) endWithout(err error) {
	if errors.Is(err, changelog.ErrDamaged) || errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		s.breakOff(fault.OfSite(fault.Retry, fault.BrokerDown, err))
	}
}

func (s *session) compare(ctx context.Context, repair bool) error {
	for _, ch := range s.Channels {
		if err := s.compareChannel(ctx, ch); err != nil {
			return err
		}
	}
	if repair {
		if err := s.clearOut(ctx); err != nil {
			return err
		}
	}
	if err := s.compareLedger(ctx); err != nil {
		return err
	}
	return s.compareSite(ctx, repair)
}

// compareChannel shows the loop what the consumer has behind it.
func (s *session) compareChannel(ctx context.Context, channel string) error {
	c, err := s.JS.Consumer(ctx, subject.ImportStream(channel), subject.SiteConsumer(s.Site))
	if err != nil {
		return changelog.Classify(err)
	}
	passed := c.CachedInfo().AckFloor.Stream
	if passed == 0 {
		return nil
	}
	var list []suspect
	err = changelog.Heads(ctx, s.JS, subject.ImportStream(channel), func(seq uint64, h envelope.Head) {
		if seq > passed {
			return
		}
		if list = append(list, suspect{channel, h.UID, h.Version}); len(list) == portion {
			s.show(ctx, list)
			list = nil
		}
	}, func(string, error) {}) // its own delivery reports it
	s.show(ctx, list)
	return err
}

func (s *session) show(ctx context.Context, list []suspect) {
	s.inLoop(ctx, func() error { return s.catchUp(ctx, list) })
}

// catchUp admits what the site was given and has not.
func (s *session) catchUp(ctx context.Context, list []suspect) error {
	count := 0
	for _, x := range list {
		if x.version <= s.versionOf(x.uid) || s.newest[x.uid] != nil || s.failed[x.uid] != nil && s.failed[x.uid].Version >= x.version {
			continue
		}
		count++
		if err := s.retry(ctx, x.channel, x.uid, func() {}); err != nil {
			return err
		}
	}
	if count > 0 {
		s.log.Warn("the ledger lacks changes that the site was given, they are applied again", "count", count,
			"advice", "what was moved or removed on the source meanwhile may still stand on the site; synchro verify --site "+s.Site+" lists it")
	}
	return nil
}

// compareLedger looks whether the stream has what this process wrote into it.
func (s *session) compareLedger(ctx context.Context) error {
	written := map[string]version.Version{}
	s.inLoop(ctx, func() error {
		for uid, e := range s.actual.All() {
			if !e.Own {
				written[uid] = e.Version
			}
		}
		return nil
	})
	if err := s.records.Flush(ctx); err != nil {
		return err
	}
	err := ledger.LoadWhole(ctx, s.JS, s.Site, func(e *ledger.Entry) {
		if e.Version >= written[e.UID] {
			delete(written, e.UID)
		}
	}, func(string, error) {})
	if err == nil && len(written) > 0 {
		s.log.Warn("the ledger's stream has lost entries, they are written again", "count", len(written))
		s.inLoop(ctx, func() error { return s.refill(ctx, written) })
	}
	return err
}

// refill writes entries again as they are by now.
func (s *session) refill(ctx context.Context, lost map[string]version.Version) error {
	for uid := range lost {
		e, ok := s.actual.Get(uid)
		if !ok || e.Own {
			continue
		}
		m, err := ledger.Message(s.Site, e, s.Tombstones)
		if err != nil {
			return err
		}
		if err := s.records.Enqueue(ctx, m, s.recorded); err != nil {
			return err
		}
	}
	return nil
}

// inLoop does something where the session's state may be touched, and waits for it. Its
// error ends the session.
func (s *session) inLoop(ctx context.Context, do func() error) {
	done := make(chan struct{})
	select {
	case s.asked <- func() error { defer close(done); return do() }:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}
