package workload

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"synchro.example/tests/history"
)

// Source is a tree that somebody works on.
type Source struct {
	root  string
	rnd   *rand.Rand
	hist  *history.History
	files []*file
	dirs  []string // the root is ""
	large int      // bytes of a large file
	calm  map[*file]bool

	mu   sync.Mutex
	revs []int // by key: the newest revision that was written, or is being
}

type file struct {
	path string
	Stamp
}

// NewSource takes over an empty folder. Two of one seed do the same.
func NewSource(root string, seed uint64, hist *history.History) *Source {
	return &Source{root: root, rnd: rand.New(rand.NewPCG(seed, 1)), hist: hist, dirs: []string{""}, large: 300 << 10}
}

// Fill makes a tree of n objects, a tenth of them folders.
func (s *Source) Fill(n int) error {
	for i := range n {
		do := s.create
		if i%10 == 0 {
			do = s.mkdir
		}
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// Len is the number of objects.
func (s *Source) Len() int { return len(s.files) + len(s.dirs) - 1 }

// Files gives the paths of the files there are.
func (s *Source) Files() []string {
	paths := make([]string, len(s.files))
	for i, f := range s.files {
		paths[i] = f.path
	}
	return paths
}

// Written tells the newest revision of a key that was written, or is being; zero for a
// key that nobody made.
func (s *Source) Written(key int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key < 0 || key >= len(s.revs) {
		return 0
	}
	return s.revs[key]
}

// steps are what people do to a tree, and how often in a hundred.
var steps = []struct {
	of int
	do func(*Source) error
}{
	{50, (*Source).edit},
	{15, (*Source).create},
	{9, (*Source).remove},
	{9, (*Source).move},
	{4, (*Source).mkdir},
	{4, (*Source).moveDir},
	{2, (*Source).removeDir},
	{4, (*Source).chmod},
	{2, (*Source).swap},
	{1, (*Source).grow},
}

// Step changes something.
func (s *Source) Step() error {
	n := s.rnd.IntN(100)
	for _, step := range steps {
		if n < step.of {
			return step.do(s)
		}
		n -= step.of
	}
	return nil
}

// Steps changes something again and again, so many times in a second, until n are done
// or stop is closed. It gives how many were done.
func (s *Source) Steps(n, perSecond int, stop <-chan struct{}) (int, error) {
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for i := range n {
		select {
		case <-stop:
			return i, nil
		case <-tick.C:
		}
		if err := s.Step(); err != nil {
			return i, err
		}
	}
	return n, nil
}

func (s *Source) abs(p string) string { return filepath.Join(s.root, filepath.FromSlash(p)) }

func (s *Source) note(what, p string, more any) { s.hist.Add("op", what, p, more) }

var words = []string{"news", "événement", "report 2026", "a", "index.html", "data", "été", "x+y", "Ω"}

// place gives a free path in some folder, not too deep.
func (s *Source) place() string {
	for {
		dir := s.dirs[s.rnd.IntN(len(s.dirs))]
		if strings.Count(dir, "/") >= 4 {
			continue
		}
		p := path.Join(dir, fmt.Sprintf("%s-%d", words[s.rnd.IntN(len(words))], s.rnd.IntN(1_000_000)))
		if _, err := os.Lstat(s.abs(p)); os.IsNotExist(err) {
			return p
		}
	}
}

func (s *Source) size() int { return minSize + s.rnd.IntN(4096) }

func (s *Source) some() *file {
	if len(s.files) == 0 {
		return nil
	}
	return s.files[s.rnd.IntN(len(s.files))]
}

func (s *Source) create() error {
	s.mu.Lock()
	key := len(s.revs)
	s.revs = append(s.revs, 0)
	s.mu.Unlock()
	f := &file{path: s.place(), Stamp: Stamp{Key: key}}
	s.files = append(s.files, f)
	return s.write(f, s.size())
}

func (s *Source) edit() error {
	if f := s.some(); f != nil {
		return s.write(f, s.size())
	}
	return s.create()
}

// Edit changes one file by its path.
func (s *Source) Edit(p string) error {
	i := slices.IndexFunc(s.files, func(f *file) bool { return f.path == p })
	if i < 0 {
		return fmt.Errorf("there is no file %s", p)
	}
	return s.write(s.files[i], s.size())
}

// Create makes one file, and says where.
func (s *Source) Create() (string, error) {
	err := s.create()
	return s.files[len(s.files)-1].path, err
}

// Gather makes and edits n files, so many in a second, and moves and removes none.
func (s *Source) Gather(n, perSecond int) error {
	for range n {
		time.Sleep(time.Second / time.Duration(perSecond))
		do := s.edit
		if s.rnd.IntN(2) == 0 {
			do = s.create
		}
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// Rest begins a time in which StepOnce does nothing twice to one file.
func (s *Source) Rest() { s.calm = map[*file]bool{} }

// StepOnce changes something that was not changed since Rest.
func (s *Source) StepOnce() error {
	if n := s.rnd.IntN(10); n < 4 {
		err := s.create()
		s.calm[s.files[len(s.files)-1]] = true
		return err
	} else if n < 5 {
		return s.mkdir()
	}
	f := s.some()
	if f == nil || s.calm[f] {
		return nil
	}
	s.calm[f] = true
	switch s.rnd.IntN(3) {
	case 0:
		return s.write(f, s.size())
	case 1:
		return s.moveFile(f)
	}
	return s.removeFile(f)
}

// CreateLarge makes a file whose bytes do not fit into a message.
func (s *Source) CreateLarge() (string, error) {
	p, err := s.Create()
	if err != nil {
		return "", err
	}
	return p, s.write(s.files[len(s.files)-1], s.large+s.rnd.IntN(s.large))
}

func (s *Source) grow() error {
	if f := s.some(); f != nil {
		return s.write(f, s.large+s.rnd.IntN(s.large))
	}
	return nil
}

// write is in place, as most editors do it: who reads meanwhile sees half of it.
func (s *Source) write(f *file, size int) error {
	f.Rev++
	f.Size = size
	s.mu.Lock()
	s.revs[f.Key] = f.Rev
	s.mu.Unlock()
	s.note("write", f.path, f.Stamp)
	return os.WriteFile(s.abs(f.path), f.Bytes(), 0o644)
}

func (s *Source) remove() error {
	if f := s.some(); f != nil {
		return s.removeFile(f)
	}
	return nil
}

func (s *Source) removeFile(f *file) error {
	s.note("remove", f.path, f.Stamp)
	s.files = slices.DeleteFunc(s.files, func(x *file) bool { return x == f })
	return os.Remove(s.abs(f.path))
}

func (s *Source) move() error {
	if f := s.some(); f != nil {
		return s.moveFile(f)
	}
	return nil
}

func (s *Source) moveFile(f *file) error {
	to := s.place()
	s.note("move", f.path, to)
	from := f.path
	f.path = to
	return os.Rename(s.abs(from), s.abs(to))
}

// swap makes a ring of moves: two files change places.
func (s *Source) swap() error {
	a, b := s.some(), s.some()
	if a == b {
		return nil
	}
	s.note("swap", a.path, b.path)
	aside := s.abs(a.path) + ".aside"
	a.path, b.path = b.path, a.path
	if err := os.Rename(s.abs(b.path), aside); err != nil {
		return err
	}
	if err := os.Rename(s.abs(a.path), s.abs(b.path)); err != nil {
		return err
	}
	return os.Rename(aside, s.abs(a.path))
}

func (s *Source) chmod() error {
	f := s.some()
	if f == nil {
		return nil
	}
	mode := []os.FileMode{0o600, 0o640, 0o644, 0o755}[s.rnd.IntN(4)]
	s.note("chmod", f.path, mode.String())
	return os.Chmod(s.abs(f.path), mode)
}

func (s *Source) mkdir() error {
	p := s.place()
	s.dirs = append(s.dirs, p)
	s.note("mkdir", p, nil)
	return os.Mkdir(s.abs(p), 0o755)
}

func (s *Source) moveDir() error {
	if len(s.dirs) < 2 {
		return nil
	}
	from := s.dirs[1+s.rnd.IntN(len(s.dirs)-1)]
	to := s.place()
	if inside(to, from) {
		return nil
	}
	s.note("move", from, to)
	for _, f := range s.files {
		f.path = moved(f.path, from, to)
	}
	for i, d := range s.dirs {
		s.dirs[i] = moved(d, from, to)
	}
	return os.Rename(s.abs(from), s.abs(to))
}

// removeDir takes a folder away with what it holds, if that is not much.
func (s *Source) removeDir() error {
	if len(s.dirs) < 4 {
		return nil
	}
	gone := s.dirs[1+s.rnd.IntN(len(s.dirs)-1)]
	count := 0
	for _, f := range s.files {
		if inside(f.path, gone) {
			count++
		}
	}
	if count > 12 {
		return nil
	}
	s.note("remove", gone, count)
	s.files = slices.DeleteFunc(s.files, func(f *file) bool { return inside(f.path, gone) })
	s.dirs = slices.DeleteFunc(s.dirs, func(d string) bool { return inside(d, gone) })
	return os.RemoveAll(s.abs(gone))
}

func inside(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func moved(p, from, to string) string {
	if !inside(p, from) {
		return p
	}
	return to + strings.TrimPrefix(p, from)
}
