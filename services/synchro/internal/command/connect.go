package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/broker"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/config"
	"synchro.example/shared/control"
	"synchro.example/shared/service"
)

// connection is an open way to the broker, and the broker itself if it runs here.
type connection struct {
	*service.Env
	server *embedded.Server
}

func (c *connection) close() {
	c.NC.Close()
	if c.server != nil {
		c.server.Close()
	}
}

// host starts the embedded broker if the configuration has one, and connects.
func host(ctx context.Context, c *config.Config, log *slog.Logger) (*connection, error) {
	if c.Broker.Embedded == nil {
		return dial(ctx, c, log)
	}
	return embed(c, c.Broker.Embedded.Listen, log)
}

// reach connects to the broker. Where it is the embedded one and nobody runs it,
// it is opened here for as long as it is needed.
func reach(ctx context.Context, c *config.Config, log *slog.Logger) (*connection, error) {
	return open(ctx, c, false, log)
}

// open is reach; begin lets it be the first thing that is ever done with the broker.
func open(ctx context.Context, c *config.Config, begin bool, log *slog.Logger) (*connection, error) {
	conn, err := dial(ctx, c, log)
	if err == nil || c.Broker.Embedded == nil || !broker.IsAbsent(err) {
		return conn, err
	}
	dir := c.Broker.Embedded.Dir
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) && !begin {
		return nil, fmt.Errorf("no broker runs, and its folder %s is not there: nothing has run yet, or the folder was moved away", dir)
	}
	return embed(c, "", log)
}

func dial(ctx context.Context, c *config.Config, log *slog.Logger) (*connection, error) {
	nc, err := service.Dial(ctx, c, "synchro", log)
	if err != nil {
		return nil, err
	}
	return wrap(c, nc, nil, log)
}

func embed(c *config.Config, listen string, log *slog.Logger) (*connection, error) {
	e := c.Broker.Embedded
	server, err := embedded.Start(embedded.Options{Dir: e.Dir, Listen: listen, TokenFile: e.TokenFile, Log: log})
	if err != nil {
		return nil, err
	}
	nc, err := server.Connect("synchro")
	if err != nil {
		server.Close()
		return nil, err
	}
	return wrap(c, nc, server, log)
}

func wrap(c *config.Config, nc *nats.Conn, server *embedded.Server, log *slog.Logger) (*connection, error) {
	env, err := service.NewEnv(c, nc, log)
	if err != nil {
		return nil, err
	}
	return &connection{Env: env, server: server}, nil
}

// reading opens what a command needs that looks at things or asks for them.
func (a *app) reading(ctx context.Context) (*connection, error) {
	c, err := config.Load(a.config)
	if err != nil {
		return nil, err
	}
	return reach(ctx, c, a.logger(slog.LevelWarn))
}

// toldOf gives what people have told the services.
func toldOf(ctx context.Context, conn *connection) (*control.State, error) {
	store, err := control.New(ctx, conn.JS)
	if err != nil {
		return nil, err
	}
	return store.Read(ctx)
}
