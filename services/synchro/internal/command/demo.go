package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"synchro.example/services/synchro/internal/demosite"
	"synchro.example/shared/config"
)

const (
	demoLimit = time.Minute           // for all sites to become equal
	demoLook  = 50 * time.Millisecond // between two looks at that
	demoShown = 10                    // differences that are named, for each site
)

func (a *app) demoCommand() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it work: a source and three receivers in a temporary folder",
		Long: `Makes a small site of pages and pictures in a temporary folder, and three empty
receivers beside it. Starts everything, the broker included, and shows each change
as it lands. Nothing outside the folder is touched.

Without --once it runs until you stop it with Ctrl-C, for you to change the site by
hand; the folder is kept then. With --once it changes the site by itself, compares
all files with the source, and ends: with status 0 when all sites are equal, with 1
and the difference when they are not. The folder is removed then.`,
		Example: `  synchro demo
  synchro demo --once`,
		RunE: func(c *cobra.Command, _ []string) error { return a.demo(c.Context(), once) },
	}
	c.Flags().BoolVar(&once, "once", false, "make some changes, wait until all sites are equal, and exit")
	return c
}

func (a *app) demo(ctx context.Context, once bool) error {
	if !a.verbose {
		a.quiet = true // what the services say at their start would hide what the demo says
	}
	d, err := newDemo(ctx, a)
	if err != nil {
		return err
	}
	if once {
		err = d.script(ctx)
		return errors.Join(err, os.RemoveAll(d.dir))
	}
	err = d.serve(ctx)
	fmt.Fprintf(a.out, "\nStopped. The folder %s is kept; see more with\n  %s up --config %s\nor remove it with\n  rm -r %s\n",
		d.dir, invocation(os.Args[0]), d.config.File, d.dir)
	return err
}

// demo is a running demonstration.
type demo struct {
	app      *app
	dir      string
	config   *config.Config
	landings *landings
}

// newDemo makes the folder with everything in it that the demo needs.
func newDemo(ctx context.Context, a *app) (*demo, error) {
	dir, err := os.MkdirTemp("", "synchro-demo-")
	if err != nil {
		return nil, fmt.Errorf("make the folder of the demo: %w", err)
	}
	d := &demo{app: a, dir: dir, landings: newLandings(a.out)}
	if err := d.fill(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return d, nil
}

func (d *demo) fill(ctx context.Context) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	page, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	file := filepath.Join(d.dir, config.DefaultFile)
	if err := os.WriteFile(file, fmt.Appendf(nil, demoConfig, address, page), 0o644); err != nil {
		return fmt.Errorf("write the configuration of the demo: %w", err)
	}
	if d.config, err = config.Load(file); err != nil {
		return err
	}
	for _, site := range d.config.Sites {
		if err := os.Mkdir(site.Folder.Path, 0o755); err != nil {
			return fmt.Errorf("make a site's folder: %w", err)
		}
	}
	return demosite.Make(d.path(demoSource))
}

const demoSource = "hq"

const demoConfig = `# The demo: one source, three receivers, the broker in the same process.
broker: {embedded: {dir: ./broker, listen: %q}}
sites:
  hq:    {folder: {path: ./hq, rescan: 5s}}
  paris: {folder: {path: ./paris}}
  lyon:  {folder: {path: ./lyon}}
  nice:  {folder: {path: ./nice}}
channels:
  public: {from: hq, to: [paris, lyon, nice]}
http: {listen: %q}
`

// freeAddress asks the kernel for a port that nobody has.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func (d *demo) path(site string) string { return d.config.Sites[site].Folder.Path }

// serve runs until ctx ends, and shows what lands.
func (d *demo) serve(ctx context.Context) error {
	return d.run(ctx, func(ctx context.Context) error {
		equal, err := d.firstCopy(ctx)
		if ctx.Err() != nil {
			return nil // stopped before there was anything to tell
		}
		if err != nil || !equal {
			return errors.Join(err, d.compare())
		}
		fmt.Fprint(d.app.out, d.invitation())
		d.landings.show()
		<-ctx.Done()
		return nil
	})
}

// script makes some changes, and compares the sites when all is said and done.
func (d *demo) script(ctx context.Context) error {
	err := d.run(ctx, func(ctx context.Context) error {
		if equal, err := d.firstCopy(ctx); err != nil || !equal {
			return err
		}
		d.landings.show()
		return d.edit(ctx)
	})
	if ctx.Err() != nil {
		return errors.New("the demo was stopped before its end; its folder is removed")
	}
	if err != nil {
		return err
	}
	return d.compare()
}

