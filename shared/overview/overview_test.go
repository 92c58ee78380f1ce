package overview_test

import (
	"reflect"
	"testing"
	"time"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/config"
	"synchro.example/shared/control"
	"synchro.example/shared/overview"
	"synchro.example/shared/status"
)

func TestWhatServicesSayAndWhatNobodyAnswersIsShown(t *testing.T) {
	nc := brokertest.Conn(t)
	js := brokertest.JetStream(t, nc)
	cfg := &config.Config{
		Sites: map[string]config.Site{"hq": {}, "paris": {}, "lyon": {}, "spare": {Queue: &config.Queue{}}},
		Channels: map[string]config.Channel{
			"public": {From: "hq", To: []string{"paris", "lyon"}},
		},
	}
	for role, r := range map[[2]string]status.Report{
		{status.Exporter, "hq"}:    {State: status.Running, Pending: 4, Oldest: time.Now().Add(-time.Hour)},
		{status.Importer, "paris"}: {State: status.Paused, Reason: "the disk is full", Drift: 2, Plugins: []status.Plugin{{ID: "names", State: status.Down, Reason: "nobody answers", Calls: 2}}},
		{status.Relay, "public"}:   {State: status.Running},
		{status.Queue, "spare"}:    {State: status.Running, Folders: map[string]int{"IMPORT/DONE": 3}, Odd: []string{"README"}},
	} {
		stop, err := status.Serve(nc, role[0], role[1], func() status.Report { return r })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	store, err := control.New(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Pause(t.Context(), control.Pause{Site: "lyon", Reason: "moving house", By: "ops"}); err != nil {
		t.Fatal(err)
	}
	o, err := overview.Look(t.Context(), cfg, nc, js)
	if err != nil {
		t.Fatal(err)
	}
	want := []overview.Site{
		{Name: "hq", Role: "source", State: status.Running, Pending: 4},
		{Name: "lyon", Role: "receiver", State: status.Stopped},
		{
			Name: "paris", Role: "receiver", State: status.Paused, Reason: "the disk is full", Drift: 2,
			Plugins: []overview.Plugin{{Service: status.Importer, Plugin: status.Plugin{ID: "names", State: status.Down, Reason: "nobody answers", Calls: 2}}},
		},
		{Name: "spare", Role: "none", State: status.Stopped, Folders: map[string]int{"IMPORT/DONE": 3}, Odd: []string{"README"}},
	}
	if len(o.Sites) != len(want) {
		t.Fatalf("got %+v", o.Sites)
	}
	if lag := o.Sites[0].LagSeconds; lag < 3600 || lag > 3700 {
		t.Errorf("hq is %v s behind", lag)
	}
	o.Sites[0].LagSeconds = 0
	for i := range want {
		if !reflect.DeepEqual(o.Sites[i], want[i]) {
			t.Errorf("got %+v, want %+v", o.Sites[i], want[i])
		}
	}
	if c := o.Channels; len(c) != 1 || c[0].Name != "public" || c[0].State != status.Running || len(c[0].To) != 2 {
		t.Errorf("channels are %+v", c)
	}
	if len(o.Pauses) != 1 || o.Pauses[0].Reason != "moving house" {
		t.Errorf("pauses are %+v", o.Pauses)
	}
}
