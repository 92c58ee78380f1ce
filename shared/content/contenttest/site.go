package contenttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Site is a site in memory: source, target and world at once. Payloads are those
// of the folder driver. The hooks are for injecting faults; set them before use,
// or under Lock. It is safe for concurrent use.
type Site struct {
	// OnApply is asked before each op takes effect; an error is the op's result.
	OnApply func(ctx context.Context, op content.Op) error
	// OnApplied is told after each op took effect; an error is the result although
	// the op was done, as when a connection breaks.
	OnApplied func(ctx context.Context, op content.Op) error
	// OnList is asked before each listing; an error ends it.
	OnList func(ctx context.Context) error
	// OnRead is asked before each read; an error is its result.
	OnRead func(ctx context.Context, item content.Item) error
	// OnUnsettled tells whether an object is being written.
	OnUnsettled func(path string) bool
	// Delay is how long each op takes.
	Delay time.Duration
	// Size is what Batch gives; zero means 16.
	Size int

	mu      sync.Mutex
	nodes   map[string]*node
	seq     uint64
	effects int64
	gone    bool
	hints   map[chan struct{}]struct{}
}

var (
	_ content.Source = (*Site)(nil)
	_ content.Target = (*Site)(nil)
	_ World          = (*Site)(nil)
)

type node struct {
	id, rev uint64
	folder  bool
	data    string
	state   string
}

// NewSite makes an empty site.
func NewSite() *Site {
	return &Site{nodes: map[string]*node{}, hints: map[chan struct{}]struct{}{}}
}

// Lock keeps all else off the site while do runs; do must not call the site.
func (s *Site) Lock(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// Effects is how often something on the site was made, changed, moved or removed
// through Apply.
func (s *Site) Effects() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.effects
}

// SetGone takes the site away or brings it back.
func (s *Site) SetGone(gone bool) { s.Lock(func() { s.gone = gone }) }

// Close does nothing.
func (s *Site) Close() error { return nil }

// Batch is Size, or 16.
func (s *Site) Batch() int {
	if s.Size > 0 {
		return s.Size
	}
	return 16
}

func (s *Site) next() uint64 {
	s.seq++
	return s.seq
}

