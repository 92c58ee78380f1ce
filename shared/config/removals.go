package config

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	defaultRemovals = 20 // percent
	// fewRemovals may go in any case where the limit is a share: a small site changes
	// by large shares.
	fewRemovals = 20
)

// Removals bounds how many objects may disappear in one cycle: a share of all, such as
// 20%, or a number.
type Removals struct {
	Percent float64
	Count   int
}

// UnmarshalYAML reads 20% or 500.
func (r *Removals) UnmarshalYAML(n *yaml.Node) error {
	share, isShare := strings.CutSuffix(n.Value, "%")
	var err error
	if isShare {
		r.Percent, err = strconv.ParseFloat(share, 64)
	} else {
		r.Count, err = strconv.Atoi(n.Value)
	}
	if err != nil || r.Percent < 0 || r.Percent > 100 || r.Count < 0 || *r == (Removals{}) {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: cannot unmarshal `%s` into Removals", n.Line, n.Value)}}
	}
	return nil
}

// Of gives the number for a site that has so many objects.
func (r Removals) Of(objects int) int {
	if r.Count > 0 {
		return r.Count
	}
	return max(fewRemovals-1, int(float64(objects)*r.Percent/100))
}
