package queue

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// create makes a queue in a folder of the test.
func create(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue")
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// put leaves a file in a folder of a queue.
func put(t *testing.T, path, folder, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path, folder, name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCreateMakesTheEightFolders(t *testing.T) {
	path := create(t)
	for _, folder := range []string{
		"EXPORT/TO_PROCESS", "EXPORT/PROCESSING", "EXPORT/DONE", "EXPORT/ERROR",
		"IMPORT/TO_PROCESS", "IMPORT/PROCESSING", "IMPORT/DONE", "IMPORT/ERROR",
	} {
		if info, err := os.Stat(filepath.Join(path, folder)); err != nil || !info.IsDir() {
			t.Errorf("%s: %v, %v", folder, info, err)
		}
	}
	if err := Valid(path); err != nil {
		t.Error(err)
	}
}

func TestCreateTwiceKeepsWhatIsThere(t *testing.T) {
	path := create(t)
	put(t, path, "IMPORT/ERROR", "data_u_1.000000_1.zs")
	if err := os.Remove(filepath.Join(path, "EXPORT/DONE")); err != nil {
		t.Fatal(err)
	}
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(path, "IMPORT/ERROR/data_u_1.000000_1.zs")); err != nil {
		t.Error(err)
	}
	if err := Valid(path); err != nil {
		t.Error(err)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Run("a missing folder above", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gone", "queue")
		err := Create(path)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "the folder above it") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file at its place", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "queue")
		put(t, filepath.Dir(path), "", "queue")
		if err := Create(path); err == nil {
			t.Error("a file became a queue")
		}
	})
	t.Run("a side that leads out of it", func(t *testing.T) {
		path, elsewhere := t.TempDir(), t.TempDir()
		if err := os.Symlink(elsewhere, filepath.Join(path, "EXPORT")); err != nil {
			t.Fatal(err)
		}
		if err := Create(path); err == nil {
			t.Error("a link out of the queue was followed")
		}
		if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
			t.Errorf("%v was left outside, %v", left, err)
		}
	})
}

func TestOpenNamesEveryMissingFolder(t *testing.T) {
	path := create(t)
	for _, folder := range []string{"EXPORT/DONE", "IMPORT/TO_PROCESS"} {
		if err := os.Remove(filepath.Join(path, folder)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, path, "IMPORT", "TO_PROCESS") // a file is no folder
	_, err := Open(path)
	if !errors.Is(err, ErrNotQueue) || !strings.HasSuffix(err.Error(), ": no folder EXPORT/DONE, IMPORT/TO_PROCESS") {
		t.Errorf("got %v", err)
	}
}

func TestOpenOfNothing(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestListIsOrderedByTime(t *testing.T) {
	path := create(t)
	for _, name := range []string{
		"data_b_10.000000_1.zs", "data_a_9.500000_7.zs", "data_a_10.000000_1.zs.lock", "README",
	} {
		put(t, path, "IMPORT/TO_PROCESS", name)
	}
	if err := os.Mkdir(filepath.Join(path, "IMPORT/TO_PROCESS/data_d_1.000000_1.zs"), 0o700); err != nil {
		t.Fatal(err)
	}
	q, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	got, err := q.List(Import, ToProcess)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(got.Names))
	for _, n := range got.Names {
		names = append(names, n.String())
	}
	if want := []string{"data_a_9.500000_7.zs", "data_b_10.000000_1.zs"}; !slices.Equal(names, want) {
		t.Errorf("names are %q, want %q", names, want)
	}
	want := []string{"README", "data_a_10.000000_1.zs.lock", "data_d_1.000000_1.zs"}
	if !slices.Equal(got.Others, want) {
		t.Errorf("others are %q, want %q", got.Others, want)
	}
}

func TestListOfAClosedQueue(t *testing.T) {
	q, err := Open(create(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.List(Export, Done); err == nil {
		t.Error("a closed queue was listed")
	}
}
