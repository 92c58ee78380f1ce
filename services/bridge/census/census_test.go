package census

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/services/bridge/queue"
)

type world struct {
	t    *testing.T
	path string
	*queue.Queue
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "queue")}
	w.must(queue.Create(w.path))
	q, err := queue.Open(w.path)
	w.must(err)
	w.Queue = q
	t.Cleanup(func() { w.must(q.Close()) })
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(name string, age time.Duration) {
	w.t.Helper()
	file := filepath.Join(w.path, name)
	w.must(os.WriteFile(file, nil, 0o600))
	w.must(os.Chtimes(file, time.Time{}, time.Now().Add(-age)))
}

// odd gives what is odd on a side, each as the file's name and a word of why.
func (w *world) odd(side queue.Side, words ...string) (all []string) {
	w.t.Helper()
	found, err := Find(w.Queue, side, time.Now())
	w.must(err)
	for _, o := range found {
		at := slices.IndexFunc(words, func(word string) bool { return strings.Contains(o.Why, word) })
		if at < 0 {
			w.t.Errorf("nobody expects %s", o)
			continue
		}
		all = append(all, filepath.Base(o.File)+" "+words[at])
	}
	return all
}

func TestFilesThatNobodyTakesAreOdd(t *testing.T) {
	w := newWorld(t)
	for _, side := range []string{"EXPORT", "IMPORT"} {
		w.put(side+"/TO_PROCESS/data_u_1700000000.000000_1.zs", 0)
		w.put(side+"/TO_PROCESS/README", 0)
		w.put(side+"/TO_PROCESS/data_a_b_1700000000.000000_1.zs", 0)
		w.put(side+"/TO_PROCESS/data_u_1700000000.000000_2.zs.lock", 2*time.Hour)
		w.put(side+"/TO_PROCESS/data_u_1700000000.000000_3.zs.lock", time.Minute)
		w.put(side+"/TO_PROCESS/data_v_1700000000.000000_4.zs", 0)
	}
	want := []string{
		"README not taken", "data_a_b_1700000000.000000_1.zs uid with _", "data_u_1700000000.000000_2.zs.lock for long",
		"data_v_1700000000.000000_4.zs has the time of",
	}
	if got := w.odd(queue.Export, "not taken", "uid with _", "for long", "has the time of"); !slices.Equal(got, want) {
		t.Errorf("EXPORT has %q, want %q", got, want)
	}
	want[0] = "README ends each run"
	if got := w.odd(queue.Import, "ends each run", "uid with _", "for long", "has the time of"); !slices.Equal(got, want) {
		t.Errorf("IMPORT has %q, want %q", got, want)
	}
}

func TestAFileThatNobodyImportsAnyMoreIsOdd(t *testing.T) {
	w := newWorld(t)
	for number, age := range []time.Duration{2 * time.Hour, time.Minute} {
		name, err := queue.NewName("u", time.Now().Add(-age), number)
		w.must(err)
		w.put("IMPORT/PROCESSING/"+name.String(), 0)
	}
	if got := w.odd(queue.Import, "for long"); len(got) != 1 || !strings.HasSuffix(got[0], "_0.zs for long") {
		t.Errorf("odd are %q", got)
	}
}

func TestAllFoldersAreCounted(t *testing.T) {
	w := newWorld(t)
	w.put("EXPORT/ERROR/a", 0)
	w.put("EXPORT/ERROR/b", 0)
	w.put("IMPORT/DONE/c", 0)
	counts, err := Count(w.Queue)
	w.must(err)
	if len(counts) != 8 || counts["EXPORT/ERROR"] != 2 || counts["IMPORT/DONE"] != 1 || counts["IMPORT/ERROR"] != 0 {
		t.Errorf("got %v", counts)
	}
}

func TestNewsIsToldOnceAndAgainWhenItWasOver(t *testing.T) {
	told := map[string]bool{}
	a := []Odd{{File: "a"}}
	for n, want := range []int{1, 0} {
		if got := News(told, a); len(got) != want {
			t.Errorf("the %d. time %v is news", n+1, got)
		}
	}
	News(told, nil)
	if got := News(told, a); len(got) != 1 {
		t.Errorf("%v is news after it was over", got)
	}
}
