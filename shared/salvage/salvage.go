// Package salvage makes a stream anew whose files are damaged. The broker does not mend them:
// it counts messages that it cannot give, and refuses to store over them, or stores what
// cannot be read afterwards. What can still be read is kept, under the ids and versions that
// it has; the rest comes from the end of the hop before, as it does when a stream is deleted.
package salvage

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"synchro.example/shared/changelog"
)

const (
	// confirmAfter is how long a stream must go on to be damaged before that is believed.
	confirmAfter = 200 * time.Millisecond
	// limit bounds the making of a new stream.
	limit = 10 * time.Minute
	// gap is how many sequences are left out, so that none means two things.
	gap = 1000
	// createWithin bounds how long it is tried: the waits double up to this one.
	createWithin = 10 * time.Second
	// portion is how many messages are stored again in one go.
	portion = 256
)

// Doctor makes streams anew. Any number of processes may do so at the same time.
type Doctor struct {
	JS  jetstream.JetStream
	Log *slog.Logger
}

// Examine makes those streams anew whose numbers show that they are damaged: each keeps one
// message of a subject, so that it has as many subjects as messages. That is one question
// for each; what it does not show is found when the stream is read whole.
func (d *Doctor) Examine(ctx context.Context, streams ...string) error {
	for _, name := range streams {
		created, damaged, err := d.counts(ctx, name)
		if err != nil {
			return err
		}
		if damaged {
			if err := d.renew(ctx, name, created); err != nil {
				return err
			}
		}
	}
	return nil
}

// Reading calls read, which reads a stream and fails with changelog.ErrDamaged when that is
// not whole, and calls it once more when the stream has been made anew.
func (d *Doctor) Reading(ctx context.Context, stream string, read func() error) error {
	created, _, err := d.counts(ctx, stream)
	if err != nil {
		return err
	}
	if err := read(); !errors.Is(err, changelog.ErrDamaged) {
		return err
	}
	if err := d.renew(ctx, stream, created); err != nil {
		return err
	}
	return read()
}

// Check reads streams whole, and makes those anew that are damaged.
func (d *Doctor) Check(ctx context.Context, streams ...string) error {
	for _, name := range streams {
		err := d.Reading(ctx, name, func() error {
			err := changelog.Scan(ctx, d.JS, name, changelog.Options{HeadersOnly: true, Whole: true}, func(jetstream.Msg) error { return nil })
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// counts tells when a stream was made, and whether its numbers contradict one another, now
// and a moment later.
func (d *Doctor) counts(ctx context.Context, name string) (created time.Time, damaged bool, err error) {
	for range 2 {
		s, err := d.JS.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return created, false, nil
		}
		if err != nil {
			return created, false, changelog.Classify(fmt.Errorf("look at stream %s: %w", name, err))
		}
		info := s.CachedInfo()
		if created = info.Created; info.State.Msgs == info.State.NumSubjects {
			return created, false, nil
		}
		select {
		case <-ctx.Done():
			return created, false, ctx.Err()
		case <-time.After(confirmAfter):
		}
	}
	return created, true, nil
}

// renew puts a new stream in the place of a damaged one, unless somebody else has done so.
// What has begun is finished: a lease goes with its stream, and with it the right to go on.
func (d *Doctor) renew(ctx context.Context, name string, created time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	d.Log.Error("the broker cannot read all of a stream's messages, it is made anew; look after the broker's disk", "stream", name)
	f, err := os.CreateTemp("", "synchro-salvage-")
	if err != nil {
		return fmt.Errorf("keep what is left of stream %s: %w", name, err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer func() { _ = f.Close() }()
	count, err := d.save(ctx, name, f)
	if err != nil {
		return err
	}
	if again, err := d.replace(ctx, name, created); err != nil || !again {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read what is left of stream %s: %w", name, err)
	}
	d.Log.Warn("a damaged stream was made anew with what could be read of it", "stream", name, "messages", count)
	return d.refill(ctx, f)
}

// saved is a message that can still be read.
type saved struct {
	Subject string
	Header  nats.Header
	Data    []byte
}

// save copies what can be read into a file. What is in hand or held by a lease is left: it
// belongs to processes that begin anew. So are requests, which nobody can read without taking
// them: whoever asked asks again.
func (d *Doctor) save(ctx context.Context, name string, to io.Writer) (count int, err error) {
	s, err := d.JS.Stream(ctx, name)
	if err != nil {
		return 0, changelog.Classify(fmt.Errorf("look at stream %s: %w", name, err))
	}
	if s.CachedInfo().Config.Retention == jetstream.WorkQueuePolicy {
		return 0, nil
	}
	out := gob.NewEncoder(to)
	err = changelog.Scan(ctx, d.JS, name, changelog.Options{Whole: true}, func(m jetstream.Msg) error {
		count++
		return out.Encode(saved{m.Subject(), m.Headers(), m.Data()})
	})
	if errors.Is(err, changelog.ErrDamaged) {
		err = nil
	}
	return count, err
}

// replace deletes the stream and makes it anew with the same settings. It is false when the
// stream is not the one that was looked at.
func (d *Doctor) replace(ctx context.Context, name string, created time.Time) (bool, error) {
	s, err := d.JS.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	if err != nil {
		return false, changelog.Classify(fmt.Errorf("look at stream %s: %w", name, err))
	}
	info := s.CachedInfo()
	if !info.Created.Equal(created) {
		return false, nil
	}
	config := info.Config
	config.FirstSeq = info.State.LastSeq + gap
	if err := d.JS.DeleteStream(ctx, name); err != nil {
		return false, changelog.Classify(fmt.Errorf("remove the damaged stream %s: %w", name, err))
	}
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		_, err := d.JS.CreateStream(ctx, config)
		if err == nil || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return true, nil
		}
		if wait > createWithin || ctx.Err() != nil {
			return false, changelog.Classify(fmt.Errorf("make stream %s anew: %w", name, err))
		}
		time.Sleep(wait) // the broker may still be removing the files of the old one
	}
}

// refill stores what was kept, but for what somebody else has stored meanwhile.
func (d *Doctor) refill(ctx context.Context, from io.Reader) error {
	for in, more := gob.NewDecoder(from), true; more; {
		var answers []jetstream.PubAckFuture
		for more && len(answers) < portion {
			var m saved
			err := in.Decode(&m)
			if more = !errors.Is(err, io.EOF); !more {
				break
			}
			if err != nil {
				return fmt.Errorf("read what was kept of a stream: %w", err)
			}
			a, err := d.JS.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Header: ifNew(m.Header), Data: m.Data})
			if err != nil {
				return changelog.Classify(err)
			}
			answers = append(answers, a)
		}
		for _, a := range answers {
			if err := outcome(ctx, a); err != nil {
				return changelog.Classify(err)
			}
		}
	}
	return nil
}

func outcome(ctx context.Context, a jetstream.PubAckFuture) error {
	select {
	case <-a.Ok():
		return nil
	case err := <-a.Err():
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			return nil // somebody has stored something newer
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ifNew gives the headers without those that said how the message was to be stored, and has
// it stored only where there is none of its subject.
func ifNew(h nats.Header) nats.Header {
	out := nats.Header{}
	for key, values := range h {
		if !strings.HasPrefix(key, "Nats-Batch-") && !strings.HasPrefix(key, "Nats-Expected-") {
			out[key] = values
		}
	}
	out.Set(nats.MsgIdHdr, nuid.Next())
	out.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	return out
}
