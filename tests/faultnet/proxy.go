// Package faultnet is a network that fails on command: a TCP proxy that delays, cuts,
// blocks and swallows. What it does it does to connections that pass through it, those
// there are and those that come.
package faultnet

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Direction is a way through the proxy.
type Direction int

// The two ways.
const (
	Up   Direction = iota // from the client to the server
	Down                  // back
)

// Proxy passes connections on to a server.
type Proxy struct {
	to string
	l  net.Listener

	cuts   atomic.Int64 // connections that it ended
	refuse atomic.Bool
	delay  [2]atomic.Int64
	block  [2]atomic.Bool
	budget [2]atomic.Int64 // bytes until the cut; negative: no cut

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	done  context.CancelFunc
	wg    sync.WaitGroup
}

// Listen makes a proxy to an address.
func Listen(to string) (*Proxy, error) {
	ctx, cancel := context.WithCancel(context.Background())
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, err
	}
	p := &Proxy{to: to, l: l, conns: map[net.Conn]struct{}{}, done: cancel}
	p.budget[Up].Store(-1)
	p.budget[Down].Store(-1)
	p.wg.Go(func() { p.accept(ctx) })
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Cuts is how many connections were ended by a fault.
func (p *Proxy) Cuts() int { return int(p.cuts.Load()) }

// Delay holds back what goes one way.
func (p *Proxy) Delay(d Direction, by time.Duration) { p.delay[d].Store(int64(by)) }

// Block lets nothing pass one way, without ending connections: a half-open line.
func (p *Proxy) Block(d Direction, on bool) { p.block[d].Store(on) }

// Partition ends all connections and takes no new ones, until it is healed.
func (p *Proxy) Partition(on bool) {
	p.refuse.Store(on)
	if on {
		p.Reset()
	}
}

// CutAfter ends whichever connection passes the n-th byte one way from now on. The bytes
// up to that one pass.
func (p *Proxy) CutAfter(d Direction, n int64) { p.budget[d].Store(n) }

// Reset ends all connections there are, without a farewell.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		p.abort(c)
	}
}

func (p *Proxy) abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
	p.cuts.Add(1)
}

// Heal takes all faults back.
func (p *Proxy) Heal() {
	p.refuse.Store(false)
	for d := range 2 {
		p.delay[d].Store(0)
		p.block[d].Store(false)
		p.budget[d].Store(-1)
	}
}

// Close ends the proxy and waits.
func (p *Proxy) Close() {
	p.done()
	_ = p.l.Close()
	p.Reset()
	p.wg.Wait()
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		if p.refuse.Load() {
			p.abort(c)
			continue
		}
		p.wg.Go(func() { p.serve(ctx, c) })
	}
}

func (p *Proxy) serve(ctx context.Context, client net.Conn) {
	var dialer net.Dialer
	server, err := dialer.DialContext(ctx, "tcp", p.to)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(ctx, Up, client, server) })
	both.Go(func() { p.pump(ctx, Down, server, client) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, server)
}

// pump passes on one way until either end is gone, and ends both then.
func (p *Proxy) pump(ctx context.Context, d Direction, from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.pass(ctx, d, buf[:n], from, to) {
			return
		}
		if err != nil {
			return
		}
	}
}

// pass writes what may pass. It is false when the line is cut.
func (p *Proxy) pass(ctx context.Context, d Direction, b []byte, from, to net.Conn) bool {
	for p.block[d].Load() {
		if ctx.Err() != nil {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	if by := time.Duration(p.delay[d].Load()); by > 0 {
		select {
		case <-time.After(by):
		case <-ctx.Done():
			return false
		}
	}
	allowed, cut := p.spend(d, len(b))
	if _, err := to.Write(b[:allowed]); err != nil {
		return false
	}
	if cut {
		p.abort(from)
		p.abort(to)
	}
	return !cut
}

// spend takes bytes from the budget of a direction. The connection that uses it up is
// cut, and the budget is none again.
func (p *Proxy) spend(d Direction, n int) (allowed int, cut bool) {
	for {
		left := p.budget[d].Load()
		switch {
		case left < 0:
			return n, false
		case int64(n) < left:
			if p.budget[d].CompareAndSwap(left, left-int64(n)) {
				return n, false
			}
		default:
			if p.budget[d].CompareAndSwap(left, -1) {
				return int(left), true
			}
		}
	}
}
