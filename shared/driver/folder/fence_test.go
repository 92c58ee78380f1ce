//go:build unix

package folder

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// fenced is a context that tells the loss of a lease when asked.
type fenced struct {
	context.Context
	lost atomic.Bool
}

func (f *fenced) Err() error {
	if f.lost.Load() {
		return fault.OfSite(fault.Retry, fault.LeaseLost, errors.New("taken over"))
	}
	return f.Context.Err()
}

func TestATargetThatHangsLosesTheTreeToOneOfTheSameOwnerAndChangesNothing(t *testing.T) {
	root := filepath.Join(t.TempDir(), "site")
	must(t, os.Mkdir(root, 0o755))
	old := newTarget(t, Options{Path: root, Owner: "paris 1"})
	must(t, apply(t, old, file("one").op("", "page"), file("gone").op("", "old")))

	ctx := &fenced{Context: t.Context()}
	late := file("stale").op("page", "page")
	inApply, goOn := make(chan struct{}), make(chan struct{})
	late.Open = func(context.Context, *content.Payload) (io.ReadCloser, error) {
		close(inApply)
		<-goOn // here it was stopped
		return io.NopCloser(strings.NewReader("stale")), nil
	}
	result := make(chan []error)
	go func() { result <- old.Apply(ctx, []content.Op{late, removal("old", content.TypeFile)}) }()
	<-inApply

	if _, err := OpenTarget(Options{Path: root, Owner: "paris 2"}); err == nil {
		t.Fatal("another owner got the tree")
	}
	successor := newTarget(t, Options{Path: root, Owner: "paris 1"})
	must(t, apply(t, successor, file("two").op("page", "page")))
	ctx.lost.Store(true)
	close(goOn)
	for _, err := range <-result {
		wantCode(t, err, fault.LeaseLost)
	}
	must(t, apply(t, successor, file("three").op("", "another")))
	for name, want := range map[string]string{"page": "two", "old": "gone", "another": "three"} {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", name, got, err, want)
		}
	}
}
