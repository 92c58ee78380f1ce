package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/subject"
)

// Repair is the order to compare and to apply again what differs on the site; an empty
// order only has the logs and the ledger mended.
const Repair = "repair"

// Listen calls do for each order that a running service is given, until stop is called.
// Without a connection that listens there are no orders, and no error: the service
// compares by itself now and then.
func Listen(nc *nats.Conn, role, name string, do func(order string)) (stop func()) {
	sub, err := nc.Subscribe(subject.Reconcile(role, name), func(m *nats.Msg) {
		do(string(m.Data))
		_ = m.Respond(nil) // who asked may be gone; that is its business
	})
	if err != nil {
		return func() {}
	}
	return func() { _ = sub.Unsubscribe() }
}

// Order has a running service compare its hop now. It is false when none runs.
func Order(ctx context.Context, nc *nats.Conn, role, name, order string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := nc.RequestWithContext(ctx, subject.Reconcile(role, name), []byte(order))
	if errors.Is(err, nats.ErrNoResponders) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask %s %s to compare: %w", role, name, err)
	}
	return true, nil
}