func (s *Site) touch() {
	for ch := range s.hints {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func parentOf(p string) string { return strings.TrimPrefix(path.Dir("/"+p), "/") }

// Put makes an object, or changes the one at a path.
func (s *Site) Put(p string, t Thing) error {
	_, ps := EncodeTree(p, t)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.touch()
	n, err := s.nodeAt(p, t.Container)
	if err != nil {
		return err
	}
	n.data, n.state, n.rev = t.Data, string(ps[0].Inline), s.next()
	return nil
}

func (s *Site) nodeAt(p string, folder bool) (*node, error) {
	if up := parentOf(p); up != "" && (s.nodes[up] == nil || !s.nodes[up].folder) {
		return nil, fmt.Errorf("%q has no container", p)
	}
	n := s.nodes[p]
	if n == nil {
		n = &node{id: s.next(), folder: folder}
		s.nodes[p] = n
	}
	if n.folder != folder {
		return nil, fmt.Errorf("%q is of the other kind", p)
	}
	return n, nil
}

// Move renames an object with all below it.
func (s *Site) Move(from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.touch()
	if s.nodes[from] == nil {
		return fmt.Errorf("%q is not there", from)
	}
	s.move(from, to)
	return nil
}

func (s *Site) move(from, to string) {
	for _, p := range s.below(from) {
		s.nodes[to+p[len(from):]] = s.nodes[p]
		delete(s.nodes, p)
	}
}

// below gives a path and all paths below it.
func (s *Site) below(top string) (paths []string) {
	for p := range s.nodes {
		if p == top || strings.HasPrefix(p, top+"/") {
			paths = append(paths, p)
		}
	}
	return paths
}

// Remove removes an object with all below it.
func (s *Site) Remove(p string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.touch()
	for _, q := range s.below(p) {
		delete(s.nodes, q)
	}
	return nil
}

// Things gives all that stands on the site.
func (s *Site) Things() (map[string]Thing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	things := map[string]Thing{}
	for p, n := range s.nodes {
		mark, err := markOf(n.state)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", p, err)
		}
		things[p] = Thing{Container: n.folder, Data: n.data, Mark: mark}
	}
	return things, nil
}

func markOf(state string) (int, error) {
	var st treeState
	if err := json.Unmarshal([]byte(state), &st); err != nil {
		return 0, err
	}
	var sec int64
	if _, err := fmt.Sscanf(st.Mtime, "%d.", &sec); err != nil {
		return 0, err
	}
	return int(sec - markBase), nil
}

func (n *node) fingerprint() string { return fmt.Sprintf("%d.%x", n.rev, n.state) }

func (n *node) typ() string {
	if n.folder {
		return content.TypeFolder
	}
	return content.TypeFile
}

// List yields every object, in the order of the paths.
func (s *Site) List(ctx context.Context) iter.Seq2[content.Item, error] {
	return func(yield func(content.Item, error) bool) {
		items, err := s.items(ctx)
		for _, it := range items {
			if !yield(it, nil) {
				return
			}
		}
		if err != nil {
			yield(content.Item{}, err)
		}
	}
}

func (s *Site) items(ctx context.Context) ([]content.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.OnList != nil {
		if err := s.OnList(ctx); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, fault.OfSite(fault.Retry, fault.SourceMissing, errors.New("the site is not there"))
	}
	var items []content.Item
	for p, n := range s.nodes {
		it := content.Item{Path: p, Type: n.typ(), Identity: fmt.Sprint(n.id), Fingerprint: n.fingerprint(), Handle: n.id}
		it.Unsettled = s.OnUnsettled != nil && s.OnUnsettled(p)
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b content.Item) int { return strings.Compare(a.Path, b.Path) })
	return items, nil
}

// Read gives the state of an object as it is now.
func (s *Site) Read(ctx context.Context, item content.Item) (*content.Snapshot, error) {
	if s.OnRead != nil {
		if err := s.OnRead(ctx, item); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, fault.OfSite(fault.Retry, fault.SourceMissing, errors.New("the site is not there"))
	}
	n := s.nodes[item.Path]
	if id, ok := item.Handle.(uint64); n == nil || ok && id != n.id {
		return nil, fault.Errorf(fault.Retry, fault.Vanished, "read %q: it is not there", item.Path)
	}
	snap := &content.Snapshot{Fingerprint: n.fingerprint(), Close: func() error { return nil }, Meta: map[string]any{"size": int64(len(n.data))}}
	part := func(plugin, media, data string, names ...string) {
		snap.Parts = append(snap.Parts, content.Part{
			Plugin: plugin, MediaType: media, Names: names, Size: int64(len(data)), Body: strings.NewReader(data),
		})
	}
	part(content.PluginContent, "application/json", n.state)
	if !n.folder {
		part(content.PluginFSS, "application/octet-stream", n.data, "file", path.Base(item.Path))
	}
	return snap, nil
}

// Watch hints after each change.
func (s *Site) Watch(ctx context.Context, hint func()) error {
	ch := make(chan struct{}, 1)
	s.Lock(func() { s.hints[ch] = struct{}{} })
	defer s.Lock(func() { delete(s.hints, ch) })
	hint()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ch:
			hint()
		}
	}
}

// readAll gives the bytes of one payload, and an error unless they are all there.
func readAll(ctx context.Context, op content.Op, p *content.Payload) (string, error) {
	r, err := op.Open(ctx, p)
	if err != nil {
		return "", err
	}
	defer r.Close()
	var b bytes.Buffer
	if n, err := io.Copy(&b, r); err != nil || n != p.Size {
		return "", errors.Join(err, sizeFault(n, p.Size))
	}
	return b.String(), nil
}

func sizeFault(got, want int64) error {
	if got == want {
		return nil
	}
	return fault.Errorf(fault.Park, fault.BlobDamaged, "got %d bytes of %d", got, want)
}
