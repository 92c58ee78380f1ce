package direct

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/driver/folder"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file of the n-th second.
func put(t *testing.T, q string, n int64, at string, parts ...zs.Part) string {
	t.Helper()
	return putInto(t, q, "TO_PROCESS", n, at, parts...)
}

func putInto(t *testing.T, q, state string, n int64, at string, parts ...zs.Part) string {
	t.Helper()
	name, err := queue.NewName("u", time.Unix(1_700_000_000+n, 0), 1)
	must(t, err)
	f, err := os.Create(filepath.Join(q, "IMPORT", state, name.String()))
	must(t, err)
	must(t, zs.Encode(f, &zs.Change{Path: strings.Split(at, "/"), UID: "u-" + filepath.Base(at), Parts: parts}))
	must(t, f.Close())
	return name.String()
}

func value(at, text string) zs.Part {
	return zs.Part{Kind: zs.FSS, Fields: []zs.Field{{Path: filepath.Base(at), Name: "file", Filename: "f", File: zs.Bytes([]byte(text))}}}
}

func field(at, name, text string) zs.Field {
	return zs.Field{Path: at, Name: name, Filename: "f", File: zs.Bytes([]byte(text))}
}

// world is a queue, and a folder site to import it into.
func world(t *testing.T) (q, site string) {
	t.Helper()
	dir := t.TempDir()
	q, site = filepath.Join(dir, "queue"), filepath.Join(dir, "site")
	must(t, queue.Create(q))
	must(t, os.MkdirAll(filepath.Join(site, "d/old"), 0o755))
	must(t, os.WriteFile(filepath.Join(site, "d/old/x"), []byte("x"), 0o600))
	return q, site
}

func run(t *testing.T, q, site string) Result {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	target, err := folder.OpenTarget(folder.Options{Path: site, Log: log})
	must(t, err)
	defer func() { must(t, target.Close()) }()
	apply, err := To(t.Context(), target, log)
	must(t, err)
	r, err := Import(t.Context(), Options{Queue: q, Apply: apply, Log: log})
	must(t, err)
	return r
}

func wantFiles(t *testing.T, site string, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if b, err := os.ReadFile(filepath.Join(site, name)); err != nil || string(b) != text {
			t.Errorf("%s has %q, %v", name, b, err)
		}
	}
}

// wantRefused looks for files in ERROR, and for what is written down about each.
func wantRefused(t *testing.T, q string, reasons map[string]string) {
	t.Helper()
	failed, err := os.ReadDir(filepath.Join(q, "IMPORT/ERROR"))
	must(t, err)
	if len(failed) != len(reasons) {
		t.Errorf("ERROR has %v", failed)
	}
	for name, reason := range reasons {
		if _, err := os.Stat(filepath.Join(q, "IMPORT/ERROR", name)); err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(filepath.Join(queue.Refused(q), name+".txt"))
		if err != nil || !strings.Contains(string(text), reason) || !strings.Contains(string(text), "from IMPORT/ERROR to IMPORT/TO_PROCESS") {
			t.Errorf("the reason of %s is %q, %v, want %q", name, text, err, reason)
		}
	}
}

func TestFilesTakeEffectInOrderAndFailuresAreSetAside(t *testing.T) {
	q, site := world(t)
	put(t, q, 2, "a", value("a", "second"))
	put(t, q, 1, "a", value("a", "first"))
	put(t, q, 3, "d/b", value("b", "below"))
	put(t, q, 4, "d/old", zs.Part{Kind: zs.Delete, ID: "old"})
	put(t, q, 5, "d/never", zs.Part{Kind: zs.Delete, ID: "never"})
	lost := put(t, q, 6, "nowhere/c", value("c", "?"))
	code := put(t, q, 7, "e", zs.Part{Kind: zs.ZEXP, Export: zs.Bytes([]byte("ZEXP"))}, value("e", "?"))
	empty := put(t, q, 8, "e")
	must(t, os.WriteFile(filepath.Join(q, "IMPORT/TO_PROCESS/README"), nil, 0o600))

	if got, want := run(t, q, site), (Result{Done: 5, Failed: 3}); got != want {
		t.Errorf("the result is %+v, want %+v", got, want)
	}
	wantFiles(t, site, map[string]string{"a": "second", "d/b": "below"})
	for _, gone := range []string{"d/old", "e"} {
		if _, err := os.Stat(filepath.Join(site, gone)); err == nil {
			t.Errorf("%s is there", gone)
		}
	}
	wantRefused(t, q, map[string]string{lost: "the site has no nowhere", code: "loaded by a Zope only", empty: "no plugin's data"})
}

// TestValuesOfManyObjectsAreSet has what the classic exporter writes of a folder: the values
// of all that lies in it.
func TestValuesOfManyObjectsAreSet(t *testing.T) {
	q, site := world(t)
	put(t, q, 1, "d", zs.Part{Kind: zs.FSS, Fields: []zs.Field{
		field("d/old/x", "file", "set"), field("d/old/never", "file", "passed over"),
	}})
	twice := put(t, q, 2, "d/two", zs.Part{Kind: zs.FSS, Fields: []zs.Field{field("two", "file", "1"), field("two", "image", "2")}})
	if got, want := run(t, q, site), (Result{Done: 1, Failed: 1}); got != want {
		t.Errorf("the result is %+v, want %+v", got, want)
	}
	wantFiles(t, site, map[string]string{"d/old/x": "set"})
	for _, name := range []string{"d/old/never", "d/two"} {
		if _, err := os.Stat(filepath.Join(site, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	wantRefused(t, q, map[string]string{twice: "several fields"})
}

func TestWhatADeadRunHasLeftIsDoneFirst(t *testing.T) {
	q, site := world(t)
	put(t, q, 2, "a", value("a", "second"))
	left := putInto(t, q, "PROCESSING", 1, "a", value("a", "first"))
	if got, want := run(t, q, site), (Result{Done: 2}); got != want {
		t.Errorf("the result is %+v, want %+v", got, want)
	}
	wantFiles(t, site, map[string]string{"a": "second"})
	if _, err := os.Stat(filepath.Join(q, "IMPORT/DONE", left)); err != nil {
		t.Error(err)
	}
}
