package signature

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/fault"
	"synchro.example/shared/fuzztest"
	"synchro.example/shared/subject"
)

func newKey(t testing.TB) *Key {
	t.Helper()
	k, err := Create(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// message is a change of an object u of site hq, as its exporter puts it into the log.
func message() *nats.Msg {
	m := nats.NewMsg(subject.ExportToProcess("hq", "u"))
	for name, value := range map[string]string{
		nats.MsgIdHdr: "1", subject.HeaderUID: "u", subject.HeaderKind: "modified", subject.HeaderParent: "",
		subject.HeaderVersion: "019b760000000000", subject.HeaderFingerprint: "abc",
	} {
		m.Header.Set(name, value)
	}
	m.Data = []byte("the envelope")
	return m
}

func signed(t testing.TB, k *Key) *nats.Msg {
	t.Helper()
	m := message()
	if err := k.Sign(m.Subject, m); err != nil {
		t.Fatal(err)
	}
	return m
}

func wantUntrusted(t *testing.T, what string, err error) {
	t.Helper()
	if f := fault.Of(err); err == nil || f.Code != fault.Untrusted || f.Class != fault.Park {
		t.Errorf("%s: got %v, want an error with the code untrusted", what, err)
	}
}

func TestWhatTheSourceHasSignedIsTakenInItsLogAndInThatOfAChannel(t *testing.T) {
	k := newKey(t)
	m := signed(t, k)
	rule := OfSource("hq", []string{newKey(t).Public(), k.Public()})
	if err := rule.Check(m.Subject, m.Header, m.Data); err != nil {
		t.Error(err)
	}
	if err := OfChannel("public", "hq", nil, []string{k.Public()}).Check(subject.ImportToProcess("public", "u"), m.Header, m.Data); err != nil {
		t.Error(err)
	}
}

func TestNothingIsAskedForWhereNobodyNamesKeys(t *testing.T) {
	m := message()
	if err := (*Key)(nil).Sign(m.Subject, m); err != nil || m.Header.Get(subject.HeaderSignature) != "" {
		t.Errorf("no key signs: %v", err)
	}
	if err := OfChannel("public", "hq", nil, nil).Check(m.Subject, m.Header, m.Data); err != nil {
		t.Error(err)
	}
}

func TestAnyFlippedByteIsRefused(t *testing.T) {
	k := newKey(t)
	rule := OfSource("hq", []string{k.Public()})
	good := signed(t, k)
	for i := range good.Data {
		body := bytes.Clone(good.Data)
		body[i] ^= 1
		wantUntrusted(t, "body", rule.Check(good.Subject, good.Header, body))
	}
	for name := range good.Header {
		value := good.Header.Get(name)
		for i := range len(value) {
			h := maps.Clone(good.Header)
			flipped := []byte(value)
			flipped[i] ^= 1
			h[name] = []string{string(flipped)}
			if err := rule.Check(good.Subject, h, good.Data); name != nats.MsgIdHdr {
				wantUntrusted(t, name, err)
			} else if err != nil {
				t.Errorf("the broker's own header %s is signed: %v", name, err)
			}
		}
	}
	for i := range len(good.Subject) {
		flipped := []byte(good.Subject)
		flipped[i] ^= 1
		if strings.HasPrefix(string(flipped), "synchro.EXPORT.TO_PROCESS.") && strings.HasSuffix(string(flipped), ".u") {
			continue // the name of a log: who reads knows which one he reads
		}
		wantUntrusted(t, string(flipped), rule.Check(string(flipped), good.Header, good.Data))
	}
}

func TestHeadersAreSignedInNumberAndNotOnlyInWhatTheySay(t *testing.T) {
	k := newKey(t)
	rule := OfSource("hq", []string{k.Public()})
	for what, change := range map[string]func(nats.Header){
		"one is gone":        func(h nats.Header) { h.Del(subject.HeaderKind) },
		"one is added":       func(h nats.Header) { h.Set(subject.HeaderWithdrawn, "1") },
		"an unknown one":     func(h nats.Header) { h.Set(subject.HeaderPrefix+"New", "1") },
		"an empty one first": func(h nats.Header) { h[subject.HeaderKind] = []string{"", h.Get(subject.HeaderKind)} },
		"the same twice":     func(h nats.Header) { h.Add(subject.HeaderKind, h.Get(subject.HeaderKind)) },
		"two in one":         func(h nats.Header) { h.Set(subject.HeaderKind, "modified\nSynchro-Name: x") },
		"no signature":       func(h nats.Header) { h.Del(subject.HeaderSignature) },
		"an empty signature": func(h nats.Header) { h.Set(subject.HeaderSignature, "AA") },
	} {
		m := signed(t, k)
		change(m.Header)
		wantUntrusted(t, what, rule.CheckHead(m.Subject, m.Header))
	}
	m := signed(t, k)
	m.Header.Del(subject.HeaderParent)
	if err := rule.Check(m.Subject, m.Header, m.Data); err != nil {
		t.Errorf("an empty header is another one than none: %v", err)
	}
}

func TestASignatureCountsForOneSiteOneChannelAndOneObject(t *testing.T) {
	k := newKey(t)
	keys := []string{k.Public()}
	m := signed(t, k)
	wantUntrusted(t, "another site", OfSource("paris", keys).Check(m.Subject, m.Header, m.Data))
	wantUntrusted(t, "another object's place", OfSource("hq", keys).Check(subject.ExportToProcess("hq", "v"), m.Header, m.Data))
	wantUntrusted(t, "another key", OfSource("hq", []string{newKey(t).Public()}).Check(m.Subject, m.Header, m.Data))
	wantUntrusted(t, "a channel with a key of its own", OfChannel("public", "hq", keys, keys).Check(subject.ImportToProcess("public", "u"), m.Header, m.Data))

	relayed := message()
	if err := k.Sign(subject.ImportToProcess("public", "u"), relayed); err != nil {
		t.Fatal(err)
	}
	at := subject.ImportToProcess("public", "u")
	if err := OfChannel("public", "hq", keys, nil).Check(at, relayed.Header, relayed.Data); err != nil {
		t.Error(err)
	}
	wantUntrusted(t, "another channel", OfChannel("secret", "hq", keys, nil).Check(subject.ImportToProcess("secret", "u"), relayed.Header, relayed.Data))
}

func TestWhatIsCarriedOnCanStillBeChecked(t *testing.T) {
	k := newKey(t)
	m := signed(t, k)
	on := nats.NewMsg(subject.ImportToProcess("public", "u"))
	Carry(on.Header, m.Header)
	if err := OfSource("hq", []string{k.Public()}).Check(on.Subject, on.Header, m.Data); err != nil {
		t.Error(err)
	}
	plain := nats.Header{}
	if Carry(plain, message().Header); len(plain) > 0 {
		t.Errorf("without a signature %v is carried on", plain)
	}
}

func TestAKeyFileIsItsOwnersOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	made, err := Create(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	read, err := Load(file)
	if err != nil || read.Public() != made.Public() || !IsPublic(read.Public()) {
		t.Errorf("got %v, %v", read, err)
	}
	if _, err := Create(file); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a key takes the place of another one: %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
}

func TestAFileWithoutAKeyIsSaidToBeSo(t *testing.T) {
	for what, holds := range map[string]string{"nothing": "", "noise": "hello", "a public key": newKey(t).Public()} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(holds), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); fault.Of(err).Code != fault.Misconfigured || !strings.Contains(err.Error(), file) || holds != "" && strings.Contains(err.Error(), holds) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if k, err := Load(""); k != nil || err != nil {
		t.Errorf("no file: %v, %v", k, err)
	}
}

func FuzzCheck(f *testing.F) {
	k := newKey(f)
	rule := OfSource("hq", []string{k.Public()})
	good := signed(f, k)
	f.Add(good.Subject, k.Public(), good.Header.Get(subject.HeaderBody), good.Header.Get(subject.HeaderSignature), "u", good.Data)
	f.Add("synchro.EXPORT.TO_PROCESS.hq.", "", "", "%", "%", []byte{})
	f.Fuzz(func(t *testing.T, subj, by, digest, sig, uid string, body []byte) {
		fuzztest.Within(t, len(subj)+len(by)+len(digest)+len(sig)+len(uid)+len(body), func() {
			h := nats.Header{
				subject.HeaderSignedBy: {by}, subject.HeaderBody: {digest}, subject.HeaderSignature: {sig}, subject.HeaderUID: {uid},
			}
			if err := rule.Check(subj, h, body); err == nil {
				t.Error("what nobody has signed is taken")
			}
		})
	})
}

func BenchmarkSign(b *testing.B) {
	k, m := newKey(b), message()
	m.Data = bytes.Repeat([]byte("x"), 2<<10)
	for b.Loop() {
		if err := k.Sign(m.Subject, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	k := newKey(b)
	m := message()
	m.Data = bytes.Repeat([]byte("x"), 2<<10)
	if err := k.Sign(m.Subject, m); err != nil {
		b.Fatal(err)
	}
	rule := OfSource("hq", []string{k.Public()})
	for b.Loop() {
		if err := rule.Check(m.Subject, m.Header, m.Data); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTheSignedTextIsThatOfThePage(t *testing.T) {
	said, err := text("synchro.EXPORT.TO_PROCESS.hq.u", nats.Header{
		subject.HeaderUID: {"u"}, subject.HeaderKind: {"removed"}, subject.HeaderSignature: {"x"}, nats.MsgIdHdr: {"1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.SplitSeq(strings.TrimSuffix(string(said), "\n"), "\n"))
	if example := "    " + strings.Join(lines, "\n    ") + "\n"; !strings.Contains(string(page), example) {
		t.Errorf("docs/protocol.md lacks\n%s", example)
	}
}
