package faultnet

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// echo gives the address of a server that answers with what it is told.
func echo(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T) (*Proxy, net.Conn) {
	t.Helper()
	p, err := Listen(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	c, err := connect(t, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	say(t, c, "hello")
	return p, c
}

func connect(t *testing.T, p *Proxy) (net.Conn, error) {
	t.Helper()
	var d net.Dialer
	return d.DialContext(t.Context(), "tcp", p.Addr())
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c, back); err != nil || string(back) != text {
		t.Fatalf("got %q, %v back for %q", back, err, text)
	}
}

func TestBytesPassUntilTheOneThatIsCut(t *testing.T) {
	p, c := dial(t)
	p.CutAfter(Down, 7)
	if _, err := c.Write(bytes.Repeat([]byte("x"), 100)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	got, err := io.ReadAll(c)
	if len(got) > 7 || err == nil && len(got) != 7 {
		t.Errorf("%d bytes passed, %v; want 7 at most and the end", len(got), err)
	}
	if p.Cuts() == 0 {
		t.Error("the cut was not counted")
	}
}

func TestBlockedLineSwallowsNothing(t *testing.T) {
	p, c := dial(t)
	p.Block(Down, true)
	if _, err := io.WriteString(c, "later"); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	back := make([]byte, 5)
	if n, err := c.Read(back); err == nil {
		t.Fatalf("%d bytes came through a line that is blocked", n)
	}
	p.Heal()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(c, back); err != nil || string(back) != "later" {
		t.Errorf("got %q, %v after it was healed", back, err)
	}
}

func TestPartitionEndsConnectionsAndRefusesNewOnes(t *testing.T) {
	p, c := dial(t)
	p.Partition(true)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection lives on")
	}
	if again, err := connect(t, p); err == nil {
		_ = again.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := again.Read(make([]byte, 1)); err == nil {
			t.Error("a new connection is served")
		}
		_ = again.Close()
	}
	p.Heal()
	again, err := connect(t, p)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	say(t, again, "healed")
}

func TestDelayHoldsBack(t *testing.T) {
	p, c := dial(t)
	p.Delay(Up, 60*time.Millisecond)
	start := time.Now()
	say(t, c, "slowly")
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}
