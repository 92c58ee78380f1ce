package tree

import "testing"

func path(t *testing.T, tr *Tree[int], uid, want string) {
	t.Helper()
	if got, ok := tr.Path(uid); !ok || got != want {
		t.Errorf("path of %s is %q, %v, want %q", uid, got, ok, want)
	}
}

func TestAMoveTakesAlongWhatLiesBelow(t *testing.T) {
	tr := New[int]()
	tr.Put("leaf", Place{"dir", "x"}, 1)
	if _, ok := tr.Path("leaf"); ok {
		t.Error("a node has a path before its container is known")
	}
	tr.Put("dir", Place{"", "a"}, 2)
	path(t, tr, "leaf", "a/x")
	tr.Put("dir", Place{"", "b"}, 2)
	path(t, tr, "leaf", "b/x")
	if _, ok := tr.At(Place{"", "a"}); ok {
		t.Error("the place that was left is still taken")
	}
}

func TestThePlaceBelongsToTheLastComer(t *testing.T) {
	tr := New[int]()
	tr.Put("one", Place{"", "a"}, 1)
	tr.Put("two", Place{"", "a"}, 2)
	tr.Remove("one")
	if uid, _ := tr.At(Place{"", "a"}); uid != "two" {
		t.Errorf("place holds %q, want two", uid)
	}
	tr.Remove("two")
	if !tr.Empty("") || tr.Len() != 0 {
		t.Error("the tree is not empty")
	}
}

func TestALoopHasNoPath(t *testing.T) {
	tr := New[int]()
	tr.Put("a", Place{"b", "a"}, 1)
	tr.Put("b", Place{"a", "b"}, 1)
	if p, ok := tr.Path("a"); ok {
		t.Errorf("a loop has the path %q", p)
	}
}
