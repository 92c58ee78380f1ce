package command

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/transfer"
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
broker, but for "sync --broker". docs/classic-files.md tells what differs from the
originals, and how to move old sites over one after the other.`,
		Example: `  synchro queue create -d /srv/queue
  synchro queue sync -s /srv/queue -d /srv/queue -H paris.example.org
  synchro queue sync -s /srv/queue --broker
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
	if err != nil && !a.quiet { // else it is printed to the same place anyway
		log.Error("the run has failed", "error", err)
	}
	return errors.Join(err, release())
}

// filesLeft is the end of a run that is done, but with files in a queue's ERROR folder.
type filesLeft struct {
	queue string
	side  queue.Side
}

func (f *filesLeft) Error() string {
	return fmt.Sprintf("done, but files are in %s; %s tells why",
		filepath.Join(f.queue, queue.Folder(f.side, queue.Failed)), queue.Refused(f.queue))
}

func (f *filesLeft) Unwrap() error { return service.ErrLeftOver }
