package command

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
	"synchro.example/shared/envelope"
	"synchro.example/shared/ledger"
	"synchro.example/shared/subject"
	"synchro.example/shared/version"
)

// station is what one place on the way has of an object. The JSON names are a contract.
type station struct {
	Place   string          `json:"place"` // log, channel or site
	Name    string          `json:"name"`
	UID     string          `json:"uid"`
	Path    string          `json:"path"`
	Kind    string          `json:"kind"`
	Version version.Version `json:"version"`
	At      time.Time       `json:"at"`
	State   string          `json:"state"` // newest, behind, absent or failed
	Detail  string          `json:"detail,omitempty"`

	bare bool // the channel has nothing of it but its name, or its removal
}

func (a *app) traceCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "trace UID|PATH",
		Short: "Follow one object from its source to every receiver",
		Long: `Shows what each log, and each receiving site, has of an object: its version, when it
got there, and why it did not get further. The object is named by its uid or by its
path at the source.`,
		Example: `  synchro trace news/2026/index.html
  synchro trace 4f1c2a7be09d4b1e8f0a6f2d9c3b5a71 --json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(c, "name one object, by its uid or its path")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			conn, err := a.reading(c.Context())
			if err != nil {
				return err
			}
			defer conn.close()
			stations, err := follow(c.Context(), conn, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(stations)
			}
			return a.printTrace(stations)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// follow looks for the object in the logs of all sources.
func follow(ctx context.Context, conn *connection, name string) ([]station, error) {
	var found []station
	name = filepath.Clean(strings.TrimPrefix(name, "/"))
	for _, source := range conn.Config.Sources() {
		h, path, at, err := find(ctx, conn, source, name)
		if err != nil {
			return nil, err
		}
		if h == nil {
			continue
		}
		found = append(found, station{Place: "log", Name: source, UID: h.UID, Path: path, Kind: string(h.Kind), Version: h.Version, At: at, State: "newest"})
		for _, ch := range conn.Config.ChannelsFrom(source) {
			behind, err := trail(ctx, conn, ch, path, h)
			if err != nil {
				return nil, err
			}
			found = append(found, behind...)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no source has ever had an object %q, as far as the logs remember", name)
	}
	return found, nil
}

// find gives the newest state that a source's log has of an object.
func find(ctx context.Context, conn *connection, source, name string) (h *envelope.Head, path string, at time.Time, err error) {
	heads := map[string]envelope.Head{}
	err = changelog.Heads(ctx, conn.JS, subject.ExportStream(source), func(_ uint64, h envelope.Head) { heads[h.UID] = h }, func(string, error) {})
	if err != nil {
		return nil, "", at, err
	}
	for uid, one := range heads {
		where := changelog.Path(heads, one)
		if uid != name && where != strings.Trim(name, "/") {
			continue
		}
		m, err := changelog.Newest(ctx, conn.JS, subject.ExportStream(source), subject.ExportToProcess(source, uid))
		if err != nil || m == nil {
			return nil, "", at, err
		}
		return &one, where, m.Time, nil
	}
	return nil, "", at, nil
}

// trail gives what a channel and its receivers have of an object.
func trail(ctx context.Context, conn *connection, channel, path string, want *envelope.Head) ([]station, error) {
	s := station{Place: "channel", Name: channel, UID: want.UID, State: "absent"}
	m, err := changelog.Newest(ctx, conn.JS, subject.ImportStream(channel), subject.ImportToProcess(channel, want.UID))
	if err != nil {
		return nil, err
	}
	if m != nil {
		if h, err := envelope.ParseHead(m.Header); err == nil {
			s.Kind, s.Version, s.At, s.Path = string(h.Kind), h.Version, m.Time, h.Name
			s.State, s.bare = compared(h.Of, want.Version), h.Of == 0
		}
	}
	if s.State != "newest" && slices.Equal(conn.Config.Channels[channel].To, []string{want.Origin}) {
		s.State, s.Detail = "newest", "this state was made at "+want.Origin+" and is not sent back there"
		return []station{s}, nil
	}
	due, err := s.choose(ctx, conn, path, want)
	if err != nil {
		return nil, err
	}
	list := []station{s}
	for _, site := range conn.Config.Channels[channel].To {
		at, err := arrival(ctx, conn, site, want.UID, due)
		if err != nil {
			return nil, err
		}
		list = append(list, at)
	}
	return list, nil
}

// choose says what a channel's expression has to do with what the channel has, and which
// version the receivers are due to have, 0 for none.
func (s *station) choose(ctx context.Context, conn *connection, path string, want *envelope.Head) (due version.Version, err error) {
	due = max(want.Version, s.Version)
	ch := conn.Config.Channels[s.Name]
	e, err := ch.Compiled()
	if e == nil || want.Kind == content.Removed || err != nil {
		return due, err
	}
	failed, err := deadletter.New(conn.JS).OnTheWay(ctx, ch.From, s.Name, want.UID)
	if err != nil {
		return due, err
	}
	if failed != nil && failed.Closed == nil {
		s.State, s.Detail = "failed", fmt.Sprintf("%s: %s", failed.Code, failed.Reason)
		return s.Version, nil
	}
	c, err := changelog.NewestChange(ctx, conn.JS, subject.ExportStream(ch.From), subject.ExportToProcess(ch.From, want.UID))
	if c == nil || err != nil {
		return due, err
	}
	c.Object.Path = path
	switch meets, err := e.Matches(c); {
	case err != nil:
		s.State, s.Detail = "failed", err.Error()
		return s.Version, nil
	case meets:
	case s.Kind != string(content.Modified):
		s.State, s.Detail = "absent", "it does not meet the channel's expression"
		return s.Version, nil
	case s.bare:
		s.State, s.Detail = "newest", "only its name: it does not meet the channel's expression, something below it does"
		return s.Version, nil
	}
	return due, nil
}

func compared(have, want version.Version) string {
	if have < want {
		return "behind"
	}
	return "newest"
}

// arrival gives what a receiving site has of an object of which it is due to have a version.
func arrival(ctx context.Context, conn *connection, site, uid string, due version.Version) (station, error) {
	s := station{Place: "site", Name: site, UID: uid, State: "absent"}
	e, err := ledger.Get(ctx, conn.JS, site, uid)
	if err != nil {
		return s, err
	}
	if e != nil {
		s.Kind, s.Version, s.At, s.Path = string(e.Kind), e.Version, e.At, e.Name
		s.State = compared(e.Version, due)
		switch {
		case e.Discarded != 0:
			s.Detail = "its newest change was discarded"
		case e.Skipped && s.State == "newest":
			s.State, s.Detail = "absent", "a rule of locate keeps it away"
		case due == 0 && !e.Live():
			s.State = "absent"
		}
	}
	failed, err := deadletter.New(conn.JS).Of(ctx, site, uid)
	if err != nil || failed == nil || failed.Closed != nil {
		return s, err
	}
	s.State, s.Detail, s.Path = "failed", fmt.Sprintf("%s: %s", failed.Code, failed.Reason), failed.Path
	return s, nil
}

func (a *app) printTrace(stations []station) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PLACE\tNAME\tSTATE\tKIND\tVERSION\tAT\tDETAIL")
	for _, s := range stations {
		at, v := "", ""
		if !s.At.IsZero() {
			at, v = s.At.Local().Format("2006-01-02 15:04:05.000"), s.Version.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Place, s.Name, s.State, s.Kind, v, at, printable(s.Detail))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "uid %s, %s\n", printable(stations[0].UID), printable(stations[0].Path))
	return nil
}
