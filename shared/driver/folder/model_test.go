//go:build unix

package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// model is what a tree should hold after random operations. An object is known by
// where it is; everything is applied to the driver in one-op batches or larger.
type model struct {
	root   string
	target *Target
	should map[string]entry
}

var segments = []string{"a", "b", "A", "x\ny", "z\xff", strings.Repeat("l", 255)}

func (m *model) paths(folders bool) (ps []string) {
	for p, e := range m.should {
		if e.folder == folders {
			ps = append(ps, p)
		}
	}
	return sorted(ps)
}

func (m *model) spot(rt *rapid.T) string {
	up := rapid.SampledFrom(append([]string{""}, m.paths(true)...)).Draw(rt, "folder")
	name := rapid.SampledFrom(segments).Draw(rt, "name")
	return strings.TrimPrefix(up+"/"+name, "/")
}

func (m *model) any(rt *rapid.T) string {
	all := sorted(append(m.paths(true), m.paths(false)...))
	if len(all) == 0 {
		rt.Skip("empty")
	}
	return rapid.SampledFrom(all).Draw(rt, "object")
}

func drawEntry(rt *rapid.T, folder bool) entry {
	e := entry{folder: folder}
	e.mode = rapid.SampledFrom([]uint32{0o644, 0o755, 0o600, 0o1777, 0o444}).Draw(rt, "mode")
	e.mtime = stamp{rapid.Int64Range(-10, 4e9).Draw(rt, "sec"), rapid.Int64Range(0, 999999999).Draw(rt, "nsec")}
	if !folder {
		e.data = strings.Repeat(rapid.SampledFrom([]string{"", "x", "\x00"}).Draw(rt, "byte"), rapid.SampledFrom([]int{1, 70_000, 300_000}).Draw(rt, "length"))
	}
	return e
}

func (m *model) below(top string) (ps []string) {
	for p := range m.should {
		if strings.HasPrefix(p, top+"/") {
			ps = append(ps, p)
		}
	}
	return ps
}

// do applies an op twice: the second time nothing may change.
func (m *model) do(rt *rapid.T, op content.Op, code fault.Code) {
	for range rapid.IntRange(1, 2).Draw(rt, "times") {
		err := m.target.Apply(rt.Context(), []content.Op{op})[0]
		if code == "" && err != nil || code != "" && (err == nil || fault.Of(err).Code != code) {
			rt.Fatalf("%q to %q gave %v, want %q", op.From, op.To, err, code)
		}
	}
}

func (m *model) create(rt *rapid.T) {
	p := m.spot(rt)
	folder := rapid.Bool().Draw(rt, "is folder")
	e := drawEntry(rt, folder)
	now, there := m.should[p]
	switch {
	case there && now.folder && !folder && len(m.below(p)) > 0, there && !now.folder && folder:
		m.do(rt, e.op("", p), fault.PathTaken)
	default:
		m.do(rt, e.op("", p), "")
		m.should[p] = e
	}
}

func (m *model) change(rt *rapid.T) {
	p := m.any(rt)
	folder := m.should[p].folder != (rapid.IntRange(0, 4).Draw(rt, "change of type") == 0)
	e := drawEntry(rt, folder)
	if m.should[p].folder && !folder && len(m.below(p)) > 0 {
		m.do(rt, e.op(p, p), fault.NotEmpty)
		return
	}
	op := e.op(p, p)
	if !folder && !m.should[p].folder && rapid.Bool().Draw(rt, "same bytes") {
		e.data = m.should[p].data
		op = e.op(p, p)
		op.SameBytes = true
	}
	m.do(rt, op, "")
	m.should[p] = e
}

func (m *model) move(rt *rapid.T) {
	from, to := m.any(rt), m.spot(rt)
	if _, there := m.should[to]; there || strings.HasPrefix(to, from+"/") {
		rt.Skip("no room")
	}
	e := drawEntry(rt, m.should[from].folder)
	op := e.op(from, to)
	if !e.folder && rapid.Bool().Draw(rt, "same bytes") {
		e.data = m.should[from].data
		op = e.op(from, to)
		op.SameBytes = true
	}
	m.do(rt, op, "")
	for _, p := range m.below(from) {
		m.should[to+p[len(from):]] = m.should[p]
		delete(m.should, p)
	}
	delete(m.should, from)
	m.should[to] = e
}

func (m *model) remove(rt *rapid.T) {
	p := m.any(rt)
	if len(m.below(p)) > 0 {
		m.do(rt, removal(p, content.TypeFolder), fault.NotEmpty)
		return
	}
	m.do(rt, removal(p, content.TypeFile), "")
	delete(m.should, p)
}

// many applies files to random places in one batch.
func (m *model) many(rt *rapid.T) {
	var ops []content.Op
	for range rapid.IntRange(1, 40).Draw(rt, "files") {
		p := m.spot(rt)
		if now, there := m.should[p]; there && now.folder {
			continue
		}
		e := drawEntry(rt, false)
		ops = append(ops, e.op("", p))
		m.should[p] = e
	}
	if err := errors.Join(m.target.Apply(rt.Context(), ops)...); err != nil {
		rt.Fatal(err)
	}
}

// check compares the tree with the model, and the source's listing with the tree.
func (m *model) check(rt *rapid.T) {
	is, err := entriesOf(m.root)
	if err != nil {
		rt.Fatal(err)
	}
	for p, e := range m.should {
		if is[p] != e {
			rt.Errorf("%.40q is %s, want %s", p, brief(is[p]), brief(e))
		}
	}
	if len(is) != len(m.should) {
		rt.Errorf("the tree holds %d objects, want %d", len(is), len(m.should))
	}
	left, err := os.ReadDir(stagingPath(m.root, ""))
	if err != nil || len(left) != 1 {
		rt.Errorf("left in the staging folder: %v, %v", left, err)
	}
}

func brief(e entry) string {
	return fmt.Sprintf("{folder %v, %d bytes, %o, %v}", e.folder, len(e.data), e.mode, e.mtime)
}

func entriesOf(root string) (map[string]entry, error) {
	is := map[string]entry{}
	h, err := openHandle(root)
	if err != nil {
		return nil, err
	}
	defer h.close()
	err = filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel := p[len(root)+1:]
		st, err := h.lookup(rel)
		e := entry{folder: st.isDir(), mode: st.perm(), mtime: st.mtime}
		if err == nil && !e.folder {
			var b []byte
			b, err = os.ReadFile(p)
			e.data = string(b)
		}
		is[rel] = e
		return err
	})
	return is, err
}

// sorted is for rapid, which wants the same choice for the same draw.
func sorted(ps []string) []string {
	slices.Sort(ps)
	return ps
}

func TestRandomOperationsAgreeWithAModel(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(base, "run") //nolint:usetesting // one for each of rapid's many runs
		if err != nil {
			rt.Fatal(err)
		}
		root := filepath.Join(dir, "tree")
		target, err := OpenTarget(Options{Path: root, Log: quietLog()})
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{root: root, target: target.(*Target), should: map[string]entry{}}
		defer func() {
			_ = target.Close()
			_ = os.RemoveAll(dir)
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"create": m.create, "change": m.change, "move": m.move, "remove": m.remove, "many": m.many, "": m.check,
		})
	})
}
