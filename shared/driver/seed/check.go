package seed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"synchro.example/shared/fault"
	"synchro.example/shared/preflight"
)

// Check looks whether an export can be read. A thorough check reads all of it once.
func Check(ctx context.Context, o Options, roles preflight.Roles) (r preflight.Report) {
	if _, err := os.Stat(o.Path); err != nil {
		r.Fail("export", "Put the export there, or correct the path.", "%v", err)
		return r
	}
	if !roles.Thorough {
		r.Good("export", "%s is there", o.Path)
		return r
	}
	o.Log = slog.New(slog.DiscardHandler)
	s := &source{opts: o, reported: map[string]string{}}
	x, err := s.look(ctx)
	if err != nil {
		r.Fail("export", fault.Advice(fault.ReadFailed), "%v", s.listFault(ctx, err))
		return r
	}
	count := map[string]int{}
	for _, e := range x.entries {
		count[e.typ]++
	}
	var kinds []string
	for _, typ := range slices.Sorted(maps.Keys(count)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", count[typ], typ))
	}
	r.Good("export", "%d objects: %s", len(x.entries), strings.Join(kinds, ", "))
	for _, path := range slices.Sorted(maps.Keys(s.reported)) {
		r.Advise("left out", "Export what they need as well, if they are to come.", "%d, such as %s: %s", len(s.reported), path, s.reported[path])
		break
	}
	if err := errors.Join(s.Close(), ctx.Err()); err != nil {
		r.Error("export", err)
	}
	return r
}
