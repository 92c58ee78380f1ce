package changelog_test

import (
	"bytes"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/changelog"
	"synchro.example/shared/fault"
)

func TestAFullBrokerIsToldFromOneThatDoesNotAnswer(t *testing.T) {
	s := brokertest.StartWith(t, embedded.Options{NoSync: true, MaxStore: 1 << 20})
	js := brokertest.JetStream(t, brokertest.Connect(t, s))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "small", Subjects: []string{"small.>"}})
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), 200<<10)
	for range 20 {
		if _, err = js.Publish(t.Context(), "small.a", body); err != nil {
			break
		}
	}
	if f := fault.Of(changelog.Classify(err)); f.Code != fault.BrokerFull || f.Class != fault.Retry || !f.WholeSite {
		t.Errorf("the fault is %+v", f)
	}
}
