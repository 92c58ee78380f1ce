package schedule

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var operations = flag.Int("schedule.operations", 100_000, "random operations of the comparison with the model")

// model is the plain meaning of the scheduler: a task may run when no earlier
// unfinished task conflicts with it.
type model struct{ open []modelTask }

type modelTask struct {
	id    int
	paths []string
}

func conflict(a, b []string) bool {
	for _, p := range a {
		for _, q := range b {
			if p == q || strings.HasPrefix(p, q+"/") || strings.HasPrefix(q, p+"/") {
				return true
			}
		}
	}
	return false
}

func (m *model) runnable() []int {
	var ids []int
	for i, t := range m.open {
		free := !slices.ContainsFunc(m.open[:i], func(e modelTask) bool { return conflict(e.paths, t.paths) })
		if free {
			ids = append(ids, t.id)
		}
	}
	return ids
}

func (m *model) done(id int) {
	m.open = slices.DeleteFunc(m.open, func(t modelTask) bool { return t.id == id })
}

func randomPath(r *rand.Rand) string {
	names := []string{"a", "b", "c"}
	p := names[r.IntN(3)]
	for range r.IntN(4) {
		p += "/" + names[r.IntN(3)]
	}
	return p
}

func randomPaths(r *rand.Rand) []string {
	paths := []string{randomPath(r)}
	if r.IntN(4) == 0 {
		paths = append(paths, randomPath(r))
	}
	return paths
}

// TestAgainstModel adds and finishes tasks at random and compares, after every
// step, what may run with what the model says.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			compare(t, rand.New(rand.NewPCG(seed, 1)), *operations/20)
		})
	}
}

func compare(t *testing.T, r *rand.Rand, steps int) {
	s, m := New[int](), &model{}
	running := map[int]*Task[int]{}
	for step := range steps {
		if len(m.open) < 24 && r.IntN(2) == 0 {
			paths := randomPaths(r)
			s.Add(step, paths...)
			m.open = append(m.open, modelTask{step, paths})
		} else if id, ok := anyKey(r, running); ok {
			s.Done(running[id])
			delete(running, id)
			m.done(id)
		}
		for task := s.Next(); task != nil; task = s.Next() {
			running[task.Value] = task
		}
		want := m.runnable()
		if got := sortedKeys(running); !slices.Equal(got, want) {
			t.Fatalf("step %d: may run %v, the model says %v; open: %v", step, got, want, m.open)
		}
		if s.Open() != len(m.open) {
			t.Fatalf("step %d: %d open, want %d", step, s.Open(), len(m.open))
		}
	}
	for len(running) > 0 {
		for _, task := range running {
			delete(running, task.Value)
			s.Done(task)
		}
		for task := s.Next(); task != nil; task = s.Next() {
			running[task.Value] = task
		}
	}
	if s.Open() != 0 || len(s.root.below) != 0 || s.root.first != nil {
		t.Fatalf("%d tasks and %d nodes are left over", s.Open(), len(s.root.below))
	}
}

func sortedKeys(m map[int]*Task[int]) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func anyKey(r *rand.Rand, m map[int]*Task[int]) (int, bool) {
	if len(m) == 0 {
		return 0, false
	}
	keys := sortedKeys(m)
	return keys[r.IntN(len(keys))], true
}

// BenchmarkAddDone shows that the cost of a decision does not grow with what waits.
func BenchmarkAddDone(b *testing.B) {
	for _, waiting := range []int{0, 1_000, 100_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			s := New[int]()
			s.Add(0, "blocked")
			s.Next()
			for i := range waiting {
				s.Add(i, fmt.Sprintf("blocked/%d", i))
			}
			for b.Loop() {
				s.Add(1, "docs/reports/2026/annual")
				s.Done(s.Next())
			}
		})
	}
}

func TestWhatHasWaitedComesBeforeWhatArrivedLater(t *testing.T) {
	s := New[string]()
	for _, p := range []string{"a", "a/b", "c", "d", "a/e"} {
		s.Add(p, p)
	}
	s.Done(s.Next())
	var got []string
	for task := s.Next(); task != nil; task = s.Next() {
		got = append(got, task.Value)
	}
	if want := []string{"a/b", "c", "d", "a/e"}; !slices.Equal(got, want) {
		t.Errorf("they run as %v, want %v", got, want)
	}
}
