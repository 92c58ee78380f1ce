package tales

import (
	"errors"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// arguments are the compiled arguments of a call.
type arguments struct {
	parts []code
	names []string // of the last ones
	fixed bool
}

func (c *compiler) arguments(list []syntax.Expr) (*arguments, error) {
	a := &arguments{fixed: true}
	for _, e := range list {
		if b, ok := e.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			a.names = append(a.names, b.X.(*syntax.Ident).Name)
			e = b.Y
		}
		t, err := c.expr(e)
		if err != nil {
			return nil, err
		}
		a.parts = append(a.parts, t.code)
		a.fixed = a.fixed && t.fixed
	}
	return a, nil
}

func (a *arguments) values(r *run) (args starlark.Tuple, kwargs []starlark.Tuple, err error) {
	v, err := r.values(a.parts)
	if err != nil {
		return nil, nil, err
	}
	positional := len(v) - len(a.names)
	for i, name := range a.names {
		kwargs = append(kwargs, starlark.Tuple{starlark.String(name), v[positional+i]})
	}
	return v[:positional], kwargs, nil
}

func (c *compiler) call(e *syntax.CallExpr) (term, error) {
	args, err := c.arguments(e.Args)
	if err != nil {
		return term{}, err
	}
	if dot, ok := e.Fn.(*syntax.DotExpr); ok {
		return c.callDot(dot, args)
	}
	if err := c.checkCall(e); err != nil {
		return term{}, err
	}
	f, err := c.expr(e.Fn)
	if err != nil {
		return term{}, err
	}
	return c.placed(syntax.Start(e), f.fixed && args.fixed, func(r *run) (starlark.Value, error) {
		fn, err := f.code(r)
		if err != nil {
			return nil, err
		}
		v, kwargs, err := args.values(r)
		if err != nil {
			return nil, err
		}
		return r.callValue(fn, v, kwargs)
	})
}

func (c *compiler) callDot(e *syntax.DotExpr, args *arguments) (term, error) {
	name := e.Name.Name
	if err := c.checkName(e, true); err != nil {
		return term{}, err
	}
	x, err := c.expr(e.X)
	if err != nil {
		return term{}, err
	}
	return c.placed(e.Name.NamePos, x.fixed && args.fixed, func(r *run) (starlark.Value, error) {
		v, err := x.code(r)
		if err != nil {
			return nil, err
		}
		a, kwargs, err := args.values(r)
		if err != nil {
			return nil, err
		}
		return r.callMethod(v, name, a, kwargs)
	})
}

// checkCall refuses DateTime(), which would be the present time.
func (c *compiler) checkCall(e *syntax.CallExpr) error {
	id, ok := e.Fn.(*syntax.Ident)
	if ok && id.Name == "DateTime" && len(e.Args) == 0 && !slices.Contains(c.scope, id.Name) {
		return place(c.offset(id.NamePos), errNow)
	}
	return nil
}

func (r *run) callValue(f starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	switch f := f.(type) {
	case *builtin:
		return f.call(r, args, kwargs)
	case *function:
		return f.call(r, args, kwargs)
	case *namespace:
		return nil, reasonf("%s cannot be called; name one of its methods, as in %s.getId()", f.name, f.name)
	}
	return nil, reasonf("%s is a value, not a function; write it without ()", a(f))
}

// function is a lambda with the variables that it sees.
type function struct {
	params   []string
	defaults []starlark.Value // of the last params
	body     code
	locals   []starlark.Value
}

func (*function) String() string        { return "<function lambda>" }
func (*function) Type() string          { return "function" }
func (*function) Freeze()               {}
func (*function) Truth() starlark.Bool  { return true }
func (*function) Hash() (uint32, error) { return 0, errors.New("unhashable: function") }
func (*function) Name() string          { return "lambda" }

// CallInternal serves Starlark's sorted, min and max.
func (f *function) CallInternal(t *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return f.call(t.Local(localRun).(*run), args, kwargs)
}

func (f *function) call(r *run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(kwargs) > 0 {
		return nil, reasonf("a lambda takes its arguments in order, without names")
	}
	missing := len(f.params) - len(args)
	if missing < 0 || missing > len(f.defaults) {
		return nil, reasonf("the lambda takes %d arguments and is given %d", len(f.params), len(args))
	}
	if r.calls++; r.calls > maxCalls {
		return nil, reasonf("functions call functions more than %d deep", maxCalls)
	}
	if err := r.allocate(perValue * (len(f.locals) + len(f.params))); err != nil {
		return nil, err
	}
	saved := r.locals
	r.locals = slices.Concat(f.locals, args, f.defaults[len(f.defaults)-missing:])
	v, err := f.body(r)
	r.locals = saved
	r.calls--
	return v, err
}

func (c *compiler) lambda(e *syntax.LambdaExpr) (term, error) {
	var params []string
	var defaults []syntax.Expr
	for _, p := range e.Params {
		switch p := p.(type) {
		case *syntax.Ident:
			params = append(params, p.Name)
		case *syntax.BinaryExpr:
			params = append(params, p.X.(*syntax.Ident).Name)
			defaults = append(defaults, p.Y)
		default:
			return term{}, place(c.offset(syntax.Start(p)), reasonf("a lambda takes named arguments only, without *"))
		}
	}
	given, _, err := c.all(defaults)
	if err != nil {
		return term{}, err
	}
	body, err := c.within(params, func() (term, error) { return c.expr(e.Body) })
	if err != nil {
		return term{}, err
	}
	return c.placed(e.Lambda, false, func(r *run) (starlark.Value, error) {
		v, err := r.values(given)
		if err != nil {
			return nil, err
		}
		if err := r.allocate(perValue * (len(r.locals) + 4)); err != nil {
			return nil, err
		}
		return &function{params: params, defaults: v, body: body.code, locals: slices.Clone(r.locals)}, nil
	})
}

