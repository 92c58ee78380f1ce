package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/changelog"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/ledger"
	"synchro.example/shared/subject"
	"synchro.example/tests/history"
)

// Inside is a connection of the tests' own to the broker, past all proxies.
type Inside struct {
	NC *nats.Conn
	JS jetstream.JetStream
}

// Connect opens a connection that comes back whenever the broker does.
func (f *Fleet) Connect() (*Inside, error) {
	nc, err := nats.Connect("nats://"+f.Broker, nats.Name("tests"), nats.MaxReconnects(-1),
		nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &Inside{NC: nc, JS: js}, nil
}

// Published gives the newest version that the source's log has of each object.
func (in *Inside) Published(ctx context.Context) (map[string]envelope.Head, error) {
	return in.heads(ctx, subject.ExportStream(Source), nil)
}

func (in *Inside) heads(ctx context.Context, stream string, seqs map[string]uint64) (map[string]envelope.Head, error) {
	heads := map[string]envelope.Head{}
	err := changelog.Heads(ctx, in.JS, stream, func(seq uint64, h envelope.Head) {
		heads[h.UID] = h
		if seqs != nil {
			seqs[h.UID] = seq
		}
	}, func(string, error) {})
	return heads, err
}

// Accounts says what became of every object that the channel's log has, at one site. The
// position is read first and the ledger last, so that what is acknowledged by the one
// must be in the other.
func (in *Inside) Accounts(ctx context.Context, site string) ([]history.Account, error) {
	c, err := in.JS.Consumer(ctx, subject.ImportStream(Channel), subject.SiteConsumer(site))
	var passed uint64
	switch {
	case err == nil:
		passed = c.CachedInfo().AckFloor.Stream
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, err
	}
	seqs := map[string]uint64{}
	heads, err := in.heads(ctx, subject.ImportStream(Channel), seqs)
	if err != nil {
		return nil, err
	}
	accounts := map[string]*history.Account{}
	for uid, h := range heads {
		accounts[uid] = &history.Account{UID: uid, Path: h.Name, Log: h.Version.String(), Sent: seqs[uid] <= passed}
	}
	if err := in.settled(ctx, site, accounts); err != nil {
		return nil, err
	}
	var list []history.Account
	for _, a := range accounts {
		if a.Ledger < a.Log && a.Failed < a.Log {
			if err := in.lookAgain(ctx, site, a); err != nil {
				return nil, err
			}
		}
		list = append(list, *a)
	}
	return list, nil
}

// lookAgain reads the entries of one object: one that was replaced while all were read was
// before the reader then, and is behind where it stopped now.
func (in *Inside) lookAgain(ctx context.Context, site string, a *history.Account) error {
	failed, err := changelog.Newest(ctx, in.JS, subject.ErrorStream, subject.ImportError(site, a.UID))
	if err != nil {
		return err
	}
	if failed != nil {
		e, err := deadletter.Parse(failed.Header)
		if err != nil {
			return err
		}
		if e.Closed == nil {
			a.Failed = max(a.Failed, e.Version.String())
		}
	}
	m, err := changelog.Newest(ctx, in.JS, subject.LedgerStream(site), subject.ImportDone(site, a.UID))
	if m == nil || err != nil {
		return err
	}
	var e ledger.Entry
	if err := msgpack.Unmarshal(m.Data, &e); err != nil {
		return fmt.Errorf("the ledger's entry of %s: %w", a.UID, err)
	}
	a.Ledger = max(a.Ledger, e.Version.String())
	return nil
}

// settled fills in what ERROR and the ledger say. A failure that is closed goes over into
// the ledger, so that one is read after the other.
func (in *Inside) settled(ctx context.Context, site string, accounts map[string]*history.Account) error {
	failed, err := deadletter.New(in.JS).OfImport(ctx, site)
	if err != nil {
		return err
	}
	for _, e := range failed {
		if a := accounts[e.UID]; a != nil {
			a.Failed = e.Version.String()
		}
	}
	return ledger.Load(ctx, in.JS, site, func(e *ledger.Entry) {
		if a := accounts[e.UID]; a != nil {
			a.Ledger = max(a.Ledger, e.Version.String())
		}
	}, func(string, error) {})
}

// InFlight counts what importers and relays were given and have not acknowledged, and
// what was offered to them again.
func (in *Inside) InFlight(ctx context.Context, sites []string) (pending, again int) {
	count := func(stream, consumer string) {
		c, err := in.JS.Consumer(ctx, stream, consumer)
		if err != nil {
			return
		}
		pending += c.CachedInfo().NumAckPending
		again += c.CachedInfo().NumRedelivered
	}
	count(subject.ExportStream(Source), subject.RelayConsumer(Channel))
	for _, site := range sites {
		count(subject.ImportStream(Channel), subject.SiteConsumer(site))
	}
	return pending, again
}

// Settled counts the failures that were closed, by how.
func (in *Inside) Settled(ctx context.Context) (map[string]int, error) {
	closed, err := deadletter.New(in.JS).Closed(ctx)
	counts := map[string]int{}
	for _, e := range closed {
		counts[string(e.Closed.As)]++
	}
	return counts, err
}

// Sequence is the last sequence of a stream, zero when it is not there.
func (in *Inside) Sequence(ctx context.Context, stream string) uint64 {
	s, err := in.JS.Stream(ctx, stream)
	if err != nil {
		return 0
	}
	return s.CachedInfo().State.LastSeq
}

// LedgerBehind tells how many objects of the channel's log a site has not settled yet.
func (in *Inside) LedgerBehind(ctx context.Context, site string) (int, error) {
	accounts, err := in.Accounts(ctx, site)
	if err != nil {
		return 0, err
	}
	behind := 0
	for _, a := range accounts {
		if a.Ledger < a.Log && a.Failed < a.Log {
			behind++
		}
	}
	return behind, nil
}

// Close ends the connection.
func (in *Inside) Close() { in.NC.Close() }

// String is for messages.
func (in *Inside) String() string { return fmt.Sprintf("connection to %s", in.NC.ConnectedUrl()) }
