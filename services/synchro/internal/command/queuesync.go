package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"synchro.example/services/bridge"
	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/transfer"
	"synchro.example/shared/config"
	"synchro.example/shared/fault"
)

type syncOptions struct {
	queueOptions
	source, dest, user, host string
	broker                   bool
}

func (a *app) queueSyncCommand() *cobra.Command {
	var o syncOptions
	c := &cobra.Command{
		Use:   "sync",
		Short: "Move a queue's exports to a queue on another machine",
		Long: `Moves what the queue's EXPORT side has into the IMPORT side of a queue on another
machine, by SFTP with the keys of the agent and of ~/.ssh; the host must be in
~/.ssh/known_hosts. A run that was killed is gone on with by the next one. As with the
classic command, -q logs to stderr instead of the file, and -v logs each file.

With --broker the files go into the log of the site whose queue this is in the
configuration, and from there to the sites of its channels; -d, -u and -H then say
nothing. The status is 3 when files are in EXPORT/ERROR. A site that "synchro bridge"
or "synchro up" serves is sent all the time, and needs no such run.`,
		Example: `  synchro queue sync -s /srv/queue -d /srv/queue -u plone -H paris.example.org
  synchro queue sync -s /srv/queue --broker --config FILE`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.source == "" || o.dest == "" && !o.broker {
				return helpInstead(c)
			}
			send := a.queueSync
			if o.broker {
				send = a.queueSyncBroker
			}
			return a.locked(&o.queueOptions, "synchro", func(log *slog.Logger) error { return send(c.Context(), &o, log) })
		},
	}
	f := c.Flags()
	f.StringVarP(&o.source, "source", "s", "", "the `PATH` of the queue here")
	f.StringVarP(&o.dest, "dest", "d", "", "the `PATH` of the queue there")
	f.StringVarP(&o.user, "user", "u", "", "log in as `NAME` (default: the name that you have here)")
	f.StringVarP(&o.host, "host", "H", "localhost", "the other machine, `HOST` or HOST:PORT")
	f.BoolVar(&o.broker, "broker", false, "go through the broker of the configuration instead of SFTP")
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

// queueSyncBroker does once what a bridge does all the time.
func (a *app) queueSyncBroker(ctx context.Context, o *syncOptions, log *slog.Logger) error {
	cfg, err := config.Load(a.config)
	if err != nil {
		return err
	}
	site, err := siteOfQueue(cfg, o.source)
	if err != nil {
		return err
	}
	conn, err := open(ctx, cfg, true, log)
	if err != nil {
		return err
	}
	defer conn.close()
	if err := conn.Follow(ctx); err != nil {
		return err
	}
	s, err := bridge.OpenSender(ctx, conn.Env, site)
	if err != nil {
		return err
	}
	err = s.Settle(ctx)
	log.Info("files are sent", "site", site, "count", s.Done())
	if err == nil && s.Refused() > 0 {
		return &filesLeft{o.source, queue.Export}
	}
	return err
}

// siteOfQueue finds the source that a queue is in the configuration.
func siteOfQueue(cfg *config.Config, path string) (string, error) {
	var known []string
	for _, site := range cfg.Sources() {
		q := cfg.Sites[site].Queue
		if q == nil {
			continue
		}
		if isSame(q.Path, path) {
			return site, nil
		}
		known = append(known, q.Path)
	}
	return "", fault.Errorf(fault.Stop, fault.Misconfigured, "%s: no channel takes from a site with the queue %s, only from %s",
		cfg.File, path, strings.Join(known, ", "))
}

// isSame tells whether two paths lead to one folder.
func isSame(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	if errors.Join(err, err2) == nil {
		return os.SameFile(x, y)
	}
	return filepath.Clean(a) == filepath.Clean(b)
}
