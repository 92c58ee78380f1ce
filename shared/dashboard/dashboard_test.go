package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/ledger"
	"synchro.example/shared/version"
)

func newHandler(t *testing.T) (http.Handler, *nats.Conn) {
	t.Helper()
	nc := brokertest.Conn(t)
	cfg := &config.Config{Sites: map[string]config.Site{"hq": {}, "paris": {}}, Channels: map[string]config.Channel{"public": {From: "hq", To: []string{"paris"}}}}
	cfg.HTTP.Listen = "pages.example.org:8380"
	return Handler(cfg, nc, brokertest.JetStream(t, nc), slog.New(slog.DiscardHandler)), nc
}

func get(t *testing.T, h http.Handler, host, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestOnlyThisMachinesOwnNamesAreAnswered(t *testing.T) {
	h, _ := newHandler(t)
	for host, want := range map[string]int{
		"127.0.0.1:8380": 200, "[::1]:8380": 200, "localhost": 200, "exporter:8380": 200, "Pages.example.org:8380": 200,
		"evil.example.com": 421, "127.0.0.1.example.com:8380": 421, "": 421,
	} {
		for _, path := range []string{"/", "/status.json", "/errors.json", "/page.js"} {
			if got := get(t, h, host, path).Code; got != want {
				t.Errorf("%s asked for as %q: got %d, want %d", path, host, got, want)
			}
		}
	}
}

func TestTheAnswersAreForPrograms(t *testing.T) {
	h, _ := newHandler(t)
	var o struct{ Sites, Channels, Pauses, Guards []any }
	if err := json.Unmarshal(get(t, h, "localhost", "/status.json").Body.Bytes(), &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Sites) != 2 || len(o.Channels) != 1 || o.Pauses == nil || o.Guards == nil {
		t.Errorf("got %+v", o)
	}
	var f struct {
		Total          *int
		Codes, Entries []any
	}
	if err := json.Unmarshal(get(t, h, "localhost", "/errors.json").Body.Bytes(), &f); err != nil {
		t.Fatal(err)
	}
	if f.Total == nil || f.Codes == nil || f.Entries == nil {
		t.Errorf("got %+v", f)
	}
	if got := get(t, h, "localhost", "/nothing").Code; got != http.StatusNotFound {
		t.Errorf("got %d for what is not there", got)
	}
}

func TestAnAnswerServesAllWhoAskWithinAWhile(t *testing.T) {
	asked := 0
	c := cached[int]{keep: time.Hour, get: func(context.Context) (int, error) {
		asked++
		return asked, errors.ErrUnsupported
	}}
	for range 3 {
		if v, err := c.value(t.Context()); v != 1 || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %d, %v", v, err)
		}
	}
}

func TestWhatLandsIsToldAndSoManyMayWatch(t *testing.T) {
	h, nc := newHandler(t)
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	watch := func() (status int, lines io.Reader) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer.StatusCode, answer.Body
	}
	_, first := watch()
	for range maxViewers - 1 {
		if got, _ := watch(); got != http.StatusOK {
			t.Fatalf("got %d", got)
		}
	}
	if got, _ := watch(); got != http.StatusServiceUnavailable {
		t.Errorf("one viewer too many gets %d", got)
	}
	m, err := ledger.Message("paris", &ledger.Entry{UID: "u", Name: "a page", Kind: content.Modified, Version: version.NewClock(0, nil).Next(), At: time.Now()}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(nc.PublishMsg(&nats.Msg{Subject: m.Subject, Data: []byte("junk")}), nc.PublishMsg(m), nc.Flush()); err != nil {
		t.Fatal(err)
	}
	seen := ""
	for buffer := make([]byte, 4096); !strings.Contains(seen, `"name":"a page"`); {
		n, err := first.Read(buffer)
		if err != nil {
			t.Fatalf("after %q: %v", seen, err)
		}
		seen += string(buffer[:n])
	}
	if !strings.Contains(seen, `"sites":{"paris":1}`) {
		t.Errorf("got %q", seen)
	}
}
