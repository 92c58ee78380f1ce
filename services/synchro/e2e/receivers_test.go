//go:build unix

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"synchro.example/shared/subject"
)

func TestTheLogsDoNotGrowWithTheNumberOfReceivers(t *testing.T) {
	one, many := storedFor(t, 1), storedFor(t, pick(10, 50))
	if one != many {
		t.Errorf("messages stored are %+v for one receiver and %+v for many", one, many)
	}
}

// stored is what the streams hold, and ever got, of the source's changes.
type stored struct{ exported, relayed uint64 }

func storedFor(t *testing.T, receivers int) stored {
	t.Helper()
	var names []string
	for i := range receivers {
		names = append(names, fmt.Sprintf("site-%d", i+1))
	}
	w := newWorld(t, names...)
	objects := w.add("pages", 200)
	w.once()
	w.change(100, "edited")
	w.once()
	w.equal(names...)

	states, changes := w.streams(), uint64(objects+100)
	s := stored{changes, states[subject.ImportStream("public")].LastSeq}
	ledgers := uint64(0)
	for _, name := range names {
		ledgers += states[subject.LedgerStream(name)].Msgs
	}
	figure(t, fmt.Sprintf("messages stored for %d changes, %d receivers", changes, receivers),
		"EXPORT %d (%d bytes), IMPORT %d (%d bytes): %.2f messages per change beside the ledgers; ledgers %d, one entry for each object and site",
		states[subject.ExportStream(source)].LastSeq, states[subject.ExportStream(source)].Bytes,
		s.relayed, states[subject.ImportStream("public")].Bytes,
		float64(states[subject.ExportStream(source)].LastSeq+s.relayed)/float64(changes), ledgers)
	return s
}

func TestServicesThatAreStartedBeforeTheBrokerWaitForIt(t *testing.T) {
	w := newWorld(t, "paris")
	w.add("pages", 20)
	early := []*process{w.start(synchro, "importer", "--site", "paris"), w.start(synchro, "exporter", "--site", source), w.start(synchro, "relay")}
	w.eventually("all of them wait", func() string {
		for _, p := range early {
			if !strings.Contains(p.output(), "the broker is not ready") {
				return p.name + " does not say so"
			}
		}
		return ""
	})
	w.start(synchro, "broker")
	w.eventually("paris has everything", func() string { return differences(w.look(source, true), w.look("paris", true)) })
	early[0].stop()
}

func TestAServiceThatWaitsForTheBrokerCanBeStopped(t *testing.T) {
	w := newWorld(t, "paris")
	p := w.start(synchro, "importer", "--site", "paris")
	w.eventually("it waits", func() string {
		return map[bool]string{false: "it does not"}[strings.Contains(p.output(), "the broker is not ready")]
	})
	p.stop()
}
