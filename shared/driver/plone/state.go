package plone

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// state is an object as it travels, in the JSON of the content payload. Two objects
// are the same when their states are. The keys are in order, here and in what is below:
// who reads the JSON into a map and writes it again gets the same bytes.
type state struct {
	// Exact is the whole state in the words of the add-on, from a source that has it. A
	// target that has it too takes that, and any other what follows.
	Exact *exactPart `json:"exact,omitempty"`
	// Fields are the values that are neither bytes nor relations. Rich text is an
	// object with "data" and "content-type".
	Fields map[string]any `json:"fields"`
	// Files describe the bytes that travel as payloads of their own.
	Files  map[string]fileInfo `json:"files,omitempty"`
	Layout string              `json:"layout,omitempty"`
	// Order are the UIDs of what a container holds.
	Order []string `json:"order,omitempty"`
	// Relations are UIDs, by field and in order.
	Relations map[string][]string `json:"relations,omitempty"`
	// Rendered are fields whose text could be read only as a browser gets it.
	Rendered []string `json:"rendered,omitempty"`
	// ReviewState is the workflow's state, empty without a workflow.
	ReviewState string `json:"review_state,omitempty"`
	// Top are the UIDs of what is at the top of the site, of the one object that has them.
	Top []string `json:"top,omitempty"`
	// Translations are the UIDs of the same in other languages.
	Translations []string `json:"translations,omitempty"`
	Type         string   `json:"type"`
}

// fileInfo is what is known of a file besides its bytes.
type fileInfo struct {
	Media string `json:"content-type"`
	Name  string `json:"filename"`
	Size  int64  `json:"size"`
}

// document is the JSON of an object as Plone gives it.
type document map[string]any

func (d document) str(key string) string {
	s, _ := d[key].(string)
	return s
}

func (d document) uid() string      { return d.str("UID") }
func (d document) container() bool  { b, _ := d["is_folderish"].(bool); return b }
func (d document) modified() string { return d.str("modified") }

// metaKeys are what expressions may read of an object, under the names that Plone has
// for them; portal_type stands for @type.
var metaKeys = []string{
	"@id", "title", "description", "review_state", "subjects", "creators", "contributors", "rights", "created",
	"modified", "effective", "expires", "is_folderish", "type_title",
}

func (d document) meta() map[string]any {
	m := map[string]any{"portal_type": d.str("@type"), "language": token(d["language"])}
	for _, k := range metaKeys {
		if v, ok := d[k]; ok && v != nil {
			m[k] = v
		}
	}
	return m
}

// normal gives the value of a field in the form that is compared: what Plone says in
// several ways is said in one.
func normal(name string, k kind, v any) any {
	switch k {
	case date:
		return normalDate(v, name == "effective" || name == "expires")
	case rich:
		return normalRich(v)
	case plain:
		return normalPlain(name, v)
	}
	return v
}

func normalDate(v any, minutes bool) any {
	s, _ := v.(string)
	if s == "" {
		return nil
	}
	t, err := parseTime(s)
	if err != nil {
		return s
	}
	t = t.UTC()
	if minutes {
		t = t.Truncate(time.Minute)
	}
	return t.Format(time.RFC3339)
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no date", s)
}

func normalRich(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	data, _ := m["data"].(string)
	if data == "" {
		return nil
	}
	media, _ := m["content-type"].(string)
	return map[string]any{"data": foldLines(data), "content-type": media}
}

func foldLines(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// composed are the fields that Plone keeps in the composed form of Unicode.
var composed = []string{"title", "description", "rights", "subjects"}

func normalPlain(name string, v any) any {
	v = token(v)
	if s, ok := v.(string); ok {
		if s = foldLines(s); slices.Contains(composed, name) {
			s = norm.NFC.String(s)
		}
		if name == "title" {
			s = strings.TrimSpace(s)
		}
		v = s
	}
	if isEmpty(v) {
		return nil
	}
	return v
}

// isEmpty says null, "" and an empty list alike.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	}
	return false
}

// token takes the value out of the pair of title and token that stands for a choice.
func token(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if t, ok := v["token"]; ok && len(v) <= 2 {
			return t
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = token(v[i])
		}
		return out
	}
	return v
}

// relations gives the UIDs of a field of relations. It is false when one of them is
// hidden from the account.
func relations(v any) (uids []string, ok bool) {
	list, isList := v.([]any)
	if !isList && v != nil {
		list = []any{v}
	}
	for _, r := range list {
		m, _ := r.(map[string]any)
		uid, _ := m["UID"].(string)
		if uid == "" {
			return nil, false
		}
		uids = append(uids, uid)
	}
	return uids, true
}

func sortedFields[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
