package tales

import (
	"math"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"synchro.example/shared/content"
)

// Dates of what never comes into effect and of what never expires, as in CMF.
var (
	floorDate   = date{time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)}
	ceilingDate = date{time.Date(2499, 12, 31, 0, 0, 0, 0, time.UTC)}
)

// vocabulary is what an object of CMF and Plone understands. The package comment
// says where each word comes from.
func vocabulary() map[string]word {
	words := map[string]word{
		"UID":                  method(func(r *run) starlark.Value { return starlark.String(r.change.Object.UID) }),
		"getId":                method(name),
		"getName":              method(name),
		"id":                   value(name),
		"getPhysicalPath":      calls(physicalPath),
		"absolute_url_path":    method(func(r *run) starlark.Value { return starlark.String("/" + r.change.Object.Path) }),
		"virtual_url_path":     method(func(r *run) starlark.Value { return starlark.String(r.change.Object.Path) }),
		"absolute_url":         calls(absoluteURL),
		"portal_type":          value(portalType),
		"getPortalTypeName":    method(portalType),
		"Type":                 method(func(r *run) starlark.Value { return textOr(r, portalType, "type_title") }),
		"meta_type":            value(func(r *run) starlark.Value { return textOr(r, portalType, "meta_type") }),
		"title_or_id":          method(func(r *run) starlark.Value { return textOr(r, name, "title") }),
		"review_state":         value(text("review_state")),
		"get_size":             calls(size),
		"is_folderish":         value(folderish),
		"isPrincipiaFolderish": value(folderish),
		"Creator":              calls(func(r *run) (starlark.Value, error) { return first(r, "creators", "creator") }),
		"getProperty":          {method: getProperty},
		"hasProperty":          {method: hasProperty},
	}
	addTexts(words)
	addLists(words)
	addDates(words)
	return words
}

func addTexts(words map[string]word) {
	words["Title"], words["title"] = method(text("title")), value(text("title"))
	words["Description"], words["description"] = method(text("description")), value(text("description"))
	words["Rights"], words["rights"] = method(text("rights")), value(text("rights"))
	words["Language"], words["language"] = method(text("language")), value(text("language"))
	format := text("content_type", "content-type", "mime_type", "format")
	words["Format"], words["getContentType"], words["content_type"] = method(format), method(format), value(format)
}

func addLists(words map[string]word) {
	add := func(attribute string, methods []string, keys ...string) {
		f := func(r *run) (starlark.Value, error) { return list(r, keys...) }
		words[attribute] = word{value: f}
		for _, m := range methods {
			words[m] = calls(f)
		}
	}
	add("subject", []string{"Subject"}, "subjects", "subject")
	add("creators", []string{"Creators", "listCreators"}, "creators", "creator")
	add("contributors", []string{"Contributors", "listContributors"}, "contributors")
}

func addDates(words map[string]word) {
	captured := func(r *run) starlark.Value { return date{r.change.CapturedAt.UTC()} }
	none := func(*run) starlark.Value { return starlark.None }
	for _, d := range []struct {
		method, attribute, text string
		absentMethod, absent    func(*run) starlark.Value
	}{
		{"created", "creation_date", "CreationDate", nil, nil},
		{"modified", "modification_date", "ModificationDate", captured, captured},
		{"effective", "effective_date", "EffectiveDate", func(*run) starlark.Value { return floorDate }, none},
		{"expires", "expiration_date", "ExpirationDate", func(*run) starlark.Value { return ceilingDate }, none},
	} {
		words[d.method] = calls(dateOf(d.absentMethod, d.method, d.attribute))
		words[d.attribute] = word{value: dateOf(d.absent, d.method, d.attribute)}
		words[d.text] = calls(dateText(dateOf(d.absent, d.method, d.attribute)))
	}
}

// dateText is the date as CMF prints it, 'None' for none.
func dateText(f func(*run) (starlark.Value, error)) func(*run) (starlark.Value, error) {
	return func(r *run) (starlark.Value, error) {
		v, err := f(r)
		if d, ok := v.(date); ok {
			return starlark.String(d.t.Format("2006-01-02T15:04:05-07:00")), err
		}
		return starlark.String("None"), err
	}
}

func name(r *run) starlark.Value { return starlark.String(r.change.Object.Name) }

// meta gives the first of the keys that is there.
func (r *run) meta(keys ...string) any {
	for _, k := range keys {
		if v := r.change.Object.Meta[k]; v != nil {
			return v
		}
	}
	return nil
}

