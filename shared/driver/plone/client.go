package plone

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"synchro.example/shared/fault"
)

// maxReply is the longest reply that is read into memory. A listing page of 1,000 rows
// has less than one MiB.
const maxReply = 256 << 20

// slowest is how many bytes a second are sent at least, or the request is given up.
const slowest = 64 << 10

// client speaks to one site. Safe for concurrent use.
type client struct {
	opts Options
	base *url.URL
	http *http.Client
	down fault.Code // what a site that does not answer is to the caller

	mu     sync.Mutex
	secret string   // the Authorization header
	site   *url.URL // how the site calls itself, nil until it was asked

	known func(ctx context.Context, id string) error // whether the site is the one that is meant; may be nil
}

// request is one question to the site.
type request struct {
	method  string
	path    string // of the object, below the site's root
	service string
	query   url.Values
	body    any // goes as JSON; nil for none
	header  http.Header
	raw     io.Reader // goes as it is
	size    int64     // of raw
}

// reply is an answer that says that all went well.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func newClient(o Options, down fault.Code) (*client, error) {
	base, err := parseBase(o.URL, o.Insecure)
	if err != nil {
		return nil, fault.New(fault.Stop, fault.Misconfigured, fmt.Errorf("the site's url %w", err))
	}
	c := &client{opts: o, base: base, down: down, http: &http.Client{
		Transport: o.transport,
		// An address that has moved is another object's now, or nobody's.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if o.transport == nil {
		if c.http.Transport, err = transport(o); err != nil {
			return nil, fault.New(fault.Stop, fault.Misconfigured, err)
		}
	}
	if err := c.readSecret(); err != nil {
		return nil, fault.New(fault.Stop, fault.Misconfigured, err)
	}
	return c, nil
}

func transport(o Options) (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 8
	t.ResponseHeaderTimeout = o.Timeout
	if o.CA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, fmt.Errorf("read the certificates to trust: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", o.CA)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// readSecret takes the password or token from its file, which may have been renewed.
func (c *client) readSecret() error {
	file, bearer := c.opts.TokenFile, true
	if file == "" {
		file, bearer = c.opts.PasswordFile, false
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the password of the Plone account: %w", err)
	}
	secret := "Bearer " + strings.TrimSpace(string(b))
	if !bearer {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(c.opts.User, strings.TrimRight(string(b), "\r\n"))
		secret = r.Header.Get("Authorization")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secret = secret
	return nil
}

// login tells logins apart without saying what they are.
func (c *client) login() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return digest(c.secret)
}

// do asks and reads the whole answer. Everything but a success is an error that
// begins with what was asked; apiError says what the site answered.
func (c *client) do(ctx context.Context, r request) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout+time.Duration(r.size/slowest)*time.Second)
	defer cancel()
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err == nil && len(body) > maxReply {
		err = fmt.Errorf("the answer has more than %d bytes", maxReply)
	}
	if err != nil {
		return nil, c.broken(ctx, r, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, parseError(r, resp, body)
	}
	return &reply{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// send asks and leaves the answer's body to the caller.
func (c *client) send(ctx context.Context, r request) (*http.Response, error) {
	body, header, err := r.encode()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address(c.base, r.path, r.service, r.query), body)
	if err != nil {
		return nil, err
	}
	req.Header = header
	if r.raw != nil {
		req.ContentLength = r.size
	}
	c.mu.Lock()
	req.Header.Set("Authorization", c.secret)
	c.mu.Unlock()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.broken(ctx, r, err)
	}
	return resp, nil
}

func (r request) encode() (io.Reader, http.Header, error) {
	h := http.Header{"Accept": {"application/json"}}
	maps.Copy(h, r.header)
	if r.raw != nil || r.body == nil {
		return r.raw, h, nil
	}
	h.Set("Content-Type", "application/json")
	b, err := marshal(r.body)
	return bytes.NewReader(b), h, err
}

// marshal is json.Marshal without the escapes that are for web pages.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// unmarshal keeps numbers as they are written.
func unmarshal(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	return dec.Decode(v)
}

// broken decides about an exchange that did not come to its end.
func (c *client) broken(ctx context.Context, r request, err error) error {
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	if uerr, ok := errors.AsType[*url.Error](err); ok {
		err = uerr.Err // without the address, which may be long
	}
	return fault.OfSite(fault.Retry, c.down, fmt.Errorf("%s: %w", r, err))
}

