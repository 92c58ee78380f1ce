package command

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"synchro.example/shared/fault"
)

func TestWorkIsBegunAnewWhileTheBrokerIsSlow(t *testing.T) {
	slow := fmt.Errorf("make the consumer: %w", context.DeadlineExceeded)
	for _, c := range []struct {
		name  string
		errs  []error
		calls int
		ends  error
	}{
		{"it works", []error{nil}, 1, nil},
		{"slow at first", []error{slow, slow, nil}, 3, nil},
		{"another fault", []error{fault.New(fault.Stop, fault.Misconfigured, errors.ErrUnsupported), nil}, 1, errors.ErrUnsupported},
		{"always slow", []error{slow, slow, slow, slow, slow, slow, slow, slow}, persistence + 1, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			err := persist(t.Context(), func() error {
				calls++
				return c.errs[calls-1]
			})
			if calls != c.calls || !errors.Is(err, c.ends) {
				t.Errorf("got %v after %d calls, want %v after %d", err, calls, c.ends, c.calls)
			}
		})
	}
}
