package contenttest

import (
	"context"
	"errors"
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

func TestSiteIsASource(t *testing.T) {
	Source(t, func(*testing.T) SourceFixture {
		s := NewSite()
		return SourceFixture{Source: s, World: s, Gone: s.SetGone}
	})
}

func TestSiteIsATarget(t *testing.T) {
	Target(t, func(*testing.T) TargetFixture {
		s := NewSite()
		return TargetFixture{Target: s, World: s, Gone: s.SetGone, Effects: s.Effects}
	})
}

func TestHooksInjectFaults(t *testing.T) {
	s := NewSite()
	f := TargetFixture{Target: s, World: s, Encode: EncodeTree}
	lost := errors.New("the connection broke")
	s.OnApply = func(_ context.Context, op content.Op) error {
		if op.To == "bad" {
			return fault.New(fault.Park, fault.Permission, errors.New("no"))
		}
		return nil
	}
	s.OnApplied = func(_ context.Context, op content.Op) error {
		if op.To == "done" {
			return lost
		}
		return nil
	}
	errs := s.Apply(t.Context(), []content.Op{f.op("1", "", "bad", Leaf("", 1)), f.op("2", "", "done", Leaf("", 2))})
	wantFault(t, errs[0], fault.Permission)
	if !errors.Is(errs[1], lost) {
		t.Errorf("result %v", errs[1])
	}
	f.wants(t, map[string]Thing{"done": Leaf("", 2)})
}
