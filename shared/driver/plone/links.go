package plone

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// unlink replaces the addresses of the site's own objects in a value by their UIDs, in
// the form in which Plone stores them in blocks.
func (r reader) unlink(ctx context.Context, v any) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		return r.unlinkAddress(ctx, v, "../")
	case []any:
		out := make([]any, len(v))
		for i := range v {
			if out[i], err = r.unlink(ctx, v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			if out[k], err = r.unlink(ctx, v[k]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// unlinkAddress leaves alone what is not the address of an object that stands there.
func (r reader) unlinkAddress(ctx context.Context, s, prefix string) (string, error) {
	if !strings.HasPrefix(s, "http") || strings.ContainsAny(s, " \n") {
		return s, nil
	}
	site, err := r.root(ctx)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(s)
	if err != nil {
		return s, nil
	}
	rest := ""
	if u.RawQuery != "" {
		rest += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		rest += "#" + u.EscapedFragment()
	}
	path, ok := below(site, strings.TrimSuffix(s, rest))
	if !ok || path == "" || checkPath(path) != nil {
		return s, nil
	}
	doc, err := r.object(ctx, path)
	switch {
	case errors.Is(err, errElsewhere), isAbsent(err):
		return s, nil
	case err != nil:
		return "", err
	}
	return prefix + "resolveuid/" + doc.uid() + rest, nil
}

var attribute = regexp.MustCompile(`(\s(?:href|src)=")(https?://[^"]+)"`)

// unlinkText does the same in the attributes of rendered text.
func (r reader) unlinkText(ctx context.Context, text string) (string, error) {
	var failed error
	out := attribute.ReplaceAllStringFunc(text, func(match string) string {
		m := attribute.FindStringSubmatch(match)
		s, err := r.unlinkAddress(ctx, m[2], "")
		if err != nil {
			failed = err
			return match
		}
		return m[1] + s + `"`
	})
	return out, failed
}
