package status_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/status"
	"synchro.example/shared/subject"
)

func TestAServiceAnswersAsLongAsItRuns(t *testing.T) {
	nc := brokertest.Conn(t)
	ask := func() status.Report {
		t.Helper()
		r, err := status.Ask(t.Context(), nc, status.Importer, "paris")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := ask(); r.State != status.Stopped {
		t.Errorf("got %+v before the start", r)
	}
	want := status.Report{State: status.Paused, Reason: "no disk", Pending: 7, Done: 3, Oldest: time.Unix(5, 0).UTC()}
	stop, err := status.Serve(nc, status.Importer, "paris", func() status.Report { return want })
	if err != nil {
		t.Fatal(err)
	}
	if r := ask(); r.State != want.State || r.Reason != want.Reason || r.Pending != 7 || r.Done != 3 || !r.Oldest.Equal(want.Oldest) {
		t.Errorf("got %+v", r)
	}
	if r, err := status.Ask(t.Context(), nc, status.Exporter, "paris"); err != nil || r.State != status.Stopped {
		t.Errorf("another role answers: %+v, %v", r, err)
	}
	stop()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if r := ask(); r.State != status.Stopped {
		t.Errorf("got %+v after the end", r)
	}
}

func TestAnAnswerThatCannotBeReadOrDoesNotComeIsAnError(t *testing.T) {
	nc := brokertest.Conn(t)
	for name, answer := range map[string]func(*nats.Msg){
		"junk": func(m *nats.Msg) { _ = m.Respond([]byte("{")) }, "silence": func(*nats.Msg) {},
	} {
		sub, err := nc.Subscribe(subject.Status(status.Relay, name), answer)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := status.Ask(ctx, nc, status.Relay, name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAServiceThatDoesNotAnswerInTimeIsSaidToHang(t *testing.T) {
	nc := brokertest.Conn(t)
	if _, err := nc.Subscribe(subject.Status(status.Relay, "public"), func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	r, err := status.Ask(t.Context(), nc, status.Relay, "public")
	if err != nil || r.State != status.Stopped || !strings.Contains(r.Reason, "does not answer") {
		t.Errorf("got %+v, %v", r, err)
	}
}
