package direct

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/content"
	"synchro.example/shared/driver/folder"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file of the n-th second.
func put(t *testing.T, q string, n int64, at string, part zs.Part) string {
	t.Helper()
	name, err := queue.NewName("u", time.Unix(1_700_000_000+n, 0), 1)
	must(t, err)
	f, err := os.Create(filepath.Join(q, "IMPORT/TO_PROCESS", name.String()))
	must(t, err)
	must(t, zs.Encode(f, &zs.Change{Path: strings.Split(at, "/"), UID: "u-" + filepath.Base(at), Parts: []zs.Part{part}}))
	must(t, f.Close())
	return name.String()
}

func value(at, text string) zs.Part {
	return zs.Part{Kind: zs.FSS, Fields: []zs.Field{{Path: filepath.Base(at), Name: "file", Filename: "f", File: zs.Bytes([]byte(text))}}}
}

func TestFilesTakeEffectInOrderAndFailuresAreSetAside(t *testing.T) {
	dir := t.TempDir()
	q, site := filepath.Join(dir, "queue"), filepath.Join(dir, "site")
	must(t, queue.Create(q))
	must(t, os.MkdirAll(filepath.Join(site, "d/old"), 0o755))
	must(t, os.WriteFile(filepath.Join(site, "d/old/x"), []byte("x"), 0o600))
	target, err := folder.OpenTarget(folder.Options{Path: site, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	defer func() { must(t, target.Close()) }()

	put(t, q, 2, "a", value("a", "second"))
	put(t, q, 1, "a", value("a", "first"))
	put(t, q, 3, "d/b", value("b", "below"))
	put(t, q, 4, "d/old", zs.Part{Kind: zs.Delete, ID: "old"})
	put(t, q, 5, "d/never", zs.Part{Kind: zs.Delete, ID: "never"})
	lost := put(t, q, 6, "nowhere/c", value("c", "?"))
	code := put(t, q, 7, "e", zs.Part{Kind: zs.ZEXP, Export: zs.Bytes([]byte("ZEXP"))})
	must(t, os.WriteFile(filepath.Join(q, "IMPORT/TO_PROCESS/README"), nil, 0o600))

	got, err := Import(t.Context(), Options{
		Queue: q, Target: target, Accept: []string{content.PluginFSS, content.PluginDelete}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	if want := (Result{Done: 5, Failed: 2}); got != want {
		t.Errorf("the result is %+v, want %+v", got, want)
	}
	for name, want := range map[string]string{"a": "second", "d/b": "below"} {
		if b, err := os.ReadFile(filepath.Join(site, name)); err != nil || string(b) != want {
			t.Errorf("%s has %q, %v", name, b, err)
		}
	}
	if _, err := os.Stat(filepath.Join(site, "d/old")); err == nil {
		t.Error("what was deleted is there")
	}
	failed, err := os.ReadDir(filepath.Join(q, "IMPORT/ERROR"))
	must(t, err)
	if len(failed) != 2 || !slices.Equal([]string{failed[0].Name(), failed[1].Name()}, []string{lost, code}) {
		t.Errorf("ERROR has %v", failed)
	}
}
