package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/spf13/cobra"

	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/tales"
)

// exprOptions say what an expression is tried on.
type exprOptions struct {
	object, site, channel, path string
	asJSON                      bool
}

func (a *app) exprCommand() *cobra.Command {
	var o exprOptions
	c := &cobra.Command{
		Use:   "expr [EXPRESSION]",
		Short: "Try an expression on the objects of a log, or on one object",
		Long: `Without --object, the expression is tried on every object that the log of a source
has: those that meet it are listed, and those for which it fails. With --channel, what
would enter the channel or leave it is listed as well, also the containers that come and
go with what lies in them; nothing is changed. With --channel and without an expression,
it is that of the channel.

With --object, it is tried on one object, and its value is printed. All fields of the
JSON may be left out: uid, name, path, type, source, kind, captured_at, meta.

docs/expressions.md describes the language.`,
		Example: `  synchro expr "python: object.review_state == 'published'" --channel public
  synchro expr --channel public
  synchro expr "python: object.getId().endswith('.html')" --site hq --path "news/**" --json
  synchro expr "object/Title" --object '{"meta": {"title": "Spring"}}'
  synchro expr "object/Title" --object - <object.json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error { return a.expr(c, args, &o) },
	}
	f := c.Flags()
	f.StringVar(&o.object, "object", "", "try it on the object that `JSON` describes, or on that of the standard input for -")
	f.StringVar(&o.site, "site", "", "the source `NAME`, where the configuration has several")
	f.StringVar(&o.channel, "channel", "", "compare with what the channel `NAME` has")
	f.StringVar(&o.path, "path", "", "only those whose path matches `GLOB`, such as \"news/**\"")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	return c
}

func (a *app) expr(c *cobra.Command, args []string, o *exprOptions) error {
	switch {
	case len(args) > 1, len(args) == 0 && o.channel == "":
		return usage(c, "write one expression, in quotes, or --channel for that of a channel")
	case o.path != "" && !doublestar.ValidatePattern(o.path):
		return usage(c, fmt.Sprintf("--path %q is not a pattern", o.path))
	case o.object != "" && o.site+o.channel+o.path != "":
		return usage(c, "--object goes with --json only")
	}
	text, err := a.exprText(args, o)
	if err != nil {
		return err
	}
	e, err := tales.Compile(text)
	if err != nil {
		return fmt.Errorf("the expression: %w", err)
	}
	if o.object != "" {
		return a.exprOne(c.InOrStdin(), e, o)
	}
	return a.exprLog(c.Context(), e, o)
}

// exprText gives the expression that is meant: the one that is written, or the channel's.
func (a *app) exprText(args []string, o *exprOptions) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	cfg, err := config.Load(a.config)
	if err != nil {
		return "", err
	}
	ch, known := cfg.Channels[o.channel]
	switch {
	case !known:
		return "", fault.Errorf(fault.Stop, fault.Misconfigured, "%s has no channel %q", cfg.File, o.channel)
	case ch.Expression == "":
		return "", fault.Errorf(fault.Stop, fault.Misconfigured, "channel %s has no expression: it carries everything; write one to try it", o.channel)
	}
	if !o.asJSON {
		fmt.Fprintf(a.out, "channel %s: %s\n", o.channel, printable(ch.Expression))
	}
	return ch.Expression, nil
}

// described is an object as JSON describes it.
type described struct {
	UID        string         `json:"uid"`
	Name       string         `json:"name"`
	Path       string         `json:"path"`
	Type       string         `json:"type"`
	Source     string         `json:"source"`
	Kind       content.Kind   `json:"kind"`
	CapturedAt time.Time      `json:"captured_at"`
	Meta       map[string]any `json:"meta"`
}

// maxDescribed is the largest object that is read.
const maxDescribed = 16 << 20

func readDescribed(text string, stdin io.Reader) (*content.Change, error) {
	var in io.Reader = strings.NewReader(text)
	if text == "-" {
		in = io.LimitReader(stdin, maxDescribed)
	}
	d := described{Kind: content.Modified}
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "read the object of --object: %w", err)
	}
	if d.Name == "" && d.Path != "" {
		d.Name = path.Base(d.Path)
	}
	return &content.Change{
		Source: d.Source, Kind: d.Kind, CapturedAt: d.CapturedAt,
		Object: content.Object{UID: d.UID, Name: d.Name, Path: d.Path, Type: d.Type, Meta: d.Meta},
	}, nil
}

// tried is what an expression gives for one object.
type tried struct {
	Matches bool `json:"matches"`
	Value   any  `json:"value"`
}

func (a *app) exprOne(stdin io.Reader, e *tales.Expression, o *exprOptions) error {
	change, err := readDescribed(o.object, stdin)
	if err != nil {
		return err
	}
	t := tried{}
	if t.Value, err = e.Value(change); err != nil {
		return err
	}
	if t.Matches, err = e.Matches(change); err != nil {
		return err
	}
	if o.asJSON {
		return a.printJSON(t)
	}
	value, err := json.Marshal(t.Value)
	if err != nil {
		return fmt.Errorf("print the value: %w", err)
	}
	fmt.Fprintf(a.out, "%s\nThe object %s the expression.\n", printable(string(value)), map[bool]string{true: "meets", false: "does not meet"}[t.Matches])
	return nil
}

func (a *app) exprLog(ctx context.Context, e *tales.Expression, o *exprOptions) error {
	conn, err := a.reading(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	site, err := sourceOf(conn.Config, o.site, o.channel)
	if err != nil {
		return err
	}
	objects, err := logged(ctx, conn.JS, site)
	if err != nil {
		return err
	}
	t, err := try(ctx, conn.Env, o.channel, e.String())
	if err != nil {
		return err
	}
	verdicts, counts := judge(e, objects, t, o.path)
	if o.asJSON {
		return a.printJSON(verdicts)
	}
	if err := a.printVerdicts(verdicts, counts); err != nil || o.channel == "" {
		return err
	}
	fmt.Fprintf(a.out, "%d would enter channel %s, %d would leave it, %d would change in it.\n",
		counts.changes["enters"], o.channel, counts.changes["leaves"], counts.changes["changes"])
	if t.held {
		fmt.Fprintln(a.out, "More would leave than max_removals lets go: the channel would wait for `synchro resume --channel`.")
	}
	return nil
}

func (a *app) printVerdicts(verdicts []verdict, n counts) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	if len(verdicts) > 0 {
		fmt.Fprintln(w, "MEETS IT\tCHANGE\tTYPE\tPATH\tREASON")
	}
	for _, v := range verdicts {
		meets := map[bool]string{true: "yes", false: "no"}[v.Matches]
		if v.Error != "" {
			meets = "fails"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", meets, v.Change, printable(v.Type), printable(v.Path), printable(v.Error))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%d of %d objects meet the expression, it fails for %d.\n", n.matching, n.objects, n.failing)
	return nil
}
