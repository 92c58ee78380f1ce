package fuzztest

import (
	"strings"
	"testing"
)

// What a reading leaves, so that it is not optimised away.
var (
	kept  []byte
	depth int
)

func TestExcessIsTold(t *testing.T) {
	for about, c := range map[string]struct {
		read func()
		want string
	}{
		"much memory":  {func() { kept = make([]byte, 10<<20) }, "bytes of memory"},
		"a deep stack": {func() { depth = deep(1 << 19) }, "bytes of memory"},
		"much time": {func() {
			for start := worked(); worked()-start <= longest; {
				continue
			}
		}, "took"},
		"little of both": {func() { kept = make([]byte, 1<<20) }, ""},
	} {
		t.Run(about, func(t *testing.T) {
			got := excess(1000, c.read)
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("it says %q", got)
			}
		})
	}
}

func deep(n int) int {
	if n == 0 {
		return 0
	}
	return 1 + deep(n-1)
}

func TestLongRepeatsAPiece(t *testing.T) {
	if got := string(Long(7, []byte("<"), []byte("ab"), []byte(">"))); got != "<ababab>" {
		t.Errorf("it makes %q", got)
	}
	if got := string(Long(7, []byte("<"), nil, []byte(">"))); got != "<>" {
		t.Errorf("without a piece it makes %q", got)
	}
}
