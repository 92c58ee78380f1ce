package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/spf13/cobra"

	"synchro.example/shared/config"
	"synchro.example/shared/control"
)

// hold says what to pause or to let go on.
type hold struct{ site, channel, path, reason string }

func (h *hold) flags(c *cobra.Command, reason string) {
	f := c.Flags()
	f.StringVar(&h.site, "site", "", "the site `NAME`, source or receiver")
	f.StringVar(&h.channel, "channel", "", "the channel `NAME`")
	f.StringVar(&h.path, "path", "", "with --site: only paths of this receiver that match `GLOB`")
	f.StringVar(&h.reason, "reason", "", reason)
}

func (h *hold) check(c *cobra.Command, cfg *config.Config) error {
	_, site := cfg.Sites[h.site]
	_, channel := cfg.Channels[h.channel]
	switch {
	case (h.site == "") == (h.channel == ""):
		return usage(c, "name either --site or --channel")
	case h.channel != "" && h.path != "":
		return usage(c, "--path goes with --site")
	case h.path != "" && !doublestar.ValidatePattern(h.path):
		return usage(c, fmt.Sprintf("--path %q is not a pattern", h.path))
	case h.site != "" && !site:
		return usage(c, fmt.Sprintf("%s has no site %q", cfg.File, h.site))
	case h.channel != "" && !channel:
		return usage(c, fmt.Sprintf("%s has no channel %q", cfg.File, h.channel))
	}
	return nil
}

func (h *hold) pause(ended bool) control.Pause {
	return control.Pause{Site: h.site, Channel: h.channel, Path: h.path, Reason: h.reason, By: userName(), Ended: ended}
}

func (a *app) pauseCommand() *cobra.Command {
	var h hold
	c := &cobra.Command{
		Use:   "pause",
		Short: "Stop work on a site, a channel, or some paths of a receiver",
		Long: `Stops work, durably, until "synchro resume" with the same selection: a source is
not exported, a channel not relayed, a receiver not written to. Nothing is lost;
what happens meanwhile waits.`,
		Example: `  synchro pause --site paris --reason "their migration, until Friday"
  synchro pause --site paris --path "news/**" --reason "legal looks at it"
  synchro pause --channel public --reason "embargo"`,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.control(c, &h, func(ctx context.Context, store *control.Store) error {
				if h.reason == "" {
					return usage(c, "--reason TEXT is missing")
				}
				if err := store.Pause(ctx, h.pause(false)); err != nil {
					return err
				}
				fmt.Fprintln(a.out, "Paused; `synchro resume` with the same selection lets it go on.")
				return nil
			})
		},
	}
	h.flags(c, "why, as a `TEXT` that status shows")
	return c
}

func (a *app) resumeCommand() *cobra.Command {
	var h hold
	c := &cobra.Command{
		Use:   "resume",
		Short: "Let work go on that was paused, or that the mass-removal guard holds",
		Long: `Ends a pause. With --site it also lets the removals go that the guard holds back at
that source, with --channel those of a changed expression: those that
"synchro status" shows, and no more.`,
		Example: `  synchro resume --site paris
  synchro resume --site hq --reason "the section was removed on purpose"`,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.control(c, &h, func(ctx context.Context, store *control.Store) error { return a.resume(ctx, &h, store) })
		},
	}
	h.flags(c, "why, as a `TEXT` for those who look later")
	return c
}

func (a *app) control(c *cobra.Command, h *hold, do func(context.Context, *control.Store) error) error {
	ctx := c.Context()
	conn, err := a.reading(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	if err := h.check(c, conn.Config); err != nil {
		return err
	}
	store, err := control.New(ctx, conn.JS)
	if err != nil {
		return err
	}
	return do(ctx, store)
}

// errNothing says that a resume had nothing to do.
var errNothing = errors.New("nothing is paused or held there; `synchro status` shows what is")

func (a *app) resume(ctx context.Context, h *hold, store *control.Store) error {
	state, err := store.Read(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, p := range state.Pauses() {
		if p.Site == h.site && p.Channel == h.channel && p.Path == h.path {
			found = true
			if err := store.Pause(ctx, h.pause(true)); err != nil {
				return err
			}
			fmt.Fprintln(a.out, "The pause is over.")
		}
	}
	g, held := state.Guard(h.site)
	if h.channel != "" {
		g, held = state.ChannelGuard(h.channel)
	}
	if held && h.path == "" {
		found = true
		g.Released, g.By, g.Reason, g.At = true, userName(), h.reason, time.Now().UTC()
		if err := store.Guard(ctx, g); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "%d removals at %s may go.\n", g.Removals, cmp.Or(h.site, "channel "+h.channel))
	}
	if !found {
		return errNothing
	}
	return nil
}
