//go:build unix

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/changelog"
	"synchro.example/shared/envelope"
	"synchro.example/shared/subject"
)

// key makes a key with the program and gives its public half.
func (w *world) key(file string) string {
	w.t.Helper()
	public := strings.TrimSpace(w.succeeds("keys", "new", w.path(file)).stdout)
	info, err := os.Stat(w.path(file))
	must(w.t, err)
	if info.Mode().Perm() != 0o600 || !strings.HasPrefix(public, "U") {
		w.t.Errorf("%s has mode %v, and the key is %q", file, info.Mode(), public)
	}
	return public
}

// stored reads a log: its messages by the name of their object.
func (w *world) stored(js jetstream.JetStream, stream string) map[string]*nats.Msg {
	w.t.Helper()
	all := map[string]*nats.Msg{}
	must(w.t, changelog.Scan(w.t.Context(), js, stream, changelog.Options{}, func(m jetstream.Msg) error {
		h, err := envelope.ParseHead(m.Headers())
		all[h.Name] = &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()}
		return err
	}))
	return all
}

// forge stores a message as somebody does who can write into the broker, in the place of
// another one.
func (w *world) forge(js jetstream.JetStream, subj string, of *nats.Msg, change func(m *nats.Msg)) {
	w.t.Helper()
	m := nats.NewMsg(subj)
	m.Data = slices.Clone(of.Data)
	for name, values := range of.Header {
		if strings.HasPrefix(name, subject.HeaderPrefix) {
			m.Header[name] = slices.Clone(values)
		}
	}
	m.Header.Set(nats.MsgIdHdr, uuid.NewString())
	change(m)
	_, err := js.PublishMsg(w.t.Context(), m)
	must(w.t, err)
}

// codes lists "site channel path code" of what is in ERROR.
func (w *world) codes() []string {
	var list []string
	for _, f := range w.failures() {
		list = append(list, fmt.Sprintf("%s %s %s %s", f.Site, f.Channel, f.Path, f.Code))
	}
	slices.Sort(list)
	return list
}

func TestWhoCanWriteIntoTheBrokerCannotPassForTheSource(t *testing.T) {
	w := newWorld(t, "paris", "lyon")
	hq, relay := w.key("hq.nk"), w.key("relay.nk")
	w.refuses(2, []string{"keys", "new", w.path("hq.nk")}, "is there already")
	w.configure("max_removals: 100%}\n  paris", fmt.Sprintf("max_removals: 100%%, sign: ./hq.nk, signed_by: [%s]}\n  paris", hq),
		"to: [paris, lyon]}", fmt.Sprintf("to: [paris]}\n  open: {from: hq, to: [lyon], sign: ./relay.nk, signed_by: [%s], expression: \"python: object.getId() != 'secret.html'\"}", relay))
	w.small()
	w.write("hq/secret.html", "<p>not for everybody</p>\n")
	w.start(synchro, "up")
	w.becomesEqual("paris")
	w.has("lyon", "index.html", "news", "news/first.html", "news/second.html")

	nc, end := w.connect()
	defer end()
	js, err := jetstream.New(nc)
	must(t, err)
	log, public, open := w.stored(js, subject.ExportStream("hq")), w.stored(js, subject.ImportStream("public")), w.stored(js, subject.ImportStream("open"))
	w.forge(js, log["second.html"].Subject, log["second.html"], func(m *nats.Msg) { m.Header.Set(subject.HeaderKind, "removed") })
	w.forge(js, public["index.html"].Subject, public["index.html"], func(m *nats.Msg) { m.Data[len(m.Data)-2] ^= 1 })
	w.forge(js, open["first.html"].Subject, open["first.html"], func(m *nats.Msg) { m.Header.Del(subject.HeaderSignature) })
	hidden := strings.Replace(public["secret.html"].Subject, ".public.", ".open.", 1)
	w.forge(js, hidden, public["secret.html"], func(*nats.Msg) {})
	want := []string{
		"hq open second.html untrusted", "hq public second.html untrusted", "lyon open news/first.html untrusted",
		"lyon open secret.html untrusted", "paris public index.html untrusted",
	}
	seen := map[string]bool{}
	w.eventually("all of it is told", func() string { // a service that begins anew puts right what it finds
		for _, code := range w.codes() {
			seen[code] = true
		}
		if got := sortedKeys(seen); !slices.Equal(got, want) {
			return fmt.Sprintf("told are %q", got)
		}
		return ""
	})
	w.equal("paris")
	w.has("lyon", "index.html", "news", "news/first.html", "news/second.html")
	if got := *w.status()["paris"].Errors; got != 1 { // its headers are right, so that nobody mends it unasked
		t.Errorf("status shows %d errors of paris", got)
	}

	// What is right is sent again, but for five seconds in which the broker would take it for
	// what it has had.
	w.eventually("everything is put right", func() string {
		w.synchro("reconcile", "--repair")
		return strings.Join(w.codes(), ", ")
	})
	w.becomesEqual("paris")
	w.has("lyon", "index.html", "news", "news/first.html", "news/second.html")
}

func TestAKeyIsChangedWhileEverythingGoesOn(t *testing.T) {
	w := newWorld(t, "paris")
	w.small()
	w.once()
	old, k := w.key("old.nk"), w.key("new.nk")
	const before = "max_removals: 100%}\n  paris"
	signed := func(file string, keys ...string) string {
		return fmt.Sprintf("max_removals: 100%%, sign: ./%s, signed_by: [%s]}\n  paris", file, strings.Join(keys, ", "))
	}
	w.configure(before, strings.Replace(before, "}", ", sign: ./old.nk}", 1))
	w.once()
	w.configure(strings.Replace(before, "}", ", sign: ./old.nk}", 1), signed("old.nk", old))
	w.write("hq/index.html", "<h1>signed</h1>\n")
	w.once()
	w.equal("paris")
	effects := strings.Count(w.read("paris.writes"), "\n")

	w.configure(signed("old.nk", old), signed("new.nk", old, k))
	w.once()
	w.configure(signed("new.nk", old, k), signed("new.nk", k))
	w.once()
	if got := strings.Count(w.read("paris.writes"), "\n"); got != effects {
		t.Errorf("a change of keys wrote %d times to the receiver", got-effects)
	}
	w.write("hq/index.html", "<h1>by the new key</h1>\n")
	must(t, os.Remove(w.path("hq/news/first.html")))
	w.once()
	w.equal("paris")
	if got := w.codes(); len(got) > 0 {
		t.Errorf("failed: %q", got)
	}

	w.configure("sign: ./new.nk", "sign: ./old.nk")
	w.refuses(2, upOnce, "signed_by lacks "+old)
	w.configure("sign: ./old.nk, ", "")
	w.refuses(2, upOnce, "this process has no key")
	must(t, os.Chmod(w.path("new.nk"), 0o644))
	w.configure("signed_by:", "sign: ./new.nk, signed_by:")
	w.refuses(2, upOnce, "chmod 600")
}
