// Package command is the command line of synchro: one file for each command. The
// commands wire services and stores together and print; they decide nothing else.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"synchro.example/shared/config"
	"synchro.example/shared/fault"
	"synchro.example/shared/service"
)

// app is what all commands share.
type app struct {
	out, err io.Writer
	config   string
	verbose  bool
	quiet    bool
}

// Run runs a command line and gives the exit status of the process.
func Run(ctx context.Context, args []string, out, errOut io.Writer) int {
	a := &app{out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if errors.Is(err, errHelp) {
		return classicUsage
	}
	if err != nil {
		a.report(err)
	}
	return service.ExitStatus(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "synchro",
		Short: "Keep content the same on many sites",
		Long: `Synchro brings every change of one site to many others, through a durable log:
in order, once, and so that you can see it.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration,
3 done but items are in ERROR, 4 differences were found.`,
		Example: `  synchro demo                      see it work, in a temporary folder
  synchro init ./mysites            write a configuration to start from
  synchro up --config FILE          run everything that the file declares
  synchro status                    see how all sites are`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&a.config, "config", config.DefaultFile, "the configuration `FILE`")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log more")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "log warnings and errors only")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, err.Error()) })
	root.AddCommand(
		a.upCommand(), a.brokerCommand(), a.exporterCommand(), a.relayCommand(), a.importerCommand(), a.bridgeCommand(),
		a.statusCommand(), a.errorsCommand(), a.replayCommand(), a.discardCommand(), a.traceCommand(), a.verifyCommand(), a.reconcileCommand(), a.planCommand(), a.checkCommand(), a.adoptCommand(), a.pauseCommand(), a.resumeCommand(),
		a.exprCommand(), a.zsCommand(), a.queueCommand(), a.keysCommand(),
		a.initCommand(), a.versionCommand(), a.healthCommand(),
		a.demoCommand(),
	)
	for _, c := range root.Commands() {
		if c.Args == nil {
			c.Args = noArgs
		}
	}
	root.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage(c, fmt.Sprintf("there is no command %q", args[0]))
		}
		return nil
	}
	root.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return root
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(c, fmt.Sprintf("%q is one argument too many", args[0]))
	}
	return nil
}

// usage is an error of whoever typed the command.
func usage(c *cobra.Command, text string) error {
	return fault.Errorf(fault.Stop, fault.Misconfigured, "%s; `%s --help` tells more", text, c.CommandPath())
}

func (a *app) report(err error) {
	if _, files := errors.AsType[*filesLeft](err); errors.Is(err, service.ErrLeftOver) && !files {
		fmt.Fprintln(a.err, "synchro: done, but items are in ERROR; `synchro errors` lists them")
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(a.err, "synchro:", line)
	}
}

// logger logs for services at info, for other commands at warn.
func (a *app) logger(normal slog.Level) *slog.Logger {
	switch {
	case a.verbose:
		normal = slog.LevelDebug
	case a.quiet:
		normal = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: normal}))
}
