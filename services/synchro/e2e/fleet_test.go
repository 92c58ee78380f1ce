//go:build unix

package e2e

import (
	"net"
	"testing"
	"time"
)

// fleet is every service of a world as a process of its own.
type fleet struct {
	*world
	args  map[string][]string // by service: its command line
	alive map[string]*process
}

// commands runs the services by the one binary.
func commands(w *world) *fleet {
	return newFleet(w, func(service string) []string { return []string{synchro, service} })
}

// thin runs each service by the program of its own. The broker has none.
func thin(w *world) *fleet {
	return newFleet(w, func(service string) []string {
		if service == "broker" {
			return []string{synchro, service}
		}
		return []string{synchro + "-" + service}
	})
}

func newFleet(w *world, program func(service string) []string) *fleet {
	f := &fleet{world: w, alive: map[string]*process{}, args: map[string][]string{
		"broker": program("broker"), "relay": program("relay"),
		"exporter": append(program("exporter"), "--site", source),
	}}
	for _, name := range w.receivers {
		f.args[name] = append(program("importer"), "--site", name)
	}
	return f
}

// up starts services; the broker is awaited, for nobody else starts without it.
func (f *fleet) up(services ...string) {
	f.t.Helper()
	for _, name := range services {
		f.alive[name] = f.start(f.args[name]...)
		if name == "broker" {
			f.listens()
		}
	}
}

func (w *world) listens() {
	w.t.Helper()
	w.eventually("the broker listens", func() string {
		c, err := new(net.Dialer).DialContext(w.t.Context(), "tcp", w.listen)
		if err != nil {
			return err.Error()
		}
		_ = c.Close()
		return ""
	})
}

func TestEveryServiceMayBeAProcessOfItsOwn(t *testing.T) {
	flavours := map[string]func(*world) *fleet{"commands of synchro": commands, "a program for each": thin}
	for _, name := range sortedKeys(flavours) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "paris", "lyon", "nice")
			w.fill("net", "image", "text", "os")
			f := flavours[name](w)
			f.up("broker", "exporter", "relay", "paris", "lyon")
			start := time.Now()
			f.becomesEqual("paris", "lyon")
			figure(t, name+", without nice", "equal after %.1f s", time.Since(start).Seconds())
			e := w.edit()
			f.becomesEqual("paris", "lyon")
			if seen := w.look("nice", false); len(seen) > 0 {
				t.Fatalf("nice has %d objects although nothing runs for it", len(seen))
			}

			f.up("nice")
			f.becomesEqual(w.receivers...)
			onlyNewest(t, w, "nice")
			figure(t, name+", nice started last", "equal; %+v before it", e)
			for _, service := range []string{"nice", "paris", "lyon", "relay", "exporter", "broker"} {
				f.alive[service].stop()
			}
			unchanged(w)
		})
	}
}

// onlyNewest checks that a site that came late got each object once, in its last state.
func onlyNewest(t *testing.T, w *world, name string) {
	t.Helper()
	if got, want := len(w.writes(name, 0)), len(w.look(source, false)); got != want {
		t.Errorf("%s has written %d times for %d objects", name, got, want)
	}
}
