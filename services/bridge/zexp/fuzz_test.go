package zexp

import (
	"bytes"
	"testing"

	"synchro.example/services/bridge/pickle"
	"synchro.example/shared/fuzztest"
)

// FuzzCheck holds that what is taken names and calls only what the list has.
func FuzzCheck(f *testing.F) {
	for _, name := range []string{"blob.python2.zexp", "blob.python3.zexp", "sets.python2.zexp", "sets.python3.zexp"} {
		f.Add(goldenFile(f, name))
	}
	for _, c := range hostile {
		if len(c.file) < 4096 {
			f.Add([]byte(c.file))
		}
	}
	allowed := Default()
	f.Fuzz(func(t *testing.T, file []byte) {
		r := checkWithin(t, file, allowed)
		if r == nil {
			return
		}
		for n := range r.Names {
			if !allowed.names[n] {
				t.Errorf("%s is named", n)
			}
		}
		for n := range r.Calls {
			if !allowed.calls[n] {
				t.Errorf("%s is called", n)
			}
		}
		if _, err := Learn(bytes.NewReader(file)); err != nil {
			t.Errorf("checked, but not learned: %v", err)
		}
	})
}

// checkWithin gives nil for what is refused, as nearly everything is.
func checkWithin(t testing.TB, file []byte, allowed *List) *Report {
	t.Helper()
	var r *Report
	var err error
	fuzztest.Within(t, len(file), func() { r, err = Check(bytes.NewReader(file), allowed) })
	if err == nil {
		return r
	}
	if _, refused := pickle.AsRefusal(err); !refused {
		t.Error(err)
	}
	return nil
}

// FuzzCheckLong holds that a record of a megabyte in which one piece comes again and again
// costs little.
func FuzzCheckLong(f *testing.F) {
	for _, c := range []struct{ head, piece, tail string }{
		{"", "(", "."},
		{"", "N", "."},
		{"]", "N\x85a", "."},
		{"]", "]a", "."},
		{"N", "\x85", "."},
		{"]q\x00", "h\x00a", "."},
		{"N", "r\x01\x02\x03\x04", "."},
		{"]", "U\x01xa", "."},
		{"]", "c__builtin__\nset\n)Ra", "."},
		{"](", refers("b"), "e."},
		{"](", "]", "e."},
		{"]", "(NNNNe", "."},
		{"V", "\\u00e9", "\n."},
	} {
		f.Add([]byte(c.head), []byte(c.piece), []byte(c.tail))
	}
	allowed := Default()
	f.Fuzz(func(t *testing.T, head, piece, tail []byte) {
		checkWithin(t, []byte(state(string(fuzztest.Long(fuzztest.Mega, head, piece, tail)))), allowed)
	})
}
