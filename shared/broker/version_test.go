package broker

import "testing"

func TestVersionsAreComparedByTheirNumbers(t *testing.T) {
	for version, want := range map[string]bool{"2.9.1": true, "2.10.22": true, "2.11.0": false, "2.14": false, "3.0.0": false, "1.99.0": true, "what": true, "": true} {
		if got := older(version, oldest); got != want {
			t.Errorf("%q is older: %v", version, got)
		}
	}
}
