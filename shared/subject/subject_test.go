package subject

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

var strange = []string{
	"", "a", strings.Repeat("a", 64), strings.Repeat("a", 65), "a.b", "*", ">", "a b", "caf\xe9", "\x00", "_", "-", "A-9",
	"\u00e9", "a\r\nb", "%", "%4", "%41", "100%",
}

func TestTokensAreValidAndDistinct(t *testing.T) {
	seen := map[string]string{}
	for _, uid := range strange {
		token := Token(uid)
		if other, ok := seen[token]; ok {
			t.Errorf("%q and %q have one token", uid, other)
		}
		seen[token] = uid
		for _, s := range []string{
			ExportToProcess("hq", uid), ImportToProcess("news", uid), ImportDone("hq", uid), ExportError("hq", uid),
			ImportError("hq", uid), ImportReplay("hq", uid), ImportProcessing("hq", uid), ExportDone("hq", uid),
		} {
			if !server.IsValidPublishSubject(s) || strings.Count(s, ".") != 4 {
				t.Errorf("uid %q: subject %q", uid, s)
			}
		}
	}
	if Token(strings.Repeat("a", 64)) != strings.Repeat("a", 64) {
		t.Error("a plain uid does not stand as it is")
	}
}

func TestWhatAllMatchesHasEveryObject(t *testing.T) {
	for all, one := range map[string]string{
		ExportToProcessAll("hq"):   ExportToProcess("hq", "a b"),
		ImportToProcessAll("news"): ImportToProcess("news", "a"),
		ImportDoneAll("hq"):        ImportDone("hq", "a"),
		BlobSubjects[0]:            Blob(sha256.Sum256(nil)),
		BlobMarkSubjects[0]:        BlobMark(sha256.Sum256(nil)),
	} {
		if !server.SubjectsCollide(all, one) {
			t.Errorf("%s does not match %s", all, one)
		}
	}
	if server.SubjectsCollide(BlobSubjects[0], BlobMarkSubjects[0]) {
		t.Error("marks go into the stream of the chunks")
	}
}

func TestNamesOfChunksAreReadAsTheyAreWritten(t *testing.T) {
	d := sha256.Sum256([]byte("x"))
	for _, name := range []string{Blob(d), BlobCopy(d)} {
		if got, ok := BlobDigest(name); !ok || got != d {
			t.Errorf("%s: got %x, %v", name, got, ok)
		}
	}
	if got, ok := BlobMarkDigest(BlobMark(d)); !ok || got != d {
		t.Errorf("got %x, %v", got, ok)
	}
	for _, name := range []string{"", "synchro.BLOB.", BlobMark(d), Blob(d) + "0", Blob(d)[:70], "synchro.BLOB." + strings.Repeat("g", 64)} {
		if _, ok := BlobDigest(name); ok {
			t.Errorf("%q is taken for the name of a chunk", name)
		}
	}
}

func TestErrorSiteReadsBothKinds(t *testing.T) {
	for subj, want := range map[string]string{
		ExportError("hq", "a.b"): "hq", ImportError("paris", "a"): "paris", ImportDone("paris", "a"): "", "": "", "synchro.IMPORT.ERROR.x": "",
	} {
		site, ok := ErrorSite(subj)
		if ok != (want != "") || ok && site != want {
			t.Errorf("%q: got %q, %v", subj, site, ok)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range strange {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := Quote(s)
		if Unquote(q) != s {
			t.Fatalf("%q becomes %q and then %q", s, q, Unquote(q))
		}
		for i := range len(q) {
			if q[i] <= ' ' || q[i] >= 0x7f {
				t.Fatalf("%q is quoted as %q", s, q)
			}
		}
		if raw := Unquote(s); len(raw) > len(s) { // foreign text, too
			t.Fatalf("%q becomes %q", s, raw)
		}
	})
}

func TestPercentSignsThatQuoteNothingStandForThemselves(t *testing.T) {
	for quoted, want := range map[string]string{
		"%": "%", "a%": "a%", "%4": "%4", "%41": "A", "x%41": "xA", "%zz": "%zz", "%%41": "%A", "%2541": "%41", "%41%": "A%", "%e9": "\xe9",
	} {
		if got := Unquote(quoted); got != want {
			t.Errorf("%q: got %q, want %q", quoted, got, want)
		}
	}
}
