package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// dialer opens connections, and remembers how far the first ones came: the client
// library does not tell "nobody is there" from other reasons. ctx ends the first
// attempts only.
type dialer struct {
	mu       sync.Mutex
	ctx      context.Context
	answered bool
	refusal  error
	release  []func() bool
}

// Dial has the form that nats.SetCustomDialer wants.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.mu.Lock()
	ctx := d.ctx
	d.mu.Unlock()
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.refusal = err
		return nil, err
	}
	d.answered = true
	if ctx.Done() != nil {
		d.release = append(d.release, context.AfterFunc(ctx, func() { _ = conn.Close() }))
	}
	return conn, nil
}

// done ends the first phase: the connection stands, and ctx has no power over it.
func (d *dialer) done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, stop := range d.release {
		stop()
	}
	d.release = nil
	d.ctx = context.WithoutCancel(d.ctx)
}

func (d *dialer) outcome() (refusal error, answered bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refusal, d.answered
}

func isRefused(err error) bool {
	for _, refused := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
		nats.ErrPermissionViolation, nats.ErrMaxConnectionsExceeded, nats.ErrNkeysNotSupported,
	} {
		if errors.Is(err, refused) {
			return true
		}
	}
	return false
}

func isTLS(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	return verification || authority || hostname || record || alert ||
		errors.Is(err, nats.ErrSecureConnRequired) || errors.Is(err, nats.ErrSecureConnWanted)
}

// withoutSecrets removes user, password and token from a list of addresses.
func withoutSecrets(list string) string {
	parts := strings.Split(list, ",")
	for i, p := range parts {
		u, err := url.Parse(strings.TrimSpace(p))
		switch {
		case err != nil && strings.Contains(p, "@"):
			parts[i] = "(an address that cannot be read)"
		case err == nil && u.User != nil:
			u.User = nil
			parts[i] = u.String()
		}
	}
	return strings.Join(parts, ",")
}
