package service

import (
	"net/http/httptest"
	"strings"
	"testing"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/lifecycle"
	"synchro.example/shared/status"
)

func TestMetricsSayWhatTheServicesSayOfThemselves(t *testing.T) {
	nc := brokertest.Conn(t)
	stop, err := status.Serve(nc, status.Importer, "paris", func() status.Report {
		return status.Report{State: status.Running, Pending: 3, Done: 7, Drift: 2, Failed: map[string]int{"permission": 4}, Plugins: []status.Plugin{
			{ID: "names", State: status.Up, Calls: 5, Errors: 1, Seconds: 0.25}, {ID: "audit", State: status.Down},
		}}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	answer := httptest.NewRecorder()
	parts := []lifecycle.Part{{Name: "importer paris"}, {Name: "relay public"}, {Name: "collector"}}
	metrics(nc, parts).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, want := range []string{
		`synchro_state{name="paris",role="importer",state="running"} 1`,
		`synchro_state{name="public",role="relay",state="stopped"} 1`,
		`synchro_changes_total{name="paris",role="importer"} 7`,
		`synchro_pending{name="paris",role="importer"} 3`,
		`synchro_failed{code="permission",name="paris",role="importer"} 4`,
		`synchro_drift{name="paris",role="importer"} 2`,
		`synchro_plugin_up{name="paris",plugin="names",role="importer"} 1`,
		`synchro_plugin_up{name="paris",plugin="audit",role="importer"} 0`,
		`synchro_plugin_calls_total{name="paris",plugin="names",role="importer"} 5`,
		`synchro_plugin_errors_total{name="paris",plugin="names",role="importer"} 1`,
		`synchro_plugin_seconds_total{name="paris",plugin="names",role="importer"} 0.25`,
		`go_goroutines`,
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(answer.Body.String(), "collector\"") {
		t.Error("what has no status is shown")
	}
}