// within compiles with more variables.
func (c *compiler) within(variables []string, f func() (term, error)) (term, error) {
	before := len(c.scope)
	c.scope = append(c.scope, variables...)
	t, err := f()
	c.scope = c.scope[:before]
	return t, err
}

// emit takes what a comprehension makes, one after the other.
type emit func(r *run) error

// loop is what is left of a comprehension from one of its clauses on.
type loop func(r *run, out emit) error

func (c *compiler) comprehension(e *syntax.Comprehension) (term, error) {
	before := len(c.scope)
	defer func() { c.scope = c.scope[:before] }()
	over, err := c.clauses(e.Clauses)
	if err != nil {
		return term{}, err
	}
	entry, isDict := e.Body.(*syntax.DictEntry)
	list := []syntax.Expr{e.Body}
	if isDict {
		list = []syntax.Expr{entry.Key, entry.Value}
	}
	parts, _, err := c.all(list)
	if err != nil {
		return term{}, err
	}
	if isDict {
		return c.placed(e.Lbrack, false, dictOf(over, parts))
	}
	return c.placed(e.Lbrack, false, listOf(over, parts[0]))
}

func listOf(over loop, element code) code {
	return func(r *run) (starlark.Value, error) {
		var all []starlark.Value
		err := over(r, func(r *run) error {
			v, err := element(r)
			if err != nil {
				return err
			}
			all = append(all, v)
			return r.allocate(perValue)
		})
		if err != nil {
			return nil, err
		}
		return starlark.NewList(all), nil
	}
}

func dictOf(over loop, parts []code) code {
	return func(r *run) (starlark.Value, error) {
		d := starlark.NewDict(0)
		err := over(r, func(r *run) error {
			v, err := r.values(parts)
			if err != nil {
				return err
			}
			return r.insert(d, v[0], v[1])
		})
		return d, err
	}
}

// clauses compiles for and if clauses; the variables stay in scope.
func (c *compiler) clauses(list []syntax.Node) (loop, error) {
	if len(list) == 0 {
		return func(r *run, out emit) error { return out(r) }, nil
	}
	if cond, ok := list[0].(*syntax.IfClause); ok {
		return c.ifClause(cond, list[1:])
	}
	clause := list[0].(*syntax.ForClause)
	x, err := c.expr(clause.X)
	if err != nil {
		return nil, err
	}
	names, err := c.variables(clause.Vars)
	if err != nil {
		return nil, err
	}
	slot := len(c.scope)
	c.scope = append(c.scope, names...)
	rest, err := c.clauses(list[1:])
	if err != nil {
		return nil, err
	}
	_, single := clause.Vars.(*syntax.Ident)
	at := c.offset(clause.For)
	return func(r *run, out emit) error {
		v, err := x.code(r)
		if err != nil {
			return err
		}
		return place(at, r.each(v, func(v starlark.Value) error {
			r.locals = r.locals[:slot]
			if err := r.bind(v, len(names), single); err != nil {
				return err
			}
			err := rest(r, out)
			r.locals = r.locals[:slot]
			return err
		}))
	}, nil
}

func (c *compiler) ifClause(clause *syntax.IfClause, list []syntax.Node) (loop, error) {
	cond, err := c.expr(clause.Cond)
	if err != nil {
		return nil, err
	}
	rest, err := c.clauses(list)
	if err != nil {
		return nil, err
	}
	return func(r *run, out emit) error {
		v, err := cond.code(r)
		if err != nil || !bool(v.Truth()) {
			return err
		}
		return rest(r, out)
	}, nil
}

// variables gives the names in `for a, b in`.
func (c *compiler) variables(e syntax.Expr) ([]string, error) {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return c.variables(e.X)
	case *syntax.Ident:
		return []string{e.Name}, nil
	case *syntax.TupleExpr:
		return c.variableList(e.List)
	case *syntax.ListExpr:
		return c.variableList(e.List)
	}
	return nil, place(c.offset(syntax.Start(e)), reasonf("names must stand between for and in"))
}

func (c *compiler) variableList(list []syntax.Expr) ([]string, error) {
	var names []string
	for _, e := range list {
		id, ok := e.(*syntax.Ident)
		if !ok {
			return nil, place(c.offset(syntax.Start(e)), reasonf("names must stand between for and in, and none in brackets"))
		}
		names = append(names, id.Name)
	}
	return names, nil
}

// bind gives variables their values.
func (r *run) bind(v starlark.Value, n int, single bool) error {
	if single {
		r.locals = append(r.locals, v)
		return nil
	}
	i := 0
	err := r.each(v, func(v starlark.Value) error {
		r.locals = append(r.locals, v)
		if i++; i > n {
			return reasonf("there are more than the %d values that the names take", n)
		}
		return nil
	})
	if err == nil && i < n {
		err = reasonf("there are %d values for %d names", i, n)
	}
	return err
}

// each goes over what Python goes over.
func (r *run) each(v starlark.Value, f func(starlark.Value) error) error {
	v, err := r.listed(v)
	if err != nil {
		return err
	}
	list, ok := v.(starlark.Iterable)
	if !ok {
		return reasonf("%s has no elements to go over", a(v))
	}
	it := list.Iterate()
	defer it.Done()
	for it.Next(&v) {
		if err := r.spend(1); err != nil {
			return err
		}
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

// starlarkError leaves out what only a programmer in Starlark can use, and keeps the
// place where a function of ours failed.
func starlarkError(err error) error {
	if p, ok := errors.AsType[*placed](err); ok {
		return p
	}
	return reasonf("%s", err)
}
