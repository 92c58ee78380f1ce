package tales

import (
	"errors"
	"math/bits"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// constants are the names of values.
var constants = map[string]starlark.Value{
	"True": starlark.True, "False": starlark.False, "None": starlark.None,
	"nothing": starlark.None,
	// The default is what would be without an expression: everything is sent.
	"default": starlark.True,
}

// builtin is a function that needs no object.
type builtin struct {
	name string
	fn   func(r *run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)
}

func (b *builtin) String() string      { return "<function " + b.name + ">" }
func (*builtin) Type() string          { return "function" }
func (*builtin) Freeze()               {}
func (*builtin) Truth() starlark.Bool  { return true }
func (*builtin) Hash() (uint32, error) { return 0, errors.New("unhashable: function") }
func (b *builtin) Name() string        { return b.name }
func (b *builtin) call(r *run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return b.fn(r, args, kwargs)
}

// CallInternal serves Starlark's sorted, min and max.
func (b *builtin) CallInternal(t *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return b.fn(t.Local(localRun).(*run), args, kwargs)
}

// builtins are those of Starlark that need no care besides their cost, and those
// that Python has and Starlark has not.
var builtins = func() map[string]*builtin {
	all := map[string]*builtin{}
	add := func(name string, fn func(*run, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)) {
		all[name] = &builtin{name, fn}
	}
	for _, name := range []string{"abs", "bool", "chr", "dict", "float", "len", "ord", "range", "repr", "str"} {
		add(name, starlarks(name, false))
	}
	for _, name := range []string{"all", "any", "enumerate", "list", "max", "min", "reversed", "set", "sorted", "tuple", "zip"} {
		add(name, starlarks(name, true))
	}
	add("unicode", starlarks("str", false))
	add("xrange", starlarks("range", false))
	add("int", toInt)
	add("getattr", getAttribute)
	add("hasattr", hasAttribute)
	add("map", mapped)
	add("filter", filtered)
	add("sum", sum)
	add("test", test)
	add("DateTime", newDate)
	return all
}()

// starlarks takes over a function of Starlark. With iterates, a text stands for its
// characters.
func starlarks(name string, iterates bool) func(*run, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	f := starlark.Universe[name]
	return func(r *run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if iterates {
			args = append(starlark.Tuple(nil), args...)
			for i := range args {
				var err error
				if args[i], err = r.listed(args[i]); err != nil {
					return nil, err
				}
			}
		}
		if err := r.prepareCall(name, args, kwargs); err != nil {
			return nil, err
		}
		v, err := starlark.Call(r.threadOf(), f, args, kwargs)
		if err != nil {
			return nil, starlarkError(err)
		}
		if name == "range" {
			return v, nil // its numbers are made when they are asked for
		}
		return r.keep(v)
	}
}

// prepareCall takes the steps, and the memory, before Starlark goes over values that
// may be long, or printed longer than they are.
func (r *run) prepareCall(name string, args starlark.Tuple, kwargs []starlark.Tuple) error {
	if name == "len" || name == "range" || name == "bool" {
		return r.spend(1 + len(args))
	}
	size, err := r.weighTuple(args, kwargs)
	if err != nil {
		return err
	}
	switch name {
	case "str", "repr":
		if len(args) == 1 && !isText(args[0]) || name == "repr" {
			return r.allocate(escaped * size)
		}
	case "sorted":
		return r.spend(size / perValue * bits.Len(uint(size)) / 4)
	case "set", "dict":
		if err := r.hash(lengths(args)); err != nil {
			return err
		}
	}
	return r.allocate(size)
}

func lengths(all starlark.Tuple) int {
	n := 0
	for _, v := range all {
		n += max(0, min(starlark.Len(v), maxKeys+1))
	}
	return n
}

func toInt(r *run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	for _, a := range args {
		if s, ok := a.(starlark.String); ok && len(s) > maxDigits {
			return nil, reasonf("a text of %d characters is no number", len(s))
		}
	}
	v, err := starlark.Call(r.threadOf(), starlark.Universe["int"], args, kwargs)
	if err != nil {
		return nil, starlarkError(err)
	}
	return r.keep(v)
}

// named checks the first arguments of getattr and hasattr.
func named(function string, args starlark.Tuple, least, most int) (starlark.Value, string, error) {
	if len(args) < least || len(args) > most {
		return nil, "", reasonf("%s() takes %d to %d arguments", function, least, most)
	}
	name, ok := starlark.AsString(args[1])
	if !ok {
		return nil, "", reasonf("%s() wants the name as text", function)
	}
	return args[0], name, refusedAttribute(name)
}

func getAttribute(r *run, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	x, name, err := named("getattr", args, 2, 3)
	if err != nil {
		return nil, err
	}
	v, err := r.attribute(x, name)
	if err != nil && isAbsent(err) && len(args) == 3 {
		return args[2], nil
	}
	return v, err
}

func hasAttribute(r *run, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	x, name, err := named("hasattr", args, 2, 2)
	if err != nil {
		return nil, err
	}
	_, err = r.attribute(x, name)
	return starlark.Bool(err == nil || !isAbsent(err)), nil
}

func mapped(r *run, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return r.gather("map", args, func(list []starlark.Value, _, result starlark.Value) []starlark.Value {
		return append(list, result)
	})
}

func filtered(r *run, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return r.gather("filter", args, func(list []starlark.Value, v, result starlark.Value) []starlark.Value {
		if result.Truth() {
			list = append(list, v)
		}
		return list
	})
}

func (r *run) gather(name string, args starlark.Tuple, add func(list []starlark.Value, v, result starlark.Value) []starlark.Value) (starlark.Value, error) {
	if len(args) != 2 {
		return nil, reasonf("%s() takes a function and a list", name)
	}
	var list []starlark.Value
	err := r.each(args[1], func(v starlark.Value) error {
		result := v
		if args[0] != starlark.None {
			var err error
			if result, err = r.callValue(args[0], starlark.Tuple{v}, nil); err != nil {
				return err
			}
		}
		list = add(list, v, result)
		return r.allocate(perValue)
	})
	return starlark.NewList(list), err
}

func sum(r *run, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if len(args) == 0 || len(args) > 2 {
		return nil, reasonf("sum() takes a list, and what to begin with")
	}
	var total starlark.Value = starlark.MakeInt(0)
	if len(args) == 2 {
		total = args[1]
	}
	err := r.each(args[0], func(v starlark.Value) error {
		if b, ok := v.(starlark.Bool); ok {
			v = number(b)
		}
		var err error
		total, err = r.binary(syntax.PLUS, total, v)
		return err
	})
	return total, err
}

// test is Zope's: test(condition, yes, no).
func test(_ *run, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	for len(args) >= 2 {
		if args[0].Truth() {
			return args[1], nil
		}
		args = args[2:]
	}
	if len(args) == 1 {
		return args[0], nil
	}
	return starlark.None, nil
}
