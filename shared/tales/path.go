package tales

import (
	"regexp"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
)

// last says what a path does with what it leads to.
type last int

const (
	callLast last = iota // a method is called
	keepLast             // nocall: a method stays one
	askLast              // exists: only whether it is there
)

// path compiles alternatives; the last one may be of another type.
func (s *source) path(p span, mode last) (code, error) {
	var alternatives []code
	for rest, done := p, false; !done; {
		var one span
		one, rest, done = s.alternative(rest, len(alternatives) > 0)
		c, err := s.alternativeCode(one, mode, len(alternatives) > 0)
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, c)
	}
	if mode == askLast {
		return exists(alternatives), nil
	}
	return firstOf(alternatives), nil
}

// alternative cuts off the first alternative. One of another type, which the first
// cannot be, goes on to the end: its bars are its own.
func (s *source) alternative(p span, another bool) (one, rest span, done bool) {
	bar := strings.IndexByte(s.get(p), '|')
	if kind, _ := s.kind(p); bar < 0 || another && kind != "" {
		return p, span{}, true
	}
	return span{p.start, p.start + bar}, span{p.start + bar + 1, p.end}, false
}

func (s *source) alternativeCode(p span, mode last, another bool) (code, error) {
	if kind, _ := s.kind(p); another && kind != "" {
		return s.expression(p)
	}
	return s.onePath(s.trim(p), mode)
}

// firstOf gives the value of the first alternative that is there.
func firstOf(alternatives []code) code {
	if len(alternatives) == 1 {
		return alternatives[0]
	}
	return func(r *run) (v starlark.Value, err error) {
		for _, c := range alternatives {
			if v, err = c(r); err == nil || !isAbsent(err) {
				return v, err
			}
		}
		return nil, err
	}
}

func exists(alternatives []code) code {
	first := firstOf(alternatives)
	return func(r *run) (starlark.Value, error) {
		_, err := first(r)
		if err != nil && !isAbsent(err) {
			return nil, err
		}
		return starlark.Bool(err == nil), nil
	}
}

// segment is one name between slashes.
type segment struct {
	name string
	at   int
}

var segmentForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.,~ -]*$`)

func (s *source) segments(p span) ([]segment, error) {
	var list []segment
	at, path := p.start, s.get(p)
	isPath := !notPath.MatchString(path)
	for name := range strings.SplitSeq(path, "/") {
		if err := checkSegment(path, isPath, name); err != nil {
			return nil, place(at, err)
		}
		list = append(list, segment{name, at})
		at += len(name) + 1
	}
	return list, nil
}

// notPath are characters that only other types of expressions have.
var notPath = regexp.MustCompile(`[()\[\]{}'"=<>!+*%]|\b(?:and|or|not|in|is)\b`)

func checkSegment(path string, isPath bool, name string) error {
	switch {
	case strings.HasPrefix(name, "@@"), strings.HasPrefix(name, "++"):
		return reasonf("%s is a view of a site; a change carries fields only, as in object/review_state", name)
	case strings.HasPrefix(name, "?"):
		return reasonf("a name that stands for another one cannot be given; write python: getattr(object, 'name')")
	case path == "":
		return reasonf("a path is missing here; write nothing for no value")
	case !isPath:
		return reasonf("this is no path; for a comparison or a call, begin with python:")
	case name == "":
		return reasonf("a name is missing between the slashes")
	case name == "..":
		return reasonf("a change does not carry the container; write python: object.getPhysicalPath()[-2]")
	case !segmentForm.MatchString(name):
		return reasonf("%q is no name in a path", name)
	}
	return refusedAttribute(name)
}

func (s *source) onePath(p span, mode last) (code, error) {
	list, err := s.segments(p)
	if err != nil {
		return nil, err
	}
	root, err := pathRoot(list)
	if err != nil {
		return nil, err
	}
	return func(r *run) (starlark.Value, error) {
		v := root
		for i, seg := range list[1:] {
			var err error
			if v, err = r.follow(v, seg.name, mode != callLast && i == len(list)-2); err != nil {
				return nil, place(seg.at, err)
			}
		}
		return v, nil
	}, nil
}

func pathRoot(list []segment) (starlark.Value, error) {
	name := list[0].name
	if v, ok := constants[name]; ok {
		return v, nil
	}
	ns, ok := names[name]
	if !ok {
		return nil, place(list[0].at, unknownName(name))
	}
	if len(list) == 1 {
		return ns, nil
	}
	if _, known := ns.words[list[1].name]; !known && !ns.fields {
		return nil, place(list[1].at, ns.unknown(list[1].name))
	}
	if ns == modules && len(list) > 2 && list[2].name == "DateTime" {
		return nil, place(list[2].at, errNow)
	}
	return ns, nil
}

// follow takes one step of a path. Methods are called, unless keep wants the last
// one as it is.
func (r *run) follow(v starlark.Value, name string, keep bool) (starlark.Value, error) {
	if err := r.spend(1); err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case *namespace:
		return x.follow(r, name, keep)
	case date:
		return x.call(r, name, nil, nil)
	case starlark.Mapping:
		return r.item(x, starlark.String(name))
	}
	if i, err := strconv.Atoi(name); err == nil {
		return r.item(v, starlark.MakeInt(i))
	}
	return r.callMethod(v, name, nil, nil)
}

func (n *namespace) follow(r *run, name string, keep bool) (starlark.Value, error) {
	w, known := n.words[name]
	switch {
	case known && w.value != nil:
		return w.value(r)
	case known && keep:
		return starlark.String("<method " + name + ">"), nil
	case known:
		return w.method(r, nil, nil)
	}
	if field, ok := accessor(name); ok && !r.hasField(name) && r.hasField(field) {
		return r.field(field)
	}
	return n.attribute(r, name)
}
