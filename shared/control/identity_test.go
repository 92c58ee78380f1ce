package control

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/fault"
)

// end is a site that can tell who it is.
type end struct {
	known func(ctx context.Context, id string) error
}

func (e *end) Identify(known func(ctx context.Context, id string) error) { e.known = known }

// meet says what comes of a site that answers with an identity. It follows the stream anew
// each time, as a process that starts does.
func meet(t *testing.T, js jetstream.JetStream, site, id string) error {
	t.Helper()
	f, err := Follow(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	e := &end{}
	f.Recognise(site, e)
	return e.known(t.Context(), id)
}

func TestASiteIsTheOneThatWasMetUntilSomebodyAdoptsAnother(t *testing.T) {
	js, err := jetstream.New(brokertest.Connect(t, brokertest.Start(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, err error, refused bool) {
		t.Helper()
		if f := fault.Of(err); (err != nil) != refused || refused && (f.Code != fault.OtherSite || !f.WholeSite) {
			t.Errorf("%s: %v", what, err)
		}
	}
	adopt := func(site, id string) {
		t.Helper()
		if err := (&Store{js}).Adopt(t.Context(), Identity{Site: site, ID: id, By: "somebody", Reason: "a test"}); err != nil {
			t.Fatal(err)
		}
	}
	want("the first contact", meet(t, js, "hq", "1"), false)
	want("the second", meet(t, js, "hq", "1"), false)
	want("another site at the address", meet(t, js, "hq", "2"), true)
	want("a copy under another name", meet(t, js, "paris", "1"), true)
	adopt("paris", "1")
	want("the copy, when it was adopted", meet(t, js, "paris", "1"), false)
	want("the original then", meet(t, js, "hq", "1"), false)
	adopt("hq", "2")
	want("the other site, when it was adopted", meet(t, js, "hq", "2"), false)
	want("the one before", meet(t, js, "hq", "1"), true)
}

func TestTwoWhoMeetASiteAtOnceDoNotOverwriteOneAnother(t *testing.T) {
	js, err := jetstream.New(brokertest.Connect(t, brokertest.Start(t)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Meet(t.Context(), "hq", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Meet(t.Context(), "hq", "2"); fault.Of(err).Code != fault.OtherSite {
		t.Errorf("the second one is told %v", err)
	}
	st, err := s.Read(t.Context())
	if i, _ := st.Identity("hq"); err != nil || i.ID != "1" {
		t.Errorf("the site is %q, %v", i.ID, err)
	}
}
