package locate

import (
	"strings"

	"synchro.example/shared/content"
)

// area is a part of a site: all below under, but not what lies below one of without.
type area struct {
	under   string
	without []string
}

// Apart tells whether the objects of two sources cannot land on one path, as far as that
// can be told from the rules: it looks at the fixed beginnings of their paths. Where it
// is false, at is a path that both may take.
func (r *Rules) Apart(one, other string) (at string, apart bool) {
	for _, a := range r.areas(one) {
		for _, b := range r.areas(other) {
			if at, meet := a.meets(b); meet {
				return "/" + at, false
			}
		}
	}
	return "", true
}

// areas gives where objects of a source may land.
func (r *Rules) areas(source string) (list []area) {
	var elsewhere []string // what a rule takes from those below it
	if r != nil {
		for i := range r.list {
			one := &r.list[i]
			if one.Source != "" && one.Source != source {
				continue
			}
			if one.At != Skip {
				list = append(list, area{under: one.fixed(source)})
			}
			below, certain := one.takes()
			if certain && below == "" {
				return list
			}
			if certain {
				elsewhere = append(elsewhere, below)
			}
		}
	}
	return append(list, area{without: elsewhere})
}

// fixed is the beginning that the paths of all objects of a source have by a rule.
func (r *rule) fixed(source string) string {
	var text strings.Builder
	for _, p := range r.at {
		if p.name != "" && p.name != "source" {
			break
		}
		text.WriteString(p.of(&content.Change{Source: source}, "", ""))
	}
	return strings.Trim(text.String()[:strings.LastIndexByte(text.String(), '/')+1], "/")
}

// takes tells below which path a rule matches everything.
func (r *rule) takes() (below string, certain bool) {
	if r.Type+r.Plugin+r.Expression != "" {
		return "", false
	}
	return r.prefix, r.glob == "" || r.glob == "**" || r.glob == r.prefix+"/**"
}

func (a area) meets(b area) (at string, meet bool) {
	switch {
	case below(b.under, a.under):
		at = b.under
	case below(a.under, b.under):
		at = a.under
	default:
		return "", false
	}
	for _, w := range append(a.without, b.without...) {
		if below(at, w) {
			return "", false
		}
	}
	return at, true
}

// below tells whether a path is another one or lies below it.
func below(path, top string) bool {
	return top == "" || path == top || strings.HasPrefix(path, top+"/")
}
