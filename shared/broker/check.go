package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/preflight"
)

// Versions of brokers that matter, and the smallest message that each must take.
const (
	oldest     = "2.11" // with messages that end by themselves
	best       = "2.14" // gives back at once what a process that ended had taken
	minMessage = 1 << 20
)

// checkLimit bounds how long a check takes.
const checkLimit = 10 * time.Second

// Check looks whether a broker has what Synchro needs.
func Check(ctx context.Context, nc *nats.Conn) (r preflight.Report) {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	began := time.Now()
	if err := nc.FlushWithContext(ctx); err != nil {
		r.Fail("broker", "Bring the broker back.", "%v", err)
		return r
	}
	r.Good("broker", "%s answers in %v", nc.ConnectedUrlRedacted(), time.Since(began).Round(time.Microsecond))
	checkVersion(&r, nc.ConnectedServerVersion())
	if most := nc.MaxPayload(); most < minMessage {
		r.Fail("limits", "Set max_payload of the broker to 1MB or more.", "messages may have %d bytes", most)
	} else {
		r.Good("limits", "messages may have %d bytes", most)
	}
	checkStore(ctx, &r, nc)
	return r
}

func checkVersion(r *preflight.Report, version string) {
	switch {
	case older(version, oldest):
		r.Fail("version", "Upgrade the broker.", "NATS %s; Synchro needs %s", version, oldest)
	case older(version, best):
		r.Advise("version", "Upgrade the broker when that is convenient.", "NATS %s; with %s a restarted service goes on at once, and many changes are stored at a time", version, best)
	default:
		r.Good("version", "NATS %s", version)
	}
}

// older compares versions as far as their second number.
func older(version, than string) bool {
	var major, minor, m, n int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return true
	}
	_, _ = fmt.Sscanf(than, "%d.%d", &m, &n) // a constant
	return major < m || major == m && minor < n
}

func checkStore(ctx context.Context, r *preflight.Report, nc *nats.Conn) {
	js, err := jetstream.New(nc)
	if err != nil {
		r.Fail("store", "Turn JetStream on in the broker.", "%v", err)
		return
	}
	account, err := js.AccountInfo(ctx)
	if err != nil {
		r.Fail("store", "Turn JetStream on in the broker, for this account.", "%v", err)
		return
	}
	used, most := account.Store, account.Limits.MaxStore
	switch {
	case most > 0 && used > uint64(most)/10*9:
		r.Advise("store", "Raise the account's limit, or free space.", "%d MiB of %d MiB are used", used>>20, most>>20)
	case most > 0:
		r.Good("store", "%d MiB of %d MiB are used", used>>20, most>>20)
	default:
		r.Good("store", "%d MiB are used, without a limit of the account's own", used>>20)
	}
}
