package tales

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// word is one name of a vocabulary: a value, or a method.
type word struct {
	value  func(r *run) (starlark.Value, error)
	method func(r *run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)
}

// namespace is one of the names that an expression begins with. There is one change
// in an evaluation, so a namespace needs no state.
type namespace struct {
	name  string
	words map[string]word
	// fields says that other names are those of the object's fields.
	fields bool
}

func (n *namespace) String() string      { return "<" + n.name + ">" }
func (n *namespace) Type() string        { return n.name }
func (*namespace) Freeze()               {}
func (*namespace) Truth() starlark.Bool  { return true }
func (*namespace) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: an object") }

// check refuses, when an expression is compiled, what cannot be right for any object.
func (n *namespace) check(name string, called bool) error {
	w, known := n.words[name]
	switch {
	case !known && !n.fields:
		return n.unknown(name)
	case known && called && w.method == nil && w.value != nil && !strings.HasPrefix(name, "aq_") && isPlain(name):
		return reasonf("%s is a value, not a method; write %s.%s without ()", name, n.name, name)
	case known && !called && w.value == nil:
		return reasonf("%s is a method; write %s.%s()", name, n.name, name)
	}
	return nil
}

// isPlain leaves out values that can be called themselves.
func isPlain(name string) bool { return name != "DateTime" }

func (n *namespace) unknown(name string) error {
	known := make([]string, 0, len(n.words))
	for w := range n.words {
		known = append(known, w)
	}
	slices.Sort(known)
	return reasonf("%s has no %s; it has: %s", n.name, name, strings.Join(known, ", "))
}

func (n *namespace) attribute(r *run, name string) (starlark.Value, error) {
	w, known := n.words[name]
	switch {
	case known && w.value != nil:
		return w.value(r)
	case known:
		return nil, reasonf("%s is a method; write %s()", name, name)
	case n.fields:
		return r.field(name)
	}
	return nil, n.unknown(name)
}

func (n *namespace) call(r *run, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	w, known := n.words[name]
	if known && w.method != nil {
		return w.method(r, args, kwargs)
	}
	if !known && n.fields && len(args) == 0 {
		if field, ok := accessor(name); ok && r.hasField(field) {
			return r.field(field)
		}
		if !r.hasField(name) {
			return nil, r.noField(name)
		}
	}
	v, err := n.attribute(r, name)
	if err != nil {
		return nil, err
	}
	return r.callValue(v, args, kwargs)
}

// accessor gives the field that an Archetypes accessor reads.
func accessor(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, "get")
	first, size := utf8.DecodeRuneInString(rest)
	if !ok || !unicode.IsUpper(first) {
		return "", false
	}
	return string(unicode.ToLower(first)) + rest[size:], true
}

func (r *run) hasField(name string) bool {
	_, ok := r.change.Object.Meta[name]
	return ok
}

func (r *run) field(name string) (starlark.Value, error) {
	v, ok := r.change.Object.Meta[name]
	if !ok {
		return nil, r.noField(name)
	}
	return r.fromGo(v)
}

// maxNamed is how many fields a message lists.
const maxNamed = 30

func (r *run) noField(name string) error {
	known := make([]string, 0, len(r.change.Object.Meta))
	for k := range r.change.Object.Meta {
		known = append(known, k)
	}
	slices.Sort(known)
	meant := names["object"].meant(name)
	if i := slices.IndexFunc(known, func(field string) bool { return folded(field) == folded(name) }); i >= 0 && meant == "" {
		meant = known[i]
	}
	if meant != "" {
		meant = ", but " + meant
	}
	if len(known) > maxNamed {
		known = append(known[:maxNamed], "…")
	}
	return absentf("the object has no %s%s; its fields: %s", name, meant, strings.Join(known, ", "))
}

// meant gives the word that somebody has in mind who writes it with other capitals.
func (n *namespace) meant(name string) string {
	var found []string
	for word, w := range n.words {
		switch {
		case folded(word) != folded(name):
		case w.value == nil:
			found = append(found, word+"()")
		default:
			found = append(found, word)
		}
	}
	slices.Sort(found)
	return strings.Join(found, " and ")
}

