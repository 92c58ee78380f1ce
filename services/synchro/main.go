// Command synchro keeps content the same on many sites. It is all services in one
// binary, and the commands of those who run them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"synchro.example/services/synchro/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	status := command.Run(ctx, command.Args(os.Args), os.Stdout, os.Stderr)
	os.Exit(status)
}
