package plone

import (
	"context"
	"net/http"
	"path"
	"slices"
)

// arrange brings what a container holds into the order of the change, as far as it is
// there, and tells how many moves that took. What is on this site alone stays where it
// is, between its neighbours.
func (w *work) arrange(ctx context.Context, container string, order []string) (moved int, err error) {
	if len(order) == 0 || !w.wants(orderField) {
		return 0, nil
	}
	rows, err := w.children(ctx, container)
	if err != nil {
		return 0, err
	}
	have := make([]string, len(rows))
	ids := make(map[string]string, len(rows))
	for i, r := range rows {
		have[i], ids[r.UID] = r.UID, path.Base(r.path)
	}
	var want []string
	for _, uid := range order {
		if ids[uid] != "" {
			want = append(want, uid)
		} else {
			w.miss(uid)
		}
	}
	for _, m := range moves(have, want) {
		moved++
		w.effects++
		body := map[string]any{"ordering": map[string]any{"obj_id": ids[m.what], "delta": m.delta}}
		if _, err := w.do(ctx, request{method: http.MethodPatch, path: container, body: body}); err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// shift moves one element of a list by some places.
type shift struct {
	what  string
	delta int
}

// moves gives the fewest shifts that bring have, which has other elements as well, into
// the order of want.
func moves(have, want []string) []shift {
	at := positions(have)
	stays := increasing(want, at)
	list := slices.Clone(have)
	var out []shift
	for i, what := range want {
		if stays[what] {
			continue
		}
		from := slices.Index(list, what)
		list = slices.Delete(list, from, from+1)
		to := 0
		if i > 0 {
			to = slices.Index(list, want[i-1]) + 1
		} else if len(want) > 1 {
			to = slices.Index(list, next(want, stays))
		}
		list = slices.Insert(list, to, what)
		out = append(out, shift{what, to - from})
	}
	return slices.DeleteFunc(out, func(s shift) bool { return s.delta == 0 })
}

// next gives the first element that stays.
func next(want []string, stays map[string]bool) string {
	return want[slices.IndexFunc(want, func(s string) bool { return stays[s] })]
}

func positions(list []string) map[string]int {
	at := make(map[string]int, len(list))
	for i, s := range list {
		at[s] = i
	}
	return at
}

// increasing gives a longest part of want whose elements are in order already.
func increasing(want []string, at map[string]int) map[string]bool {
	var tails []int // indexes into want: the best end of a run of each length
	before := make([]int, len(want))
	for i, s := range want {
		n, _ := slices.BinarySearchFunc(tails, at[s], func(t, pos int) int { return at[want[t]] - pos })
		before[i] = -1
		if n > 0 {
			before[i] = tails[n-1]
		}
		tails = append(tails[:n], append([]int{i}, tails[min(n+1, len(tails)):]...)...)
	}
	stays := map[string]bool{}
	if len(tails) > 0 {
		for i := tails[len(tails)-1]; i >= 0; i = before[i] {
			stays[want[i]] = true
		}
	}
	return stays
}
