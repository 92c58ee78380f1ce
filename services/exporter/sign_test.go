package exporter

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
	"synchro.example/shared/envelope"
	"synchro.example/shared/signature"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

func newKey(t *testing.T) *signature.Key {
	t.Helper()
	k, err := signature.Create(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signing makes an exporter sign, and believe only what was signed with one of some keys.
func signing(k *signature.Key, believed ...*signature.Key) func(*Options) {
	var keys []string
	for _, b := range believed {
		keys = append(keys, b.Public())
	}
	return func(o *Options) { o.Key, o.Rule = k, signature.OfSource("hq", keys) }
}

// wantSigned fails unless everything in the log is signed with a key. It gives the versions by
// uid.
func (w *world) wantSigned(k *signature.Key) map[string]version.Version {
	w.t.Helper()
	versions := map[string]version.Version{}
	rule := signature.OfSource("hq", []string{k.Public()})
	err := changelog.Scan(w.t.Context(), w.js, subject.ExportStream("hq"), changelog.Options{}, func(m jetstream.Msg) error {
		h, err := envelope.ParseHead(m.Headers())
		w.must(err)
		if err := rule.Check(m.Subject(), m.Headers(), m.Data()); err != nil {
			w.t.Errorf("%s %s: %v", h.Name, h.Kind, err)
		}
		versions[h.UID] = h.Version
		return nil
	})
	w.must(err)
	return versions
}

func (w *world) versions() map[string]version.Version {
	w.t.Helper()
	versions := map[string]version.Version{}
	err := changelog.Heads(w.t.Context(), w.js, subject.ExportStream("hq"), func(_ uint64, h envelope.Head) { versions[h.UID] = h.Version },
		func(s string, err error) { w.t.Error(s, err) })
	w.must(err)
	return versions
}

// twoAndAGrave gives the source two objects, and a third one that is gone.
func (w *world) twoAndAGrave(change ...func(*Options)) {
	w.t.Helper()
	w.site.Put("a", contenttest.Leaf("a", 1))
	w.site.Put("b", contenttest.Leaf("b", 1))
	w.site.Put("c", contenttest.Leaf("c", 1))
	w.settle(change...)
	w.site.Remove("c")
	w.wantPublished(1, change...)
}

func TestEachChangeIsSignedAndRemovalsAreToo(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	w.twoAndAGrave(signing(k, k))
	w.wantSigned(k)
	w.wantPublished(0, signing(k, k))
}

func TestWhatWasThereBeforeTheKeyIsSignedAndKeepsItsVersion(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	w.twoAndAGrave()
	before := w.versions()
	w.wantPublished(3, signing(k))
	for uid, v := range w.wantSigned(k) {
		if v != before[uid] {
			t.Errorf("%s has version %v, had %v", uid, v, before[uid])
		}
	}
	w.wantPublished(0, signing(k))
	w.wantPublished(0, signing(k, k))
}

func TestANewKeyTakesThePlaceOfTheOldOneEverywhere(t *testing.T) {
	w, old, k := newWorld(t), newKey(t), newKey(t)
	w.twoAndAGrave(signing(old, old))
	before := w.versions()
	w.wantPublished(3, signing(k, k, old))
	for uid, v := range w.wantSigned(k) {
		if v != before[uid] {
			t.Errorf("%s has version %v, had %v", uid, v, before[uid])
		}
	}
	w.wantPublished(0, signing(k, k))
}

// forge puts a message into the log as somebody would who can write into the broker.
func (w *world) forge(m *nats.Msg) {
	w.t.Helper()
	for name := range m.Header {
		if strings.HasPrefix(name, "Nats-") {
			m.Header.Del(name)
		}
	}
	m.Header.Set(nats.MsgIdHdr, uuid.NewString())
	_, err := w.js.PublishMsg(w.t.Context(), m)
	w.must(err)
}

func TestWhatSomebodyElseHasWrittenIntoTheLogIsPutRight(t *testing.T) {
	w, k := newWorld(t), newKey(t)
	w.twoAndAGrave(signing(k, k))
	far := version.Version(1) << 63
	c := contenttest.Change("nobody", "of nobody", content.TypeFile, nil)
	c.Source, c.Version = "hq", far
	extra, err := envelope.Message(subject.ExportToProcess("hq", "nobody"), c, "x", "")
	w.must(err)
	w.forge(extra)
	for uid := range w.versions() {
		m, err := changelog.Newest(t.Context(), w.js, subject.ExportStream("hq"), subject.ExportToProcess("hq", uid))
		w.must(err)
		if h, err := envelope.ParseHead(m.Header); err == nil && h.Name == "a" { // as it is, but far ahead
			m.Header.Set(subject.HeaderVersion, far.String())
			w.forge(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
		}
	}
	w.wantPublished(2, signing(k, k))
	for uid, v := range w.wantSigned(k) {
		if ahead := time.Until(v.Time()); ahead > time.Minute {
			t.Errorf("%s has version %v, %v ahead", uid, v, ahead)
		}
	}
	if got := w.log(); len(got) != 4 || got[0] != "a modified" || got[3] != "of nobody removed" {
		t.Errorf("the log has %v", got)
	}
	w.wantPublished(0, signing(k, k))
}
