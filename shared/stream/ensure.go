package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/fault"
)

// Bounds of Ensure, for each stream. A cluster that has just started refuses for a
// while to make streams.
const (
	tries   = 5
	tryTime = 10 * time.Second
)

// Ensure makes the streams, or brings those that are there to the wanted settings;
// messages stay. What a configuration leaves open (MaxBytes, Replicas) and what only
// an operator sets (placement, age, compression) is left as it is. A stream of the
// same name that serves something else is refused with a fault of class Stop. Any
// number of processes may do this at the same time.
func Ensure(ctx context.Context, js jetstream.JetStream, wanted ...jetstream.StreamConfig) error {
	for _, c := range wanted {
		if err := ensure(ctx, js, c); err != nil {
			return fmt.Errorf("stream %s: %w", c.Name, err)
		}
	}
	return nil
}

func ensure(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval = 100 * time.Millisecond
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := classify(attempt(ctx, js, want))
		if err != nil && fault.Of(err).Class != fault.Retry {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(retry), backoff.WithMaxTries(tries))
	return err
}

func attempt(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	s, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // made meanwhile, not quite as we would
			s, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return err
	}
	have := s.CachedInfo().Config
	if err := isOther(have, want); err != nil {
		return err
	}
	if merged := merge(have, want); !equal(have, merged) {
		_, err = js.UpdateStream(ctx, merged)
	}
	return err
}

// isOther says in what a stream is not the one that we want, as far as an update
// cannot or must not mend it.
func isOther(have, want jetstream.StreamConfig) error {
	var why []string
	differs := func(what string, have, want any) {
		if have != want {
			why = append(why, fmt.Sprintf("%s %v instead of %v", what, have, want))
		}
	}
	differs("storage", have.Storage, want.Storage)
	differs("retention", have.Retention, want.Retention)
	differs("messages per subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	differs("sealed", have.Sealed, false)
	differs("mirror or sources", have.Mirror != nil || len(have.Sources) > 0, false)
	if !slices.ContainsFunc(want.Subjects, func(s string) bool { return slices.Contains(have.Subjects, s) }) {
		why = append(why, fmt.Sprintf("subjects %v instead of %v", have.Subjects, want.Subjects))
	}
	if len(why) == 0 {
		return nil
	}
	return fault.Errorf(fault.Stop, fault.Misconfigured,
		"there is one of this name that is something else: %s; remove it or use another broker", strings.Join(why, ", "))
}

// merge gives what is there with the settings that are ours.
func merge(have, want jetstream.StreamConfig) jetstream.StreamConfig {
	c := have
	c.Description, c.Subjects = want.Description, want.Subjects
	c.Discard, c.DiscardNewPerSubject = want.Discard, want.DiscardNewPerSubject
	c.MaxMsgSize, c.Duplicates = want.MaxMsgSize, want.Duplicates
	c.AllowDirect = want.AllowDirect
	c.AllowAtomicPublish = want.AllowAtomicPublish
	c.AllowMsgTTL = have.AllowMsgTTL || want.AllowMsgTTL // cannot be taken back
	if want.MaxBytes > 0 {
		c.MaxBytes = want.MaxBytes
	}
	if want.Replicas > 0 {
		c.Replicas = want.Replicas
	}
	return c
}

func equal(a, b jetstream.StreamConfig) bool {
	return a.Description == b.Description && slices.Equal(a.Subjects, b.Subjects) && a.Discard == b.Discard &&
		a.DiscardNewPerSubject == b.DiscardNewPerSubject && a.MaxMsgSize == b.MaxMsgSize && a.Duplicates == b.Duplicates &&
		a.AllowDirect == b.AllowDirect && a.AllowAtomicPublish == b.AllowAtomicPublish && a.AllowMsgTTL == b.AllowMsgTTL &&
		a.MaxBytes == b.MaxBytes && a.Replicas == b.Replicas
}

// classify decides which errors of the broker may pass by themselves.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fault.New(fault.Stop, fault.Misconfigured, fmt.Errorf("%w: the broker must run with JetStream", err))
	case isAPI && api.Code < 500:
		return fault.New(fault.Stop, fault.Misconfigured, err)
	case errors.Is(err, nats.ErrNoResponders):
		err = fmt.Errorf("the broker's JetStream does not answer: %w", err)
	}
	return fault.OfSite(fault.Retry, fault.BrokerDown, err)
}