func folded(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// names are what an expression can begin with, beside constants and functions.
var names = map[string]*namespace{}

// The maps are filled here because the words lead back to them.
func init() {
	object := &namespace{name: "object", words: vocabulary(), fields: true}
	workflow := &namespace{name: "portal_workflow", words: workflowWords()}
	portal := &namespace{name: "portal", words: portalWords()}
	self := func(*run) (starlark.Value, error) { return object, nil }
	for _, name := range []string{"aq_base", "aq_inner", "aq_explicit"} {
		object.words[name] = word{value: self}
	}
	for _, n := range []*namespace{object, portal} {
		n.words["portal_workflow"] = word{value: func(*run) (starlark.Value, error) { return workflow, nil }}
	}
	names["object"], names["here"], names["context"] = object, object, object
	names["portal"] = portal
	names["event"] = &namespace{name: "event", words: eventWords(self)}
	names["modules"] = modules
}

func portalWords() map[string]word {
	return map[string]word{
		"id":                value(func(r *run) starlark.Value { return starlark.String(r.change.Source) }),
		"getId":             method(func(r *run) starlark.Value { return starlark.String(r.change.Source) }),
		"getPhysicalPath":   method(func(*run) starlark.Value { return starlark.Tuple{starlark.String("")} }),
		"absolute_url_path": method(func(*run) starlark.Value { return starlark.String("/") }),
		"portal_type":       value(func(*run) starlark.Value { return starlark.String("Plone Site") }),
		"getPortalTypeName": method(func(*run) starlark.Value { return starlark.String("Plone Site") }),
	}
}

func eventWords(object func(*run) (starlark.Value, error)) map[string]word {
	return map[string]word{
		"object": {value: object},
		"kind":   value(func(r *run) starlark.Value { return starlark.String(r.change.Kind) }),
		"source": value(func(r *run) starlark.Value { return starlark.String(r.change.Source) }),
		"time":   value(func(r *run) starlark.Value { return date{r.change.CapturedAt.UTC()} }),
	}
}

func workflowWords() map[string]word {
	return map[string]word{"getInfoFor": {method: infoFor}}
}

// infoFor is portal_workflow.getInfoFor(object, name, default, wf_id).
func infoFor(r *run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var of, name, otherwise, workflow starlark.Value
	err := starlark.UnpackArgs("getInfoFor", args, kwargs, "ob", &of, "name", &name, "default?", &otherwise, "wf_id?", &workflow)
	if err != nil {
		return nil, reasonf("%s", err)
	}
	text, ok := starlark.AsString(name)
	if _, isObject := of.(*namespace); !ok || !isObject {
		return nil, reasonf("write getInfoFor(object, 'review_state')")
	}
	v, err := names["object"].attribute(r, text)
	if isAbsent(err) && otherwise != nil {
		return otherwise, nil
	}
	return v, err
}

// modules offers DateTime to paths and to modules['DateTime'].
var modules = &namespace{name: "modules", words: map[string]word{
	"DateTime": value(func(*run) starlark.Value { return dateModule }),
}}

var dateModule = &namespace{name: "DateTime", words: map[string]word{
	"DateTime": {
		value:  func(*run) (starlark.Value, error) { return nil, errNow },
		method: newDate,
	},
}}

// value makes a word of a value that cannot fail.
func value(f func(r *run) starlark.Value) word {
	return word{value: func(r *run) (starlark.Value, error) { return f(r), nil }}
}

// method makes a word of a method without arguments that cannot fail.
func method(f func(r *run) starlark.Value) word {
	return calls(func(r *run) (starlark.Value, error) { return f(r), nil })
}

// calls makes a word of a method without arguments.
func calls(f func(r *run) (starlark.Value, error)) word {
	return word{method: func(r *run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if len(args)+len(kwargs) > 0 {
			return nil, reasonf("it takes no arguments")
		}
		return f(r)
	}}
}