// edit makes the changes one after the other, each when the last has landed.
func (d *demo) edit(ctx context.Context) error {
	for _, e := range demosite.Edits(d.path(demoSource)) {
		d.landings.announce(e.What)
		if err := e.Do(); err != nil {
			return fmt.Errorf("%s: %w", e.What, err)
		}
		if equal, err := d.equal(ctx); err != nil || !equal {
			return err
		}
	}
	return nil
}

// run runs all services for as long as what runs.
func (d *demo) run(ctx context.Context, what func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.app.up(ctx, d.config, false, d.landings.tell) })
	g.Go(func() error {
		defer stop()
		return what(ctx)
	})
	return g.Wait()
}

func (d *demo) firstCopy(ctx context.Context) (equal bool, err error) {
	fmt.Fprintf(d.app.out, "A small site stands in %s.\nIt is being copied to three receivers …\n", d.path(demoSource))
	start := time.Now()
	equal, err = d.equal(ctx)
	if equal {
		fmt.Fprintf(d.app.out, "All three are equal to it after %v.\n\n", time.Since(start).Round(time.Millisecond))
	}
	return equal, err
}

// equal waits until all receivers are equal to the source: false when that takes
// longer than it may.
func (d *demo) equal(ctx context.Context) (bool, error) {
	for end := time.Now().Add(demoLimit); ; {
		found, err := d.differences()
		if err != nil {
			return false, err
		}
		if len(found) == 0 {
			return true, nil
		}
		if time.Now().After(end) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(demoLook):
		}
	}
}

// differences gives the differences of each receiver that has some.
func (d *demo) differences() (map[string][]string, error) {
	source, err := demosite.Read(d.path(demoSource))
	if err != nil {
		return nil, fmt.Errorf("read the source: %w", err)
	}
	found := map[string][]string{}
	for _, site := range d.config.Receivers() {
		copied, err := demosite.Read(d.path(site))
		if err != nil {
			return nil, fmt.Errorf("read site %s: %w", site, err)
		}
		if diff := source.Differences(copied); len(diff) > 0 {
			found[site] = diff
		}
	}
	return found, nil
}

// compare prints a table of all sites. Its error names the differences.
func (d *demo) compare() error {
	found, err := d.differences()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(d.app.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nSITE\tOBJECTS\tBYTES\tDIFFERENCES")
	for _, site := range append([]string{demoSource}, d.config.Receivers()...) {
		tree, err := demosite.Read(d.path(site))
		if err != nil {
			return fmt.Errorf("read site %s: %w", site, err)
		}
		differences := fmt.Sprint(len(found[site]))
		if site == demoSource {
			differences = "(the source)"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", site, tree.Len(), tree.Bytes, differences)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return differenceError(found)
}

func differenceError(found map[string][]string) error {
	var errs []error
	for _, site := range sortedKeys(found) {
		for i, text := range found[site] {
			if i == demoShown {
				errs = append(errs, fmt.Errorf("%s: and %d more", site, len(found[site])-i))
				break
			}
			errs = append(errs, fmt.Errorf("%s is not equal to %s: %s", site, demoSource, text))
		}
	}
	return errors.Join(errs...)
}

// invitation tells where to look and what to try. What this program is called is
// typed where it was started; all else in the demo's folder.
func (d *demo) invitation() string {
	return fmt.Sprintf(`Look into these folders, and change the first:

  %s    the source
  %s
  %s
  %s

Look at this page for what flows, lands and fails:

  http://%s

In another terminal you might ask how all sites are,

  %s status --config %s

and then try

  cd %s
  echo '<!-- hello -->' >> hq/index.html
  mv hq/exhibitions hq/shows
  rm -r hq/news/2025
  diff -r hq paris && echo equal

Stop it with Ctrl-C. Each change as it lands:
`, d.path(demoSource), d.path("paris"), d.path("lyon"), d.path("nice"), d.config.HTTP.Listen, invocation(os.Args[0]), d.config.File, d.dir)
}

// invocation is how the one who runs this program can run it again: `go run` builds
// it in a folder that is gone afterwards.
func invocation(program string) string {
	if strings.Contains(filepath.ToSlash(program), "/go-build") {
		return "go run ./services/synchro"
	}
	return program
}
