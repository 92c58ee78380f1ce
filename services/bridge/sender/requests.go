package sender

import (
	"context"
	"errors"
	"strings"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
)

// requestsAtOnce bounds what is taken of the replay queue between two looks.
const requestsAtOnce = 1000

// requests carries out what somebody has asked of this site.
func (w *work) requests(ctx context.Context) error {
	for {
		batch, err := w.failures.requests.FetchNoWait(requestsAtOnce)
		if err != nil {
			return changelog.Classify(err)
		}
		taken := 0
		for m := range batch.Messages() {
			taken++
			if err := w.request(ctx, m.Data()); err != nil {
				return err // the rest comes again
			}
			_ = m.Ack() // if that is lost it comes again
		}
		if err := batch.Error(); err != nil || taken < requestsAtOnce {
			return changelog.Classify(err)
		}
	}
}

func (w *work) request(ctx context.Context, body []byte) error {
	r, err := deadletter.ParseRequest(body)
	if err != nil {
		w.log.Error("a replay cannot be read and is dropped", "error", err)
		return nil
	}
	name, err := queue.ParseName(r.UID)
	switch isFile := err == nil; {
	case r.Channel != "" && r.Discard:
		return w.discardOnTheWay(ctx, r)
	case r.Channel != "":
		return nil // the relay looks after its own
	case isFile && r.Discard:
		if err := w.giveUp(name); err != nil {
			return err
		}
	case isFile:
		return w.replay(name)
	case !r.Discard:
		return w.upload(ctx, r.UID)
	}
	return w.failures.close(ctx, r.UID, deadletter.Closing{As: deadletter.Discarded, By: r.By, Why: r.Why})
}

func (w *work) discardOnTheWay(ctx context.Context, r deadletter.Request) error {
	e, err := w.failures.store.GiveUp(ctx, w.Site, r)
	if e == nil || err != nil {
		return err
	}
	return w.failures.keep(ctx, e)
}

// upload sends the bytes of an object again, which a receiver did not get, from the file in
// DONE that had them. Where that is not there any more, it says so.
func (w *work) upload(ctx context.Context, uid string) error {
	k, live := w.inv.tree.Get(uid)
	if !live || k.stamp == (stamp{}) {
		return nil // it is gone, or was never more than a name
	}
	done, err := w.queue.List(queue.Export, queue.Done)
	if err != nil {
		return fault.OfSite(fault.Retry, fault.SourceMissing, err)
	}
	for _, name := range done.Names {
		if stampOf(name) != k.stamp {
			continue
		}
		if sent, err := w.sendAgain(ctx, name, k.digest); err != nil {
			return err
		} else if sent {
			w.log.Info("the bytes of an object are sent again", "file", name.String())
			return w.failures.close(ctx, uid, deadletter.Closing{As: deadletter.Applied})
		}
	}
	path, _ := w.inv.tree.Path(uid)
	return w.failures.tell(ctx, uid, path, k.version, fault.Errorf(fault.Park, fault.BlobMissing,
		"a receiver lacks bytes that the broker has lost, and the file that had them is not in EXPORT/DONE any more, where files stay for sites.%s.queue.keep; export the object again", w.Site))
}

// sendAgain stores the bytes of a file, if it is the one with these payloads.
func (w *work) sendAgain(ctx context.Context, name queue.Name, want content.Digest) (sent bool, err error) {
	f, err := w.queue.Open(queue.Export, queue.Done, name.String())
	if err != nil {
		return false, nil //nolint:nilerr // it has been taken away meanwhile
	}
	change, err := zs.Decode(f, zs.Options{})
	if err := errors.Join(err, f.Close()); err != nil {
		return false, nil //nolint:nilerr // somebody has changed it
	}
	defer func() { err = errors.Join(err, change.Close()) }()
	c := &claimed{file: name.String(), name: name, path: strings.Join(change.Path, "/")}
	payloads, _, err := w.payloads(ctx, c, change)
	if fault.Of(err).Class == fault.Park || content.DigestOf(payloads) != want {
		return false, nil //nolint:nilerr // it is another, or not taken any more
	}
	if err != nil {
		return false, err
	}
	for _, r := range c.puts {
		if err := w.blobs.Confirm(ctx, r); err != nil {
			return false, err
		}
	}
	return true, nil
}
