package plone

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
)

// site is one empty site that a test has for itself.
type site struct {
	world
	gone atomic.Bool
}

// RoundTrip fails while the site is away.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.gone.Load() {
		return nil, errors.New("connection refused, as the test wants it")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (s *site) options(t testing.TB) Options {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	check(t, os.WriteFile(file, []byte(testPassword+"\n"), 0o600))
	return Options{
		URL: s.base, User: testUser, PasswordFile: file, Poll: 100 * time.Millisecond,
		Log: slog.New(slog.DiscardHandler), transport: s,
	}
}

func (s *site) source(t testing.TB) *source {
	t.Helper()
	return must[content.Source](t)(OpenSource(s.options(t))).(*source)
}

func (s *site) target(t testing.TB) *target {
	t.Helper()
	return must[content.Target](t)(OpenTarget(s.options(t))).(*target)
}

// kinds are the kinds of sites that tests run on: the fake for speed and faults, and real
// ones where scripts/plone has brought them up.
func kinds(t *testing.T, test func(t *testing.T, fresh func(t *testing.T) *site)) {
	t.Run("fake", func(t *testing.T) { test(t, newFakeSite) })
	t.Run("real", func(t *testing.T) {
		if os.Getenv("SYNCHRO_PLONE") == "" {
			t.Skip("no real Plone is up: scripts/plone with 2 go test ./shared/driver/plone")
		}
		test(t, newRealSite)
	})
}

// pool has the real sites that no test uses now.
var pool = func() chan string {
	var all []string
	for instance := range strings.FieldsSeq(os.Getenv("SYNCHRO_PLONE")) {
		all = append(all, instance+"/plone-a", instance+"/plone-b")
	}
	free := make(chan string, len(all))
	for _, s := range all {
		free <- s
	}
	return free
}()

func newRealSite(t *testing.T) *site {
	s := &site{world: world{<-pool}}
	t.Cleanup(func() { pool <- s.base })
	check(t, s.empty())
	return s
}

// names are names that Plone can hold.
var names = []string{
	"plain", "with space", "Case", "case", "trailing.", "-rf", "~", "*?[", `back\slash`, "%41", "'\"$(x)", "#", "a+b;c=d,e", strings.Repeat("n", 255),
}

func uidOf(name string) string {
	sum := md5.Sum([]byte(name))
	return hex.EncodeToString(sum[:])
}

func encode(_ string, t contenttest.Thing) (string, []content.Payload) {
	d := describe(t)
	st := state{Type: "Folder", Fields: map[string]any{"title": d["title"], "description": d["description"]}}
	if !t.Container {
		st.Type, st.Files = "File", map[string]fileInfo{"file": {Name: "data.bin", Media: "application/octet-stream", Size: int64(len(t.Data))}}
	}
	b, err := json.Marshal(st)
	if err != nil {
		panic(err) // strings only
	}
	ps := []content.Payload{contenttest.Payload(content.PluginContent, "application/json", nil, b)}
	if !t.Container {
		ps = append(ps, contenttest.Payload(content.PluginFSS, "application/octet-stream", []string{"file", "data.bin"}, []byte(t.Data)))
	}
	return st.Type, ps
}

func TestSourceSuite(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		contenttest.Source(t, func(t *testing.T) contenttest.SourceFixture {
			s := fresh(t)
			return contenttest.SourceFixture{Source: s.source(t), World: s, Gone: s.gone.Store, Names: names, NoEmpty: true}
		})
	})
}

func TestTargetSuite(t *testing.T) {
	kinds(t, func(t *testing.T, fresh func(*testing.T) *site) {
		contenttest.Target(t, func(t *testing.T) contenttest.TargetFixture {
			s := fresh(t)
			target := s.target(t)
			return contenttest.TargetFixture{
				Target: target, World: s, Encode: encode, Gone: s.gone.Store, Names: names, NoEmpty: true, UID: uidOf,
				Effects: func() int64 { return target.effects },
			}
		})
	})
}
