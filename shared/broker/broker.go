// Package broker connects to the broker. It holds what every connection of Synchro
// has in common: that the first attempt fails at once with a reason, that later
// ones go on for ever, and that whatever happens in between is in the log. Which
// broker that is, and what travels through it, is not its business.
package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/fault"
)

// Times of a connection.
const (
	dialTimeout   = 5 * time.Second // for the address, and again for the greeting
	reconnectWait = 250 * time.Millisecond
	jitter        = 250 * time.Millisecond
	jitterTLS     = time.Second
	pingInterval  = 20 * time.Second
)

// Options say which broker, and as whom. Only URL is required.
type Options struct {
	// URL is one or more addresses, separated by commas: nats://host:4222.
	URL string
	// Creds is a NATS credentials file, TokenFile a file that holds a token.
	Creds, TokenFile string
	// CAFile holds the authorities that the broker's certificate is checked with;
	// CertFile and KeyFile are this client's own.
	CAFile, CertFile, KeyFile string
	// Name is shown in the broker's list of connections.
	Name string
	// Log gets what happens to the connection; nothing is logged when it is nil.
	Log *slog.Logger
}

// absent marks the error of a dial that nobody answered.
var errAbsent = errors.New("nobody answers")

// IsAbsent tells whether err, from Dial, means that nobody listens at the address,
// as opposed to somebody who refuses or does not understand.
func IsAbsent(err error) bool { return errors.Is(err, errAbsent) }

// Dial connects to a broker that must be there: it fails at once when it is not,
// and the caller decides. A connection that is lost later comes back by itself,
// however long that takes. Errors are faults: BrokerDown when nobody answers,
// Misconfigured when somebody answers and does not let us in.
func Dial(ctx context.Context, o Options) (*nats.Conn, error) {
	opts, err := o.access()
	if err != nil {
		return nil, err
	}
	d := &dialer{ctx: ctx}
	opts = append(opts, Common(o.Name, o.Log)...)
	opts = append(opts, nats.SetCustomDialer(d))
	nc, err := nats.Connect(o.URL, opts...)
	if err != nil {
		return nil, d.explain(ctx, o.URL, err)
	}
	d.done()
	return nc, nil
}

// access gives the options that hold secrets; their errors name files, never content.
func (o *Options) access() ([]nats.Option, error) {
	var opts []nats.Option
	for what, file := range map[string]string{
		"credentials": o.Creds, "certificate authorities": o.CAFile, "certificate": o.CertFile, "key": o.KeyFile,
	} {
		if err := readable(what, file); err != nil {
			return nil, err
		}
	}
	if o.Creds != "" {
		opts = append(opts, nats.UserCredentials(o.Creds))
	}
	if o.TokenFile != "" {
		token, err := ReadToken(o.TokenFile)
		if err != nil {
			return nil, err
		}
		opts = append(opts, nats.Token(token))
	}
	if o.CAFile != "" {
		opts = append(opts, nats.RootCAs(o.CAFile))
	}
	if o.CertFile != "" || o.KeyFile != "" {
		opts = append(opts, nats.ClientCert(o.CertFile, o.KeyFile))
	}
	return opts, nil
}

func readable(what, file string) error {
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return fault.Errorf(fault.Stop, fault.Misconfigured, "read the broker's %s: %w", what, err)
	}
	return f.Close()
}

// ReadToken reads the token that a file holds, without the white space around it.
func ReadToken(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fault.Errorf(fault.Stop, fault.Misconfigured, "read the broker's token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", fault.Errorf(fault.Stop, fault.Misconfigured, "the broker's token file %s is empty", file)
	}
	return token, nil
}

// explain turns the error of a first connection into one that says what to do.
func (d *dialer) explain(ctx context.Context, url string, err error) error {
	url = withoutSecrets(url)
	refusal, answered := d.outcome()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("connect to the broker at %s: %w", url, ctx.Err())
	case answered && isRefused(err):
		return fault.Errorf(fault.Stop, fault.Misconfigured, "the broker at %s refuses this client: %w; check its token or credentials", url, err)
	case answered && isTLS(err):
		return fault.Errorf(fault.Stop, fault.Misconfigured, "no trusted connection to the broker at %s: %w; check the tls settings of both ends", url, err)
	case answered && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, nats.ErrTimeout)):
		return fault.OfSite(fault.Retry, fault.BrokerDown, fmt.Errorf("the broker at %s broke off: %w; is it about to stop, or no NATS broker?", url, err))
	case answered:
		return fault.Errorf(fault.Stop, fault.Misconfigured, "something answers at %s, but it is not a NATS broker: %w", url, err)
	case errors.Is(refusal, syscall.ECONNREFUSED) || errors.Is(refusal, syscall.ENOENT):
		return fault.OfSite(fault.Retry, fault.BrokerDown, fmt.Errorf("%w at %s: %w", errAbsent, url, root(refusal)))
	case refusal != nil:
		return fault.OfSite(fault.Retry, fault.BrokerDown, fmt.Errorf("the broker at %s cannot be reached: %w", url, refusal))
	}
	return fault.Errorf(fault.Stop, fault.Misconfigured, "connect to the broker at %s: %w", url, err)
}

// root drops the layers that repeat the address.
func root(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}
