//go:build unix

package sidecar

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"synchro.example/shared/content"
	"synchro.example/shared/driver/folder"
	"synchro.example/shared/fault"
)

// gather makes objects of the files of a tree. It remembers cards, so that each is read
// when it has changed.
type gather struct {
	path string
	log  *slog.Logger

	mu       sync.Mutex
	cards    map[string]known // by the path of the card
	reported map[string]bool
}

type known struct {
	fingerprint string
	card        *card
}

func newGather(o folder.Options) *gather {
	log := o.Log
	if log == nil {
		log = slog.Default()
	}
	return &gather{path: o.Path, log: log, cards: map[string]known{}, reported: map[string]bool{}}
}

func readLimited(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r, maxCard+1))
	if err == nil && n > maxCard {
		err = errors.New("it is larger than a card or a text may be")
	}
	return b.Bytes(), err
}

// handle is what an object is read by.
type handle struct {
	spot
	card  content.Item
	parts map[string]content.Item // by field
}

// tree is one listing of the files, on its way to one of objects.
type tree struct {
	*gather
	root  *os.Root
	files map[string]content.Item
	cards map[string]*card // by path
	taken map[string]bool  // cards, and what belongs to them
	uids  map[string]string
	out   []content.Item
}

// objects gives the objects that a listing of files has.
func (g *gather) objects(listing iter.Seq2[content.Item, error]) ([]content.Item, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := &tree{gather: g, files: map[string]content.Item{}, cards: map[string]*card{}, taken: map[string]bool{}, uids: map[string]string{}}
	for item, err := range listing {
		if err != nil {
			return nil, err
		}
		t.files[item.Path] = item
	}
	var err error
	if t.root, err = os.OpenRoot(g.path); err != nil {
		return nil, fault.OfSite(fault.Retry, fault.SourceMissing, err)
	}
	defer t.root.Close()
	if err := t.readCards(); err != nil {
		return nil, err
	}
	for _, p := range slices.Sorted(maps.Keys(t.cards)) {
		t.add(p)
	}
	t.addPlain()
	slices.SortFunc(t.out, func(a, b content.Item) int { return cmp.Compare(a.Path, b.Path) })
	g.forget(t.cards)
	return t.out, nil
}

// readCards reads what is called like a card and is no file of an object: the longest
// names first, for the card of a file is longer than its name.
func (t *tree) readCards() error {
	var paths []string
	for p, item := range t.files {
		if _, ok := spotOf(p); ok && item.Type == content.TypeFile {
			paths = append(paths, p)
		}
		if item.Type == content.TypeFolder && item.Unsettled {
			if _, had := t.gather.cards[join(p, suffix)]; had {
				paths = append(paths, join(p, suffix))
			} else {
				return fault.OfSite(fault.Retry, fault.ReadFailed, fmt.Errorf("what is in the folder %q cannot be told: %w", p, item.Problem))
			}
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	for _, p := range paths {
		if t.taken[p] {
			continue
		}
		c, err := t.read(p)
		if err != nil {
			return err
		}
		s, _ := spotOf(p)
		t.cards[p], t.taken[p] = c, true
		for _, ending := range c.parts {
			t.taken[s.file(ending)] = true
		}
	}
	return nil
}

// read gives a card as it was last read when it cannot be read now: the object is there.
func (t *tree) read(p string) (*card, error) {
	was, had := t.gather.cards[p]
	item, listed := t.files[p]
	if had && (was.fingerprint == item.Fingerprint || !listed) {
		return was.card, nil
	}
	b, err := readFile(t.root, p)
	var c *card
	if err == nil {
		c, err = decode(b)
	}
	switch {
	case err == nil:
		t.gather.cards[p] = known{item.Fingerprint, c}
		return c, nil
	case had:
		broken := *was.card
		broken.payload = nil
		return &broken, nil
	}
	return nil, fault.OfSite(fault.Retry, fault.ReadFailed, fmt.Errorf("read the card %q: %w; mend it, or remove it with the files that belong to it", p, err))
}

// add yields the object of a card.
func (t *tree) add(p string) {
	s, _ := spotOf(p)
	c := t.cards[p]
	h := handle{spot: s, card: t.files[p], parts: map[string]content.Item{}}
	item := content.Item{UID: c.uid, Path: s.path, Type: c.typ, Identity: h.card.Identity}
	if d := t.files[s.path]; s.container && d.Unsettled { // nothing below it is listed
		item.Unsettled, item.Problem = true, d.Problem
		t.out, t.taken[s.path] = append(t.out, item), true
		return
	}
	t.judge(&item, h.card, p)
	if c.payload == nil && !h.card.Unsettled {
		unusable(&item, "the card %q cannot be read; mend it", p)
	}
	for _, field := range slices.Sorted(maps.Keys(c.parts)) {
		at := s.file(c.parts[field])
		h.parts[field] = t.files[at]
		t.judge(&item, h.parts[field], at)
	}
	item.Fingerprint, item.Handle = h.fingerprint(), h
	if other, twice := t.uids[c.uid]; twice && c.uid != "" {
		item.UID = ""
		unusable(&item, "its card has the UID of %q; give it another, or none", other)
	} else {
		t.uids[c.uid] = s.path
	}
	t.out = append(t.out, item)
	if s.container {
		t.taken[s.path] = true
	}
}

// judge takes over what one of its files says about an object.
func (t *tree) judge(item *content.Item, file content.Item, p string) {
	switch {
	case file.Path == "":
		unusable(item, "its file %q is missing", p)
	case file.Type != content.TypeFile:
		unusable(item, "%q is a folder, and should be its file", p)
	case file.Unsettled:
		item.Unsettled = true
		if item.Problem == nil {
			item.Problem = file.Problem
		}
	}
}

func unusable(item *content.Item, format string, args ...any) {
	item.Unsettled, item.Problem = true, fault.Errorf(fault.Park, fault.ReadFailed, format, args...)
}

// fingerprint is put together from those of the files.
func (h *handle) fingerprint() string {
	prints := []string{h.card.Fingerprint}
	for _, field := range slices.Sorted(maps.Keys(h.parts)) {
		prints = append(prints, h.parts[field].Fingerprint)
	}
	return strings.Join(prints, "|")
}

// addPlain yields what belongs to no card as it is, unless an object has its place.
func (t *tree) addPlain() {
	places := map[string]bool{}
	for p := range t.cards {
		s, _ := spotOf(p)
		places[s.path] = !s.container || places[s.path]
	}
	for _, p := range slices.Sorted(maps.Keys(t.files)) {
		if t.taken[p] {
			continue
		}
		if in, ok := within(p, places); ok {
			t.report(p, fmt.Sprintf("the object %q has a card beside it, and holds nothing", in))
			continue
		}
		t.out = append(t.out, t.files[p])
	}
}

// within finds the object, no container, at a path or above it.
func within(p string, leaves map[string]bool) (string, bool) {
	for ; p != "."; p = path.Dir(p) {
		if leaves[p] {
			return p, true
		}
	}
	return "", false
}

func (g *gather) report(p, why string) {
	if !g.reported[p] {
		g.reported[p] = true
		g.log.Warn("skipped", "path", p, "why", why)
	}
}

// forget drops cards that are not there any more.
func (g *gather) forget(there map[string]*card) {
	maps.DeleteFunc(g.cards, func(p string, _ known) bool { return there[p] == nil })
}
