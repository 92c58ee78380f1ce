// Package dashboard is a page for a browser that shows how all sites are: what flows where,
// what lands at the moment, what failed and what to do about it. It only shows; nothing can
// be changed through it. Everything comes from the broker, so that any process of a fleet
// can show all of it.
package dashboard

import (
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/config"
	"synchro.example/shared/overview"
)

//go:embed page
var pages embed.FS

const (
	// fresh is how long an answer serves all who ask: the broker is asked that often,
	// however many people look.
	fresh = time.Second
	// freshFailures is the same for failures, of which there may be many.
	freshFailures = 3 * time.Second
	// askLimit bounds how long the broker and the services are asked.
	askLimit = 10 * time.Second
)

// policy lets the page load what lies beside it, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

type dashboard struct {
	cfg      *config.Config
	nc       *nats.Conn
	js       jetstream.JetStream
	log      *slog.Logger
	overview cached[*overview.Overview]
	failures cached[*failures]
	viewers  chan struct{}
}

// Handler serves the page at /, what it shows at /status.json and /errors.json, and what lands
// at the moment at /events. It may be called by any number of clients at the same time.
func Handler(cfg *config.Config, nc *nats.Conn, js jetstream.JetStream, log *slog.Logger) http.Handler {
	d := &dashboard{cfg: cfg, nc: nc, js: js, log: log, viewers: make(chan struct{}, maxViewers)}
	d.overview = cached[*overview.Overview]{keep: fresh, get: func(ctx context.Context) (*overview.Overview, error) {
		return overview.Look(ctx, cfg, nc, js)
	}}
	d.failures = cached[*failures]{keep: freshFailures, get: d.readFailures}

	files, err := fs.Sub(pages, "page")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, r *http.Request) { answer(d, w, r, &d.overview) })
	mux.HandleFunc("GET /errors.json", func(w http.ResponseWriter, r *http.Request) { answer(d, w, r, &d.failures) })
	mux.HandleFunc("GET /events", d.events)
	return d.guarded(mux)
}

// guarded answers only those who ask for this machine by its address, by a name of the
// local network, or as the configuration does. A page of another site, whose name its owner
// points here, must not read what is shown here.
func (d *dashboard) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if !d.isOurs(r.Host) {
			http.Error(w, "This page answers to the address of its machine, or to the name in http.listen, and not to "+
				"other names. A proxy in front of it has to ask for that address.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (d *dashboard) isOurs(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	configured, _, _ := net.SplitHostPort(d.cfg.HTTP.Listen)
	return name != "" && (!strings.Contains(name, ".") || strings.HasSuffix(name, ".localhost") || strings.EqualFold(name, configured))
}

// answer gives what is kept, as JSON.
func answer[T any](d *dashboard, w http.ResponseWriter, r *http.Request, c *cached[T]) {
	v, err := c.value(r.Context())
	if err != nil {
		d.log.Warn("the dashboard cannot be filled", "what", r.URL.Path, "error", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked may be gone; that is its business
}

// cached is an answer that serves all who ask within a while.
type cached[T any] struct {
	keep time.Duration
	get  func(context.Context) (T, error)

	mu   sync.Mutex
	at   time.Time
	last T
	err  error
}

func (c *cached[T]) value(ctx context.Context) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < c.keep {
		return c.last, c.err
	}
	// The answer is for others as well: one that goes away must not end it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askLimit)
	defer cancel()
	c.last, c.err = c.get(ctx)
	c.at = time.Now()
	return c.last, c.err
}
