package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"

	"github.com/spf13/cobra"

	"synchro.example/services/bridge/direct"
	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/transfer"
	"synchro.example/shared/config"
	"synchro.example/shared/driver"
	"synchro.example/shared/service"
)

// classicNames are the commands of the classic package. A link of such a name to the
// binary is that command.
var classicNames = map[string]string{"create_queue": "create", "synchronize_queue": "sync", "import_queue": "import"}

// Args gives the arguments of a command line whose first word names the program.
func Args(line []string) []string {
	if verb, ok := classicNames[filepath.Base(line[0])]; ok {
		return append([]string{"queue", verb}, line[1:]...)
	}
	return line[1:]
}

// errHelp is the end of a classic command that lacks an option: it has printed its help.
var errHelp = errors.New("an option is missing")

// classicUsage is the exit status for that.
const classicUsage = 255

func (a *app) queueCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "queue",
		Short: "Make, move and import classic queues",
		Long: `The three commands of the classic package, with their options. A link to this program
named create_queue, synchronize_queue or import_queue is that command. They need no
broker. docs/classic-files.md tells what differs from the originals.`,
		Example: `  synchro queue create -d /srv/queue
  synchro queue sync -s /srv/queue -d /srv/queue -H paris.example.org
  synchro queue import -p /srv/queue -i paris`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := noArgs(c, args); err != nil {
				return err
			}
			return c.Help()
		},
	}
	c.AddCommand(a.queueCreateCommand(), a.queueSyncCommand(), a.queueImportCommand())
	return c
}

func (a *app) queueCreateCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:     "create",
		Short:   "Make a folder a queue",
		Long:    "Makes the eight folders of a queue. What is there already stays; the folder above must exist.",
		Example: "  synchro queue create -d /srv/queue",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				return helpInstead(c)
			}
			return queue.Create(dir)
		},
	}
	c.Flags().StringVarP(&dir, "directory", "d", "", "the `PATH` of the queue")
	return c
}

// helpInstead prints the help, as the classic commands do when an option is missing.
func helpInstead(c *cobra.Command) error { return errors.Join(c.Help(), errHelp) }

// queueOptions are those that the two commands which work on queues have in common.
type queueOptions struct{ logDir, varDir string }

func (o *queueOptions) flags(c *cobra.Command) {
	c.Flags().StringVarP(&o.logDir, "logdir", "l", os.TempDir(), "the folder `DIR` for synchro.log")
	c.Flags().StringVarP(&o.varDir, "vardir", "V", os.TempDir(), "the folder `DIR` for the lock")
}

// locked does work while it has a lock, and logs to the file, or with -q to stderr.
func (a *app) locked(o *queueOptions, lock string, work func(log *slog.Logger) error) error {
	level := slog.LevelInfo
	if a.verbose {
		level = slog.LevelDebug
	}
	out := a.err
	if !a.quiet {
		f, err := os.OpenFile(filepath.Join(o.logDir, "synchro.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		defer f.Close()
		out = f
	}
	release, err := transfer.Lock(o.varDir, lock)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
	err = work(log)
	if err != nil {
		log.Error("the run has failed", "error", err)
	}
	return errors.Join(err, release())
}

type syncOptions struct {
	queueOptions
	source, dest, user, host string
}

func (a *app) queueSyncCommand() *cobra.Command {
	var o syncOptions
	c := &cobra.Command{
		Use:   "sync",
		Short: "Move a queue's exports to a queue on another machine",
		Long: `Moves what the queue's EXPORT side has into the IMPORT side of a queue on another
machine, by SFTP with the keys of the agent and of ~/.ssh; the host must be in
~/.ssh/known_hosts. A run that was killed is gone on with by the next one. As with the
classic command, -q logs to stderr instead of the file, and -v logs each file.`,
		Example: "  synchro queue sync -s /srv/queue -d /srv/queue -u plone -H paris.example.org",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.source == "" || o.dest == "" {
				return helpInstead(c)
			}
			return a.locked(&o.queueOptions, "synchro", func(log *slog.Logger) error { return a.queueSync(c.Context(), &o, log) })
		},
	}
	f := c.Flags()
	f.StringVarP(&o.source, "source", "s", "", "the `PATH` of the queue here")
	f.StringVarP(&o.dest, "dest", "d", "", "the `PATH` of the queue there")
	f.StringVarP(&o.user, "user", "u", "", "log in as `NAME` (default: the name that you have here)")
	f.StringVarP(&o.host, "host", "H", "localhost", "the other machine, `HOST` or HOST:PORT")
	o.flags(c)
	return c
}

func (a *app) queueSync(ctx context.Context, o *syncOptions, log *slog.Logger) error {
	if err := queue.Valid(o.source); err != nil {
		return err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	if o.user == "" {
		self, err := user.Current()
		if err != nil {
			return fmt.Errorf("%w; name a user with -u", err)
		}
		o.user = self.Username
	}
	clients, done, err := transfer.Dial(ctx, home, o.user, o.host)
	if err != nil {
		return err
	}
	moved, err := transfer.Run(ctx, clients, transfer.Options{Source: o.source, Dest: o.dest, Log: log})
	log.Info("files are moved", "count", moved)
	if err == nil {
		err = done()
	} else {
		_ = done() // the connection may be what has failed
	}
	return err
}

func (a *app) queueImportCommand() *cobra.Command {
	var o queueOptions
	var path, site string
	c := &cobra.Command{
		Use:   "import",
		Short: "Import a queue into a site of the configuration",
		Long: `Applies what the queue's IMPORT side has to a site that the configuration names,
without the broker: fields and files (fss) and deletions. Do not use it on a site that
a channel sends to: that one has an importer of its own. The status is 3 when files
went to ERROR. As with the classic command, -q logs to stderr instead of the file.`,
		Example: "  synchro queue import -p /srv/queue -i paris --config FILE",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" || site == "" {
				return helpInstead(c)
			}
			return a.locked(&o, "import", func(log *slog.Logger) error { return a.queueImport(c, path, site, log) })
		},
	}
	c.Flags().StringVarP(&path, "path", "p", "", "the `PATH` of the queue")
	c.Flags().StringVarP(&site, "instance", "i", "", "the `SITE` of the configuration to import into")
	o.flags(c)
	return c
}

func (a *app) queueImport(c *cobra.Command, path, site string, log *slog.Logger) error {
	cfg, err := config.Load(a.config)
	if err != nil {
		return err
	}
	s, ok := cfg.Sites[site]
	if !ok {
		return usage(c, fmt.Sprintf("%s has no site %q", cfg.File, site))
	}
	if err := errors.Join(queue.Valid(path), driver.Check(site, s)); err != nil {
		return err
	}
	target, err := driver.OpenTarget(site, s, "import of "+path, log)
	if err != nil {
		return err
	}
	r, err := direct.Import(c.Context(), direct.Options{Queue: path, Target: target, Accept: config.AcceptedByDefault(), Log: log})
	if err := errors.Join(err, target.Close()); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s imported, %d in ERROR\n", plural(r.Done, "file"), r.Failed)
	if r.Failed > 0 {
		return service.ErrLeftOver
	}
	return nil
}
