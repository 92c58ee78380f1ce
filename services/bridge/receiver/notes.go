package receiver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// notes remember which file an object's newest change was placed as, so that a change
// that is asked for again after a crash is not placed twice. Each is a file.
type notes struct{ root *os.Root }

type note struct {
	Name string `json:"name"`
	// Change names the change by its source and version.
	Change string `json:"change"`
	// Failed says that the file was seen in ERROR and told.
	Failed bool `json:"failed,omitempty"`
}

// noteKey names the note of an object's n-th file.
func noteKey(uid string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", uid, n))
	return hex.EncodeToString(sum[:16])
}

func openNotes(dir string) (*notes, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	return &notes{root}, err
}

// read gives a note, an empty one when there is none or it is damaged: the file is then
// placed once more, which does no harm.
func (n *notes) read(key string) (note, error) {
	var found note
	raw, err := n.root.ReadFile(key)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err == nil && json.Unmarshal(raw, &found) != nil {
		found = note{}
	}
	return found, err
}

func (n *notes) write(key string, v note) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := n.root.Create(key + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return n.root.Rename(key+".new", key)
}

// forget drops notes that were written before a time and of which gone tells that their
// file is not in the queue any more.
func (n *notes) forget(before time.Time, gone func(name string) bool) error {
	entries, err := fs.ReadDir(n.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || info.ModTime().After(before) || filepath.Ext(entry.Name()) != "" {
			continue
		}
		if v, err := n.read(entry.Name()); err == nil && gone(v.Name) {
			err = n.root.Remove(entry.Name())
			if err != nil {
				return err
			}
		}
	}
	return nil
}
