package broker_test

import (
	"testing"

	"synchro.example/shared/broker"
	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/preflight"
)

func TestACheckOfABrokerThatIsFitFindsNothingWrong(t *testing.T) {
	r := broker.Check(t.Context(), brokertest.Connect(t, brokertest.Start(t)))
	if len(r) < 4 {
		t.Errorf("it looks at %d things only", len(r))
	}
	for _, f := range r {
		if f.Verdict != preflight.Good {
			t.Errorf("%s is %s: %s", f.Check, f.Verdict, f.Found)
		}
	}
}

func TestACheckOfABrokerThatIsGoneSaysSo(t *testing.T) {
	s := brokertest.Start(t)
	nc := brokertest.Connect(t, s)
	nc.Close()
	if failed := broker.Check(t.Context(), nc).Failed(); len(failed) != 1 || failed[0].Do == "" {
		t.Errorf("it says %v", failed)
	}
}
