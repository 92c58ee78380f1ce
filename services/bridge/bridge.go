// Package bridge is the service of sites that are classic queues. Its sender publishes
// what a queue's EXPORT side has; its receiver is the target that an importer writes to.
package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/receiver"
	"synchro.example/services/bridge/sender"
	"synchro.example/services/bridge/zexp"
	"synchro.example/shared/config"
	"synchro.example/shared/fault"
	"synchro.example/shared/service"
	"synchro.example/shared/signature"
)

// OpenSender makes the sender of a configured queue.
func OpenSender(ctx context.Context, env *service.Env, site string) (*sender.Sender, error) {
	s, err := check(env.Config, site)
	if err != nil {
		return nil, err
	}
	if len(env.Config.ChannelsFrom(site)) == 0 {
		return nil, misconfigured("%s: no channel takes content from the site %q", env.Config.File, site)
	}
	allowed, err := list(site, s, nil)
	if err != nil {
		return nil, err
	}
	key, err := signature.ForSite(site, s.Sign, s.SignedBy)
	if err != nil {
		return nil, err
	}
	return sender.New(ctx, sender.Options{
		Site: site, Path: s.Queue.Path, Accept: s.Accept, Allowed: allowed, NC: env.NC, JS: env.JS, Log: env.Log, Control: env.Control,
		Look: time.Duration(s.Queue.Rescan), Keep: time.Duration(s.Queue.Keep), Tombstones: time.Duration(env.Config.Tombstones),
		Host: service.Host(), Software: service.Software(), Key: key,
	})
}

// Receiver gives a way to open the IMPORT side of a configured queue.
func Receiver(env *service.Env, site string) (open func() (*receiver.Target, error), err error) {
	o, err := receiverOptions(env.Config, site, env.Log)
	if err != nil {
		return nil, err
	}
	return func() (*receiver.Target, error) { return receiver.Open(o) }, nil
}

// Forwarder opens the IMPORT side of a configured queue for the files of another queue. It
// may do that beside a bridge.
func Forwarder(c *config.Config, site string, log *slog.Logger) (*receiver.Target, error) {
	o, err := receiverOptions(c, site, log)
	if err != nil {
		return nil, err
	}
	o.Staging = "forwarding"
	return receiver.Open(o)
}

func receiverOptions(c *config.Config, site string, log *slog.Logger) (receiver.Options, error) {
	s, err := check(c, site)
	if err != nil {
		return receiver.Options{}, err
	}
	allowed, err := list(site, s, zexp.Default())
	return receiver.Options{
		Site: site, Path: s.Queue.Path, Accept: s.Accept, Allowed: allowed,
		Keep: time.Duration(s.Queue.Keep), Look: time.Duration(s.Queue.Rescan), Log: log.With("site", site),
	}, err
}

func misconfigured(format string, args ...any) error {
	return fault.Errorf(fault.Stop, fault.Misconfigured, format, args...)
}

// check finds what is wrong with a queue as it is configured: at the start a missing one is
// a mistake, later it is an outage.
func check(c *config.Config, site string) (config.Site, error) {
	s, ok := c.Sites[site]
	if !ok || s.Queue == nil {
		return s, misconfigured("%s: there is no site %q with a queue", c.File, site)
	}
	if err := queue.Valid(s.Queue.Path); err != nil {
		return s, misconfigured("sites.%s.queue.path: %w; `synchro queue create -d %s` makes one", site, err, s.Queue.Path)
	}
	return s, nil
}

// list reads the globals that a site permits.
func list(site string, s config.Site, normal *zexp.List) (*zexp.List, error) {
	if s.ZEXPAllow == "" {
		return normal, nil
	}
	f, err := os.Open(s.ZEXPAllow)
	if err != nil {
		return nil, misconfigured("sites.%s.zexp_allow: %w", site, err)
	}
	defer f.Close()
	l, err := zexp.ParseList(f)
	if err != nil {
		return nil, fmt.Errorf("sites.%s.zexp_allow: %s: %w", site, s.ZEXPAllow, err)
	}
	return l, nil
}