// text reads a text, empty when it is absent.
func text(keys ...string) func(r *run) starlark.Value {
	return func(r *run) starlark.Value {
		s, _ := toText(r.meta(keys...))
		return starlark.String(s)
	}
}

func textOr(r *run, otherwise func(r *run) starlark.Value, keys ...string) starlark.Value {
	if s, _ := toText(r.meta(keys...)); s != "" {
		return starlark.String(s)
	}
	return otherwise(r)
}

func portalType(r *run) starlark.Value {
	if s, _ := toText(r.meta("portal_type", "@type")); s != "" {
		return starlark.String(s)
	}
	return starlark.String(r.change.Object.Type)
}

// toText reads a text, or the token of a value that Plone gives with its title.
func toText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case map[string]any:
		s, ok := v["token"].(string)
		return s, ok
	}
	return "", false
}

// list reads a list of texts as a tuple, empty when it is absent.
func list(r *run, keys ...string) (starlark.Value, error) {
	var all starlark.Tuple
	add := func(v any) error {
		if s, ok := toText(v); ok {
			all = append(all, starlark.String(s))
		}
		if err := r.spend(1); err != nil {
			return err
		}
		return r.allocate(perValue)
	}
	var err error
	switch v := r.meta(keys...).(type) {
	case []any:
		for i := 0; i < len(v) && err == nil; i++ {
			err = add(v[i])
		}
	case []string:
		for i := 0; i < len(v) && err == nil; i++ {
			err = add(v[i])
		}
	case nil:
	default:
		err = add(v)
	}
	return all, err
}

func first(r *run, keys ...string) (starlark.Value, error) {
	v, err := list(r, keys...)
	if all, ok := v.(starlark.Tuple); ok && len(all) > 0 {
		return all[0], err
	}
	return starlark.String(""), err
}

func dateOf(absent func(*run) starlark.Value, keys ...string) func(r *run) (starlark.Value, error) {
	return func(r *run) (starlark.Value, error) {
		v := r.meta(keys...)
		if t, ok := v.(time.Time); ok {
			return date{t.UTC()}, nil
		}
		s, _ := toText(v)
		switch {
		case s == "" && absent != nil:
			return absent(r), nil
		case s == "":
			return nil, absentf("the change does not carry the date %s", keys[0])
		}
		t, err := parseDate(s)
		if err != nil {
			return nil, reasonf("the object's %s: %s", keys[0], err)
		}
		return date{t}, nil
	}
}

// physicalPath begins with an empty text, as in Zope, and goes on below the site.
func physicalPath(r *run) (starlark.Value, error) {
	parts := strings.Split(r.change.Object.Path, "/")
	if err := r.allocate(2 * perValue * len(parts)); err != nil {
		return nil, err
	}
	path := make(starlark.Tuple, 1, len(parts)+1)
	path[0] = starlark.String("")
	for _, p := range parts {
		path = append(path, starlark.String(p))
	}
	return path, r.spend(len(parts))
}

func absoluteURL(r *run) (starlark.Value, error) {
	if s, _ := toText(r.meta("@id")); s != "" {
		return starlark.String(s), nil
	}
	return nil, absentf("the change carries no URL; write object.absolute_url_path()")
}

func size(r *run) (starlark.Value, error) {
	v, err := r.fromGo(r.meta("size", "get_size"))
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case starlark.Int:
		return v, nil
	case starlark.Float:
		if math.Abs(float64(v)) < 1<<53 {
			return starlark.MakeInt64(int64(v)), nil
		}
	}
	return starlark.MakeInt(0), nil
}

func folderish(r *run) starlark.Value {
	if b, ok := r.meta("is_folderish").(bool); ok {
		return starlark.Bool(b)
	}
	return starlark.Bool(r.change.Object.Type == content.TypeFolder)
}

func getProperty(r *run, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	key, ok := argument(args, 0)
	if !ok || len(args) > 2 {
		return nil, reasonf("write getProperty('name', default)")
	}
	if r.hasField(key) {
		return r.field(key)
	}
	if len(args) == 2 {
		return args[1], nil
	}
	return starlark.None, nil
}

func hasProperty(r *run, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	key, ok := argument(args, 0)
	if !ok || len(args) > 1 {
		return nil, reasonf("write hasProperty('name')")
	}
	return starlark.Bool(r.hasField(key)), nil
}
