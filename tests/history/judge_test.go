package history

import (
	"strings"
	"testing"
)

func unknown(string) (string, bool) { return "", false }

func TestJudgeOfWritesFindsEachMistake(t *testing.T) {
	good := []Write{
		{Op: "mkdir", UID: "d", Version: "01", Path: "d"},
		{Op: "create", UID: "a", Version: "02", Path: "d/a"},
		{Op: "move", UID: "a", Version: "03", Path: ".synchro-aside-a"},
		{Op: "move", UID: "a", Version: "03", Path: "d/b"},
		{Op: "rewrite", UID: "a", Version: "03", Path: "d/b"},
		{Op: "remove", UID: "a", Version: "04", Path: "d/b"},
	}
	for _, c := range []struct {
		name string
		add  []Write
		want Invariant // empty: nothing
	}{
		{"a clean log", nil, ""},
		{"an older version later", []Write{{Op: "create", UID: "a", Version: "03", Path: "d/b"}}, Order},
		{"a removal twice", []Write{{Op: "remove", UID: "a", Version: "04", Path: "d/b"}}, NoneTwice},
		{"a ring gone round again", []Write{
			{Op: "move", UID: "e", Version: "02", Path: "x"},
			{Op: "move", UID: "e", Version: "02", Path: ".synchro-aside-e"},
			{Op: "move", UID: "e", Version: "02", Path: "x"},
		}, NoneTwice},
		{"made, and written again", []Write{{Op: "rewrite", UID: "d", Version: "01", Path: "d"}}, NoneTwice},
		{"a version that nobody published", []Write{{Op: "meta", UID: "d", Version: "09", Path: "d"}}, FromNowhere},
	} {
		t.Run(c.name, func(t *testing.T) {
			published := func(uid string) (string, bool) { return "05", uid == "d" }
			expect(t, JudgeWrites("s1", append(good, c.add...), published), c.want)
		})
	}
}

func TestJudgeOfAccountsTellsTakenFailedAndLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		a     Account
		ended bool
		want  Invariant
	}{
		{"taken", Account{Log: "02", Sent: true, Ledger: "02"}, true, ""},
		{"failed", Account{Log: "02", Sent: true, Failed: "02", Ledger: "01"}, true, ""},
		{"on its way", Account{Log: "02", Ledger: "01"}, false, ""},
		{"acknowledged and nowhere", Account{Log: "02", Sent: true, Ledger: "01"}, false, DurableWord},
		{"lost at the end", Account{Log: "02", Ledger: "01", Failed: "01"}, true, NoneLost},
		{"taken from nowhere", Account{Log: "02", Ledger: "03"}, true, FromNowhere},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, JudgeAccounts("s1", []Account{c.a}, c.ended), c.want) })
	}
}

func expect(t *testing.T, found []Violation, want Invariant) {
	t.Helper()
	switch {
	case want == "" && len(found) > 0:
		t.Errorf("the judge found %q in what is right", found)
	case want != "" && (len(found) != 1 || found[0].Invariant != want):
		t.Errorf("the judge found %q, want one of %s", found, want)
	}
}

func TestALineThatAKillCutOffIsLeftOut(t *testing.T) {
	log := `{"op":"create","uid":"a","version":"01","path":"a"}` + "\n" + `{"op":"rewr`
	writes, err := parseWrites(strings.NewReader(log))
	if err != nil || len(writes) != 1 {
		t.Errorf("got %v, %v; want the one whole line", writes, err)
	}
	_, err = parseWrites(strings.NewReader("{bad\n" + log))
	if err == nil {
		t.Error("a broken line in the middle is no kill")
	}
	if got := JudgeWrites("s", writes, unknown); len(got) > 0 {
		t.Error(got)
	}
}
