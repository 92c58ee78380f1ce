// Package queue knows how a classic queue lies on disk: its eight folders and the
// names of its files. It reads and writes no file's content; that is a codec's work.
//
// A queue serves one receiving instance. It has two sides, EXPORT on the sending
// machine and IMPORT on the receiving one, and each side has a folder per state. A
// file's state is the folder it lies in, and a rename moves it on.
package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Side is one end of a queue.
type Side string

// The sides.
const (
	Export Side = "EXPORT"
	Import Side = "IMPORT"
)

// State is how far a file has come on its side.
type State string

// The states. A file goes from ToProcess through Processing to Done or Failed.
const (
	ToProcess  State = "TO_PROCESS"
	Processing State = "PROCESSING"
	Done       State = "DONE"
	Failed     State = "ERROR"
)

// ErrNotQueue is what Open and Valid wrap when a folder lacks some of the eight.
var ErrNotQueue = errors.New("not a classic queue")

// folderMode leaves the choice to the umask, as the classic tool does: often the
// instance and the sender run under different accounts of one group.
const folderMode = 0o777

// Folder gives a state's folder, relative to the queue and with slashes.
func Folder(side Side, state State) string { return path.Join(string(side), string(state)) }

// Folders gives all eight.
func Folders() []string {
	var all []string
	for _, side := range []Side{Export, Import} {
		for _, state := range []State{ToProcess, Processing, Done, Failed} {
			all = append(all, Folder(side, state))
		}
	}
	return all
}

// Create makes the folder at path a queue. What is there already stays as it is, so
// creating twice does no harm. The folder above must exist: a queue that is made on an
// unmounted disk would swallow changes unseen.
func Create(path string) error {
	err := os.Mkdir(path, folderMode)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create queue %s: the folder above it does not exist: %w", path, fs.ErrNotExist)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create queue: %w", err)
	}
	if err := makeFolders(path); err != nil {
		return fmt.Errorf("create queue %s: %w", path, err)
	}
	return syncFolder(filepath.Dir(path))
}

func makeFolders(path string) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, folder := range Folders() {
		if err := root.MkdirAll(folder, folderMode); err != nil {
			return err
		}
	}
	return syncSides(path)
}

// syncSides makes new folders outlast a power cut, before anybody puts a file there.
func syncSides(path string) error {
	return errors.Join(
		syncFolder(filepath.Join(path, string(Export))),
		syncFolder(filepath.Join(path, string(Import))),
		syncFolder(path),
	)
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Queue is an open queue. Nothing that is done through it leaves the queue's folder,
// whatever links lie in there. Its methods may be called in parallel.
type Queue struct {
	root *os.Root
}

// Open opens the queue at path, which must have all eight folders. The caller closes it.
func Open(path string) (*Queue, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	if err := check(root); err != nil {
		return nil, errors.Join(fmt.Errorf("open queue %s: %w", path, err), root.Close())
	}
	return &Queue{root: root}, nil
}

// Valid says whether path is a queue: nil, or an error that names every missing folder.
func Valid(path string) error {
	q, err := Open(path)
	if err != nil {
		return err
	}
	return q.Close()
}

// check looks for the eight folders.
func check(root *os.Root) error {
	var missing []string
	for _, folder := range Folders() {
		if info, err := root.Stat(folder); err != nil || !info.IsDir() {
			missing = append(missing, folder)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: no folder %s", ErrNotQueue, strings.Join(missing, ", "))
	}
	return nil
}

// Close ends the access to the queue. Nothing on disk changes.
func (q *Queue) Close() error { return q.root.Close() }

// Listing is what lies in one folder of a queue.
type Listing struct {
	// Names are the files with a name as this package writes it, oldest first.
	Names []Name
	// Others are all other entries, by name: files still being written, files of
	// other writers, folders. Some of them end a classic import: see Matches.
	Others []string
}

// List lists one folder. Files that come or go meanwhile may be in it or not.
func (q *Queue) List(side Side, state State) (Listing, error) {
	entries, err := fs.ReadDir(q.root.FS(), Folder(side, state))
	if err != nil {
		return Listing{}, fmt.Errorf("list queue: %w", err)
	}
	var found Listing
	for _, entry := range entries {
		name, err := ParseName(entry.Name())
		if err != nil || !entry.Type().IsRegular() {
			found.Others = append(found.Others, entry.Name())
			continue
		}
		found.Names = append(found.Names, name)
	}
	slices.SortFunc(found.Names, Name.Compare)
	return found, nil
}