func (r request) String() string {
	what := "/" + r.path
	if r.service != "" {
		what = strings.TrimSuffix(what, "/") + "/" + r.service
	}
	return r.method + " " + what
}

// get reads JSON into v.
func (c *client) get(ctx context.Context, path, service string, query url.Values, v any) (http.Header, error) {
	r := request{method: http.MethodGet, path: path, service: service, query: query}
	rep, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := unmarshal(rep.body, v); err != nil {
		return nil, fault.OfSite(fault.Retry, c.down, fmt.Errorf("%s: the answer is no JSON; is this the address of a Plone site? %w", r, err))
	}
	return rep.header, nil
}

// prove asks the site whether it knows the account: a site that does not, answers
// most questions all the same, with what anybody may see.
func (c *client) prove(ctx context.Context) error {
	err := c.renew(ctx)
	if !isStatus(err, http.StatusUnauthorized) {
		return c.classify(ctx, err)
	}
	if err := c.readSecret(); err != nil {
		return fault.OfSite(fault.Retry, fault.Permission, err)
	}
	if err = c.renew(ctx); isStatus(err, http.StatusUnauthorized) {
		return fault.OfSite(fault.Retry, fault.Permission, fmt.Errorf("the site does not take the account or its password: %w", err))
	}
	return c.classify(ctx, err)
}

func (c *client) renew(ctx context.Context) error {
	_, err := c.do(ctx, request{method: http.MethodPost, service: "@login-renew"})
	return err
}

// Identify has the site's UID compared with what is known of it.
func (c *client) Identify(known func(ctx context.Context, id string) error) { c.known = known }

// recognise asks the site who it is. Its address may lead to another one, or to a copy,
// since it was asked last.
func (c *client) recognise(ctx context.Context) error {
	if c.known == nil {
		return nil
	}
	top, err := c.top(ctx)
	if err != nil {
		return err
	}
	return c.known(ctx, top.UID)
}

// sure asks for everything without which an object that is not listed may be there all the
// same: that this is the site, and that it knows the account.
func (c *client) sure(ctx context.Context) error {
	if err := c.recognise(ctx); err != nil {
		return err
	}
	return c.prove(ctx)
}

// top is what the site says of itself.
type top struct {
	ID   string `json:"@id"`
	Type string `json:"@type"`
	UID  string `json:"UID"`

	at time.Time // by the site's clock
}

func (c *client) top(ctx context.Context) (t top, err error) {
	h, err := c.get(ctx, "", "", url.Values{"include_items": {"false"}}, &t)
	if err != nil {
		return t, c.classify(ctx, err)
	}
	t.at = serverTime(h)
	if t.Type != "Plone Site" {
		return t, fault.OfSite(fault.Retry, fault.Misconfigured, fmt.Errorf("%s is the address of a %q and not of a site; correct url", c.base, t.Type))
	}
	return t, nil
}

// root finds out how the site calls itself, once. Behind a proxy that is another
// address than the one that is asked.
func (c *client) root(ctx context.Context) (*url.URL, error) {
	c.mu.Lock()
	site := c.site
	c.mu.Unlock()
	if site != nil {
		return site, nil
	}
	top, err := c.top(ctx)
	if err != nil {
		return nil, err
	}
	if site, err = url.Parse(top.ID); err != nil {
		return nil, fault.OfSite(fault.Retry, fault.Misconfigured, fmt.Errorf("the site at %s calls itself %q", c.base, top.ID))
	}
	site.Path = strings.TrimSuffix(site.Path, "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.site = site
	return site, nil
}

// pathOf gives the path of an address that the site has named.
func (c *client) pathOf(ctx context.Context, address string) (string, error) {
	site, err := c.root(ctx)
	if err != nil {
		return "", err
	}
	path, ok := below(site, address)
	if !ok {
		return "", fault.OfSite(fault.Retry, fault.Misconfigured, fmt.Errorf("the site names %q, which does not lie below %s", address, site))
	}
	return path, nil
}

// serverTime is the site's clock.
func serverTime(h http.Header) time.Time {
	t, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return time.Now()
	}
	return t
}
