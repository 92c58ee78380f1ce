package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/ledger"
	"synchro.example/shared/subject"
)

const (
	// maxViewers is how many may watch what lands, at the same time.
	maxViewers = 16
	// tick is the time between two reports to a viewer.
	tick = 250 * time.Millisecond
	// maxNamed is how many changes a report names. It counts all.
	maxNamed = 8
	// maxWaiting is how many messages of the broker may wait to be counted. More are
	// dropped: a page is no reason to slow anything down.
	maxWaiting = 4096
)

// landed is a report of what has taken effect since the last one.
type landed struct {
	Sites  map[string]int `json:"sites"` // how many changes took effect
	Latest []change       `json:"latest"`
}

type change struct {
	Site string    `json:"site"`
	Kind string    `json:"kind"`
	Name string    `json:"name"`
	At   time.Time `json:"at"`
	// LagMillis is the time from capture on the source to its effect on the site.
	LagMillis int64 `json:"lag_ms"`
}

// events tells a viewer, for as long as it is there, what takes effect anywhere. Ledgers
// are written when it does, and the broker passes on what is written to them.
func (d *dashboard) events(w http.ResponseWriter, r *http.Request) {
	select {
	case d.viewers <- struct{}{}:
		defer func() { <-d.viewers }()
	default:
		http.Error(w, "too many are watching already", http.StatusServiceUnavailable)
		return
	}
	lines := make(chan *nats.Msg, maxWaiting)
	sub, err := d.nc.ChanSubscribe(subject.ImportDoneEverywhere, lines)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer func() { _ = sub.Unsubscribe() }()
	w.Header().Set("Content-Type", "text/event-stream")
	every := time.NewTicker(tick)
	defer every.Stop()
	for {
		if err := report(w, gather(lines)); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-every.C:
		}
	}
}

// gather takes what has come, without waiting for more.
func gather(lines <-chan *nats.Msg) landed {
	l := landed{Sites: map[string]int{}, Latest: []change{}}
	for range maxWaiting {
		select {
		case m := <-lines:
			l.add(m)
		default:
			return l
		}
	}
	return l
}

func (l *landed) add(m *nats.Msg) {
	site, ok := subject.DoneSite(m.Subject)
	var e ledger.Entry
	if !ok || msgpack.Unmarshal(m.Data, &e) != nil {
		return
	}
	l.Sites[site]++
	c := change{Site: site, Kind: string(e.Kind), Name: e.Name, At: e.At, LagMillis: max(0, e.At.Sub(e.Version.Time()).Milliseconds())}
	l.Latest = append(l.Latest, c)
	if len(l.Latest) > maxNamed {
		l.Latest = l.Latest[1:]
	}
}

func report(w http.ResponseWriter, l landed) error {
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	control := http.NewResponseController(w)
	if err := control.SetWriteDeadline(time.Now().Add(askLimit)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "data: %s\n\n", body); err != nil {
		return err
	}
	return control.Flush()
}
