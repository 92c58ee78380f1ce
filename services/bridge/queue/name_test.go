package queue

import (
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/fuzztest"
)

var aTime = time.Unix(1_700_000_000, 123_456_000).UTC()

func TestNames(t *testing.T) {
	for _, c := range []struct {
		about, name      string
		written, classic bool
	}{
		{"as both write it", "data_4f2a-9_1700000000.123456_42.zs", true, true},
		{"of an object without uid", "data__1700000000.123456_0.zs", true, true},
		{"with the largest number", "data_u_1700000000.123456_1000000.zs", true, true},
		{"at the beginning of time", "data_u_0.000000_1.zs", true, true},
		{"still being written", "data_u_1700000000.123456_42.zs.lock", false, true},
		{"with something behind", "data_u_1700000000.123456_42.zs123", false, true},
		{"without the dot", "data_u_1700000000.123456_42-zs", false, true},
		{"with a time that is no number", "data_u_now_42.zs", false, true},
		{"with a time that sorts anywhere", "data_u_nan_42.zs", false, true},
		{"with milliseconds", "data_u_1700000000.123_42.zs", false, true},
		{"with a number too large", "data_u_1700000000.123456_1000001.zs", false, true},
		{"with a leading zero", "data_u_1700000000.123456_042.zs", false, true},
		{"with a negative time", "data_u_-1.123456_42.zs", false, true},
		{"with a dot in the uid", "data_a.b_1700000000.123456_42.zs", false, true},
		{"with a line end behind", "data_u_1700000000.123456_42.zs\n", false, true},
		{"with _ in the uid", "data_a_b_1700000000.123456_42.zs", false, false},
		{"with a dot before", ".data_u_1700000000.123456_42.zs", false, false},
		{"with a dot in the number", "data_u_1700000000.123456_4.2.zs", false, false},
		{"with another ending", "data_u_1700000000.123456_42.zip", false, false},
		{"of something else", "README", false, false},
		{"of nothing", "", false, false},
	} {
		t.Run(c.about, func(t *testing.T) {
			n, err := ParseName(c.name)
			if (err == nil) != c.written {
				t.Errorf("ParseName(%q) = %v, %v", c.name, n, err)
			}
			if c.written && n.String() != c.name {
				t.Errorf("%q is written as %q", c.name, n)
			}
			if Matches(c.name) != c.classic {
				t.Errorf("Matches(%q) = %v", c.name, !c.classic)
			}
		})
	}
}

func TestParseNameFindsTheParts(t *testing.T) {
	got, err := ParseName("data_4f2a_1700000000.123456_42.zs")
	if want := (Name{UID: "4f2a", Time: aTime, Number: 42}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestNewNameRefusesWhatNoReaderTakes(t *testing.T) {
	for _, c := range []struct {
		about, uid string
		at         time.Time
		number     int
		want       string
	}{
		{"_ in the uid", "a_b", aTime, 1, `uid "a_b"`},
		{"/ in the uid", "a/b", aTime, 1, `uid "a/b"`},
		{"a line end in the uid", "a\n", aTime, 1, `uid "a\n"`},
		{"a long uid", strings.Repeat("u", maxUID+1), aTime, 1, "201 bytes"},
		{"a time before 1970", "u", time.Unix(-1, 0), 1, "time 19"},
		{"a time too far away", "u", time.Unix(maxSeconds+1, 0), 1, "time 5138"},
		{"a negative number", "u", aTime, -1, "number -1"},
		{"a number too large", "u", aTime, maxNumber + 1, "number 1000001"},
	} {
		t.Run(c.about, func(t *testing.T) {
			if _, err := NewName(c.uid, c.at, c.number); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestNewNameCutsTheTime(t *testing.T) {
	n, err := NewName("u", aTime.Add(999).In(time.FixedZone("here", 3600)), 7)
	if err != nil || n.String() != "data_u_1700000000.123456_7.zs" || n.Time != aTime {
		t.Errorf("got %s at %s, %v", n, n.Time, err)
	}
}

func TestLongestNameFits(t *testing.T) {
	n, err := NewName(strings.Repeat("u", maxUID), time.Unix(maxSeconds, 0), maxNumber)
	if err != nil || len(n.String()+".lock") > 255 {
		t.Errorf("%d bytes, %v", len(n.String()+".lock"), err)
	}
}

func TestCompareOrdersByTime(t *testing.T) {
	want := []string{
		"data_z_9.000000_5.zs", // a text order would put this last
		"data_c_10.000000_2.zs",
		"data_a_10.000000_11.zs",
		"data_b_10.000000_11.zs",
		"data_a_10.000001_0.zs",
	}
	names := make([]Name, 0, len(want))
	for _, s := range slices.Sorted(slices.Values(want)) {
		n, err := ParseName(s)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	slices.SortFunc(names, Name.Compare)
	for i, n := range names {
		if n.String() != want[i] {
			t.Errorf("place %d has %s, want %s", i, n, want[i])
		}
	}
}

// FuzzParseName holds that what is read is written again as it was, and that the
// classic reader takes all of it.
func FuzzParseName(f *testing.F) {
	f.Add("data_4f2a_1700000000.123456_42.zs")
	f.Add("data__0.000000_0.zs")
	f.Add("data_u_99999999999.999999_1000000.zs")
	f.Add("data_u_1700000000.123456_42.zs.lock")
	f.Fuzz(func(t *testing.T, s string) {
		var n Name
		var err error
		var taken bool
		fuzztest.Within(t, len(s), func() { taken = Matches(s); n, err = ParseName(s) })
		if err != nil {
			return
		}
		if n.String() != s {
			t.Errorf("%q is written as %q", s, n)
		}
		if !taken {
			t.Errorf("the classic reader does not take %q", s)
		}
	})
}

// FuzzNewName holds that what is made can be read, as the same name.
func FuzzNewName(f *testing.F) {
	f.Add("4f2a", int64(1_700_000_000), int64(123_456_789), 42)
	f.Add("", int64(0), int64(-1), 0)
	f.Fuzz(func(t *testing.T, uid string, seconds, nanos int64, number int) {
		made, err := NewName(uid, time.Unix(seconds, nanos), number)
		if err != nil {
			return
		}
		if read, err := ParseName(made.String()); err != nil || read != made {
			t.Errorf("%s is read as %s, %v", made, read, err)
		}
	})
}
