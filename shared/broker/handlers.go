package broker

import (
	"errors"
	"log/slog"

	"github.com/nats-io/nats.go"
)

// Common gives the options that every connection has, whichever way it is made:
// endless reconnection, and a line in the log for all that happens to it. log may
// be nil.
func Common(name string, log *slog.Logger) []nats.Option {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := handlers{log.With("connection", name)}
	return []nats.Option{
		nats.Name(name),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(jitter, jitterTLS),
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(pingInterval),
		nats.DisconnectErrHandler(h.disconnected),
		nats.ReconnectHandler(h.reconnected),
		nats.ClosedHandler(h.closed),
		nats.LameDuckModeHandler(h.leaving),
		nats.ErrorHandler(h.failed),
	}
}

type handlers struct{ log *slog.Logger }

func (h handlers) disconnected(_ *nats.Conn, err error) {
	if err == nil {
		h.log.Debug("connection to the broker is closed")
		return
	}
	h.log.Warn("connection to the broker is lost, it is tried again until it is back", "error", err)
}

func (h handlers) reconnected(nc *nats.Conn) {
	h.log.Info("connection to the broker is back", "url", nc.ConnectedUrlRedacted())
}

func (h handlers) closed(nc *nats.Conn) {
	if err := nc.LastError(); err != nil {
		h.log.Debug("connection to the broker has ended", "error", err)
	}
}

func (h handlers) leaving(nc *nats.Conn) {
	h.log.Info("the broker is about to stop", "url", nc.ConnectedUrlRedacted())
}

// failed gets what the broker reports outside of any request. A refusal of a
// permission looks like a timeout to the one who asked; here is what it was.
func (h handlers) failed(_ *nats.Conn, sub *nats.Subscription, err error) {
	log := h.log
	if sub != nil {
		log = log.With("subject", sub.Subject)
	}
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		log.Error("the broker refuses a permission, give this account the right or correct its name", "error", err)
	case errors.Is(err, nats.ErrSlowConsumer):
		log.Warn("messages are dropped because they are not taken fast enough", "error", err)
	default:
		log.Error("the broker reports an error", "error", err)
	}
}
