//go:build unix

package e2e

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/subject"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// writeLine is a line of a driver's log of writes.
type writeLine struct {
	Op, UID, Version, Path string
}

// writes reads the log of writes of a site, from the line number from on.
func (w *world) writes(name string, from int) []writeLine {
	w.t.Helper()
	var lines []writeLine
	for text := range strings.Lines(w.read(name + ".writes")) {
		var l writeLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			w.t.Fatalf("log of writes of %s: %v: %s", name, err, text)
		}
		lines = append(lines, l)
	}
	if len(lines) < from {
		w.t.Fatalf("the log of writes of %s has become shorter", name)
	}
	return lines[from:]
}

// twice counts the changes that a site has applied more than once.
func (w *world) twice(name string) int {
	w.t.Helper()
	times := map[string]int{}
	n := 0
	for _, l := range w.writes(name, 0) {
		key := l.UID + " " + l.Version
		if times[key]++; times[key] == 2 {
			n++
		}
	}
	return n
}

// streams gives the state of every stream, whether or not the broker runs.
func (w *world) streams() map[string]jetstream.StreamState {
	w.t.Helper()
	nc, end := w.connect()
	defer end()
	js, err := jetstream.New(nc)
	must(w.t, err)
	states := map[string]jetstream.StreamState{}
	all := js.ListStreams(w.t.Context())
	for info := range all.Info() {
		states[info.Config.Name] = info.State
	}
	must(w.t, all.Err())
	return states
}

// newest gives the sequence of the newest change in each log and ledger. Other messages,
// such as those by which services know that they are alone, do not count.
func (w *world) newest() map[string]uint64 {
	w.t.Helper()
	changes := map[string]string{
		subject.ExportStream(source):   subject.ExportToProcessAll(source),
		subject.ImportStream("public"): subject.ImportToProcessAll("public"),
	}
	for _, name := range w.receivers {
		changes[subject.LedgerStream(name)] = subject.ImportDoneAll(name)
	}
	nc, end := w.connect()
	defer end()
	js, err := jetstream.New(nc)
	must(w.t, err)
	sequences := map[string]uint64{}
	for name, all := range changes {
		s, err := js.Stream(w.t.Context(), name)
		must(w.t, err)
		m, err := s.GetLastMsgForSubject(w.t.Context(), all)
		must(w.t, err)
		sequences[name] = m.Sequence
	}
	return sequences
}

func (w *world) connect() (nc *nats.Conn, end func()) {
	w.t.Helper()
	if nc, err := nats.Connect("nats://" + w.listen); err == nil {
		return nc, nc.Close
	}
	server, err := embedded.Start(embedded.Options{Dir: w.path("broker")})
	must(w.t, err)
	nc, err = server.Connect("figures")
	must(w.t, err)
	return nc, func() {
		nc.Close()
		server.Close()
	}
}
