package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"synchro.example/services/bridge/inspect"
	"synchro.example/services/bridge/zexp"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/fault"
)

// zsOptions say how to look into classic files, and how to print what is found.
type zsOptions struct {
	allow            string
	tolerant, asJSON bool
	// unreadableOnly counts a file as bad only where nothing can be shown of it.
	unreadableOnly bool
}

func (o *zsOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.allow, "allow", "", "the `FILE` of globals that exports may name (default: those of ordinary content)")
	f.BoolVar(&o.tolerant, "tolerant", false, "take pickles of protocols 1 and 2 too, which only files made by hand have")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
}

func (a *app) zsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "zs",
		Short: "Look into the .zs files of classic queues",
		Long: `Looks into .zs files, and into ZODB exports (.zexp). Nothing in them is run or loaded.
docs/classic-files.md tells what is in such a file and why one is refused.`,
		Example: `  synchro zs show queue/EXPORT/DONE/*.zs
  synchro zs check queue/IMPORT/TO_PROCESS/*.zs
  synchro zs learn trusted/*.zs >globals.txt`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := noArgs(c, args); err != nil {
				return err
			}
			return c.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(a.zsShowCommand(), a.zsCheckCommand(), a.zsLearnCommand())
	return c
}

func (a *app) zsShowCommand() *cobra.Command {
	var o zsOptions
	c := &cobra.Command{
		Use:   "show FILE…",
		Short: "Print what is in files",
		Long: `Prints what is in files: the object, and what each plugin has to say of it. The status
is 1 when a file is refused as a whole; of an export that is refused, only that is said.`,
		Example: "  synchro zs show data_4f2a_1700000000.123456_42.zs --json",
		Args:    someFiles,
		RunE: func(_ *cobra.Command, names []string) error {
			o.unreadableOnly = true
			return a.zsEach(names, &o, a.printFile)
		},
	}
	o.flags(c)
	return c
}

func (a *app) zsCheckCommand() *cobra.Command {
	var o zsOptions
	c := &cobra.Command{
		Use:   "check FILE…",
		Short: "Say whether a bridge takes files",
		Long: `Says of each file whether a bridge takes it, and if not, why, and at which byte. The
status is 1 when one of them is refused or cannot be read.`,
		Example: "  synchro zs check --allow globals.txt queue/IMPORT/TO_PROCESS/*.zs",
		Args:    someFiles,
		RunE: func(_ *cobra.Command, names []string) error {
			return a.zsEach(names, &o, func(f *inspect.File) {
				if f.Refusal == nil {
					fmt.Fprintf(a.out, "%s: good\n", printable(f.Name))
				} else {
					fmt.Fprintf(a.out, "%s: refused: %s\n", printable(f.Name), printable(f.Refusal.String()))
				}
			})
		},
	}
	o.flags(c)
	return c
}

func (a *app) zsLearnCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "learn FILE…",
		Short: "Print the list of globals that trusted exports need",
		Long: `Prints every class and function that the exports in files name, one a line, with ()
behind those that they call. Read the list before a site gets it as its zexp_allow:
whatever is on it can be made in that site by whoever can send to it.`,
		Example: "  synchro zs learn trusted/*.zs >globals.txt",
		Args:    someFiles,
		RunE:    func(_ *cobra.Command, names []string) error { return a.zsLearn(names) },
	}
}

func someFiles(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usage(c, "name a file, or several")
	}
	return nil
}

// zsEach prints each file, and fails at the end when one of them is not good.
func (a *app) zsEach(names []string, o *zsOptions, show func(*inspect.File)) error {
	allowed, err := o.allowed()
	if err != nil {
		return err
	}
	var failures []error
	files := []*inspect.File{}
	refused := 0
	for _, name := range names {
		f, err := inspect.Open(name, inspect.Options{Allowed: allowed, Tolerant: o.tolerant})
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if o.counts(f) {
			refused++
		}
		if files = append(files, f); !o.asJSON {
			show(f)
			files = files[:0]
		}
	}
	if o.asJSON {
		failures = append(failures, a.printJSON(files))
	}
	if refused > 0 {
		failures = append(failures, fmt.Errorf("%d of %d files are refused", refused, len(names)))
	}
	return errors.Join(failures...)
}

// counts tells whether a refusal makes the command fail.
func (o *zsOptions) counts(f *inspect.File) bool {
	return f.Refusal != nil && (f.Path == "" || !o.unreadableOnly)
}

func (o *zsOptions) allowed() (*zexp.List, error) {
	if o.allow == "" {
		return zexp.Default(), nil
	}
	f, err := os.Open(o.allow)
	if err != nil {
		return nil, fault.Errorf(fault.Stop, fault.Misconfigured, "--allow: %w", err)
	}
	defer f.Close()
	l, err := zexp.ParseList(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.allow, err)
	}
	return l, nil
}

// zsLearn prints nothing when a file fails: a list that lacks something is soon mended
// by hand, and then nobody has looked at what was added.
func (a *app) zsLearn(names []string) error {
	var reports []*zexp.Report
	var failures []error
	for _, name := range names {
		f, err := inspect.Learn(name)
		if err == nil && f.Refusal != nil {
			err = fmt.Errorf("%s: %s", name, f.Refusal)
		}
		if err != nil {
			failures = append(failures, err)
			continue
		}
		for _, p := range f.Parts {
			if p.Export != nil {
				reports = append(reports, p.Export)
			}
		}
	}
	if len(failures) > 0 {
		return errors.Join(failures...)
	}
	fmt.Fprintf(a.out, "# What %s and %s name.\n", plural(len(names), "file"), plural(len(reports), "export"))
	return zexp.WriteList(a.out, reports...)
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// some is plural in a format, or nothing for none.
func some(format string, n int, word string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, plural(n, word))
}

func (a *app) printFile(f *inspect.File) {
	fmt.Fprintln(a.out, printable(f.Name))
	if f.Path != "" {
		fmt.Fprintf(a.out, "  object  %s\n", printable(f.Path))
	}
	if f.UID != "" {
		fmt.Fprintf(a.out, "  uid     %s\n", printable(f.UID))
	}
	for i := range f.Parts {
		printPart(a.out, &f.Parts[i])
	}
	if f.Leaked > 0 {
		fmt.Fprintf(a.out, "  left out: %s of other objects, which the exporter had repeated\n", plural(f.Leaked, "value"))
	}
	if f.Refusal != nil {
		fmt.Fprintf(a.out, "  refused: %s\n", printable(f.Refusal.String()))
	}
}

func printPart(out io.Writer, p *inspect.Part) {
	switch {
	case p.Kind == zs.Delete:
		fmt.Fprintf(out, "  delete  %s\n", printable(p.ID))
	case p.Kind == zs.ZEXP && p.Export == nil:
		fmt.Fprintf(out, "  zexp    %d bytes\n", p.Size)
	case p.Kind == zs.ZEXP:
		fmt.Fprintf(out, "  zexp    %s: %d bytes, %s%s%s\n", p.Export.Root, p.Size, plural(p.Export.Records, "record"),
			some(", %s", p.Export.Blobs, "blob"), some(", %s missing", p.Export.Dangling, "object"))
	}
	for _, f := range p.Fields {
		about := strings.Join([]string{printable(f.Filename), printable(f.MIMEType)}, ", ")
		fmt.Fprintf(out, "  fss     %s %s: %d bytes, %s\n", printable(f.Path), printable(f.Name), f.Size, about)
	}
}
