// Package program is the whole of the program synchro, for builds of one's own that add
// plugins to it (docs/plugins.md).
package program

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"synchro.example/services/synchro/internal/command"
	"synchro.example/shared/plugin"
	"synchro.example/shared/service"
)

// Main runs the command line of the process, with plugins that sites may name beside those
// that answer in the broker, and ends the process.
func Main(plugins ...plugin.Plugin) {
	for _, p := range plugins {
		if err := plugin.Register(p); err != nil {
			fmt.Fprintln(os.Stderr, "synchro:", err)
			os.Exit(service.ExitStatus(err))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(command.Run(ctx, command.Args(os.Args), os.Stdout, os.Stderr))
}
