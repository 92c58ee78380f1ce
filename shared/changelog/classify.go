package changelog

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/fault"
)

// Codes of a broker that has no room.
const (
	codeAccountFull jetstream.ErrorCode = 10002
	codeServerFull  jetstream.ErrorCode = 10023
	codeStorageFull jetstream.ErrorCode = 10047
	codeStoreFailed jetstream.ErrorCode = 10077
)

// IsFull tells whether the broker refused something because it has no room for it.
func IsFull(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return false
	}
	switch api.ErrorCode {
	case codeAccountFull, codeServerFull, codeStorageFull, codeStoreFailed:
		return true
	}
	return false
}

// Classify gives an error of the broker its class.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if IsFull(err) {
		return fault.OfSite(fault.Retry, fault.BrokerFull, fmt.Errorf("the broker stores nothing more: %w", err))
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, nats.ErrNoServers) || errors.Is(err, jetstream.ErrNoHeartbeat) {
		return fault.OfSite(fault.Retry, fault.BrokerDown, err)
	}
	return err
}
