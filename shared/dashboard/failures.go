package dashboard

import (
	"cmp"
	"context"
	"slices"

	"synchro.example/shared/deadletter"
	"synchro.example/shared/fault"
)

// maxListed is how many failures the page lists. `synchro errors` lists all.
const maxListed = 100

// failures is what failed, the latest first.
type failures struct {
	Total   int                `json:"total"`
	Codes   []cause            `json:"codes"` // the most frequent first
	Entries []deadletter.Entry `json:"entries"`
}

// cause is why some objects failed, and what to do.
type cause struct {
	Code   fault.Code `json:"code"`
	Count  int        `json:"count"`
	Advice string     `json:"advice"`
}

func (d *dashboard) readFailures(ctx context.Context) (*failures, error) {
	all, err := deadletter.New(d.js).All(ctx)
	if err != nil {
		return nil, err
	}
	f := &failures{Total: len(all), Codes: causes(all)}
	slices.SortFunc(all, func(a, b deadletter.Entry) int { return b.Last.Compare(a.Last) })
	f.Entries = append([]deadletter.Entry{}, all[:min(len(all), maxListed)]...)
	return f, nil
}

func causes(all []deadletter.Entry) []cause {
	counts := map[fault.Code]int{}
	for i := range all {
		counts[all[i].Code]++
	}
	codes := []cause{}
	for code, n := range counts {
		codes = append(codes, cause{code, n, fault.Advice(code)})
	}
	slices.SortFunc(codes, func(a, b cause) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Code, b.Code))
	})
	return codes
}
