package seed

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// files are the files of an export, in a folder or in a zip. Nothing leads out of it.
type files struct {
	fs.FS
	// one is the only file that is looked at, when the export is one file of JSON.
	one   string
	zip   bool
	mark  string // differs when the export is another one
	close func() error
}

// markOf tells an export from what may lie at its path later.
func markOf(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return stamp(info), nil
	}
	newest, count, size := "", 0, int64(0)
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			newest, count, size = max(newest, info.ModTime().UTC().Format("2006-01-02T15:04:05.000000000")), count+1, size+info.Size()
		}
		return err
	})
	return fmt.Sprintf("%s %d %d", newest, count, size), err
}

func stamp(info fs.FileInfo) string {
	return fmt.Sprintf("%d %d", info.ModTime().UnixNano(), info.Size())
}

func openFiles(path, mark string) (*files, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() && strings.EqualFold(filepath.Ext(path), ".zip") {
		z, err := zip.OpenReader(path)
		if err != nil {
			return nil, err
		}
		return &files{FS: z, zip: true, mark: mark, close: z.Close}, nil
	}
	dir, one := path, ""
	if !info.IsDir() {
		dir, one = filepath.Dir(path), filepath.Base(path)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &files{FS: root.FS(), one: one, mark: mark, close: root.Close}, nil
}

// json gives the names of all files that may have objects.
func (f *files) json() ([]string, error) {
	if f.one != "" {
		return []string{f.one}, nil
	}
	var names []string
	err := fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.EqualFold(filepath.Ext(name), ".json") {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

// has tells whether there is a file of this name.
func (f *files) has(name string) bool {
	info, err := fs.Stat(f, name)
	return err == nil && info.Mode().IsRegular()
}

// open opens some of the bytes of a file.
func (f *files) open(name string, off, n int64) (io.ReadCloser, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	if at, ok := file.(io.ReaderAt); ok {
		return &section{io.NewSectionReader(at, off, n), file}, nil
	}
	// A file in a zip has one object, and little before it.
	if _, err := io.CopyN(io.Discard, file, off); err != nil {
		return nil, closed(file, err)
	}
	return &section{io.LimitReader(file, n), file}, nil
}

type section struct {
	io.Reader
	io.Closer
}

// metadata is what an export of plone.exportimport says of itself.
type metadata struct {
	Files    []string       `json:"_data_files_"`
	Ordering map[string]int `json:"ordering"`
}

const metadataFile = "content/__metadata__.json"

func (f *files) metadata() (*metadata, error) {
	file, err := f.Open(metadataFile)
	if errors.Is(err, fs.ErrNotExist) || err == nil && f.one != "" {
		return nil, closed(file, nil)
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(file, maxMetadata+1))
	if err := closed(file, err); err != nil {
		return nil, err
	}
	if len(b) > maxMetadata {
		return nil, fmt.Errorf("%s has more than %d bytes", metadataFile, maxMetadata)
	}
	m := new(metadata)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%s: %w", metadataFile, err)
	}
	return m, nil
}

// maxMetadata bounds what is read at once of what an export says of itself: enough for
// a million objects.
const maxMetadata = 256 << 20

func closed(f io.Closer, err error) error {
	if f == nil {
		return err
	}
	return errors.Join(err, f.Close())
}
