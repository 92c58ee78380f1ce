package command

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"synchro.example/shared/deadletter"
)

func (a *app) discardCommand() *cobra.Command {
	var s selection
	var reason string
	var yes bool
	c := &cobra.Command{
		Use:   "discard",
		Short: "Give failed changes up",
		Long: `Gives failed changes up: the sites stay as they are for these objects until there
is a newer change. Who did it, and why, is kept for 30 days and listed by
"synchro errors --closed". Asks before it does anything.`,
		Example: `  synchro discard --site paris --path "old/**" --reason "the section is closed"
  synchro discard --code unsupported --reason "not needed there" --yes`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.check(c); err != nil {
				return err
			}
			if strings.TrimSpace(reason) == "" {
				return usage(c, "--reason TEXT is missing")
			}
			return a.discard(c.Context(), &s, reason, yes)
		},
	}
	s.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "why, as a `TEXT` for those who look later")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (a *app) discard(ctx context.Context, s *selection, reason string, yes bool) error {
	conn, err := a.reading(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	entries, err := s.find(ctx, conn)
	if err != nil {
		return err
	}
	if err := a.printErrors(entries); err != nil || len(entries) == 0 {
		return err
	}
	if !yes && !a.confirm(os.Stdin, fmt.Sprintf("Give up these %d changes?", len(entries))) {
		return fmt.Errorf("nothing is discarded")
	}
	if err := a.ask(ctx, conn, entries, deadletter.Request{Discard: true, By: userName(), Why: reason}, 0); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%d changes are given up.\n", len(entries))
	a.tellStopped(ctx, conn, entries)
	return nil
}

// confirm asks a question; only a yes is one.
func (a *app) confirm(in io.Reader, question string) bool {
	fmt.Fprintf(a.out, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
