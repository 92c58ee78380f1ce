package tales

import (
	"errors"
	"math/big"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// python compiles the text after python:.
func (s *source) python(p span) (code, error) {
	p = s.trim(p)
	if p.start == p.end {
		return nil, place(p.start, reasonf("nothing follows python:"))
	}
	w, err := rewrite(s.get(p), p.start)
	if err != nil {
		return nil, err
	}
	if s.constants == nil {
		s.constants = newRun(nil)
	}
	c := &compiler{text: w.text.String(), origin: w.origin, end: p.end, constants: s.constants}
	tree, err := (&syntax.FileOptions{}).ParseExpr("", c.text, 0)
	if err != nil {
		return nil, c.parseError(err)
	}
	t, err := c.expr(tree)
	return t.code, err
}

// compiler turns the tree into code.
type compiler struct {
	text   string
	origin []int
	end    int
	lines  [][]int  // see columns
	scope  []string // names of comprehensions and functions; the index is the slot
	// constants computes what depends on no object.
	constants *run
}

func (c *compiler) parseError(err error) error {
	e, ok := errors.AsType[syntax.Error](err)
	if !ok {
		return place(c.end, err)
	}
	return place(c.offset(e.Pos), reasonf("%s", advice(e.Msg)))
}

// offset gives the place in the expression of a place in the rewritten text.
func (c *compiler) offset(pos syntax.Position) int {
	if c.lines == nil {
		c.lines = columns(c.text)
	}
	line, column := int(pos.Line)-1, int(pos.Col)-1
	if line < 0 || line >= len(c.lines) || column < 0 || column >= len(c.lines[line]) {
		return c.end
	}
	return c.origin[c.lines[line][column]]
}

// columns gives for each line the offsets of its characters.
func columns(text string) [][]int {
	lines := [][]int{nil}
	for i, char := range text {
		last := len(lines) - 1
		lines[last] = append(lines[last], i)
		if char == '\n' {
			lines = append(lines, nil)
		}
	}
	return lines
}

// term is a compiled part.
type term struct {
	code code
	// fixed says that the value depends on no object: it is computed when the
	// expression is compiled, and so are its errors.
	fixed bool
}

func constant(v starlark.Value) term {
	v.Freeze() // many evaluations read it at the same time
	return term{func(*run) (starlark.Value, error) { return v, nil }, true}
}

// placed makes a term that counts its steps and knows its place.
func (c *compiler) placed(pos syntax.Position, fixed bool, f code) (term, error) {
	at := c.offset(pos)
	counted := func(r *run) (starlark.Value, error) {
		if r.steps--; r.steps < 0 {
			return nil, place(at, r.spend(1))
		}
		v, err := f(r)
		if err != nil {
			return nil, place(at, err)
		}
		return v, nil
	}
	if !fixed {
		return term{code: counted}, nil
	}
	v, err := counted(c.constants)
	if err != nil {
		return term{}, err
	}
	return constant(v), nil
}

func (c *compiler) expr(e syntax.Expr) (term, error) {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return c.expr(e.X)
	case *syntax.Literal:
		return c.literal(e)
	case *syntax.Ident:
		return c.ident(e)
	case *syntax.DotExpr:
		return c.dot(e)
	case *syntax.CallExpr:
		return c.call(e)
	case *syntax.UnaryExpr:
		return c.unary(e)
	case *syntax.BinaryExpr:
		return c.binary(e)
	case *syntax.CondExpr:
		return c.cond(e)
	case *syntax.IndexExpr:
		return c.index(e)
	case *syntax.SliceExpr:
		return c.slice(e)
	case *syntax.TupleExpr:
		return c.list(syntax.Start(e), e.List, func(v []starlark.Value) starlark.Value { return starlark.Tuple(v) })
	case *syntax.ListExpr:
		return c.list(e.Lbrack, e.List, func(v []starlark.Value) starlark.Value { return starlark.NewList(v) })
	case *syntax.DictExpr:
		return c.dict(e)
	case *syntax.Comprehension:
		return c.comprehension(e)
	case *syntax.LambdaExpr:
		return c.lambda(e)
	}
	return term{}, place(c.offset(syntax.Start(e)), reasonf("this cannot stand in an expression"))
}

func (c *compiler) literal(e *syntax.Literal) (term, error) {
	switch v := e.Value.(type) {
	case string:
		return constant(starlark.String(v)), nil
	case int64:
		return constant(starlark.MakeInt64(v)), nil
	case *big.Int:
		return c.placed(e.TokenPos, true, func(r *run) (starlark.Value, error) { return r.keep(starlark.MakeBigInt(v)) })
	case float64:
		return constant(starlark.Float(v)), nil
	}
	return term{}, place(c.offset(e.TokenPos), reasonf("%s cannot stand in an expression", e.Raw))
}

func (c *compiler) ident(e *syntax.Ident) (term, error) {
	for slot, name := range slices.Backward(c.scope) {
		if name == e.Name {
			return c.placed(e.NamePos, false, func(r *run) (starlark.Value, error) { return r.locals[slot], nil })
		}
	}
	if v, ok := constants[e.Name]; ok {
		return constant(v), nil
	}
	if ns, ok := names[e.Name]; ok {
		return term{code: func(*run) (starlark.Value, error) { return ns, nil }}, nil
	}
	if b, ok := builtins[e.Name]; ok {
		return term{func(*run) (starlark.Value, error) { return b, nil }, true}, nil
	}
	return term{}, place(c.offset(e.NamePos), unknownName(e.Name))
}

// root gives the namespace that e names, unless a variable has its name.
func (c *compiler) root(e syntax.Expr) starlark.Value {
	id, ok := e.(*syntax.Ident)
	if !ok || slices.Contains(c.scope, id.Name) {
		return nil
	}
	if ns, ok := names[id.Name]; ok {
		return ns
	}
	return nil
}

func (c *compiler) dot(e *syntax.DotExpr) (term, error) {
	name := e.Name.Name
	if err := c.checkName(e, false); err != nil {
		return term{}, err
	}
	x, err := c.expr(e.X)
	if err != nil {
		return term{}, err
	}
	return c.placed(e.Name.NamePos, x.fixed, func(r *run) (starlark.Value, error) {
		v, err := x.code(r)
		if err != nil {
			return nil, err
		}
		return r.attribute(v, name)
	})
}

// checkName refuses names that no object can have, or that are used in the wrong way.
func (c *compiler) checkName(e *syntax.DotExpr, called bool) error {
	name := e.Name.Name
	err := refusedAttribute(name)
	if ns, ok := c.root(e.X).(*namespace); ok && err == nil {
		err = ns.check(name, called)
	}
	return place(c.offset(e.Name.NamePos), err)
}

func (c *compiler) unary(e *syntax.UnaryExpr) (term, error) {
	if e.X == nil || e.Op == syntax.STAR || e.Op == syntax.STARSTAR {
		return term{}, place(c.offset(e.OpPos), reasonf("arguments with %s cannot be given; write them out", e.Op))
	}
	x, err := c.expr(e.X)
	if err != nil {
		return term{}, err
	}
	return c.placed(e.OpPos, x.fixed, func(r *run) (starlark.Value, error) {
		v, err := x.code(r)
		switch {
		case err != nil:
			return nil, err
		case e.Op == syntax.NOT:
			return !v.Truth(), nil
		}
		v, err = starlark.Unary(e.Op, v)
		if err != nil {
			return nil, err
		}
		return r.keep(v)
	})
}

func (c *compiler) binary(e *syntax.BinaryExpr) (term, error) {
	if e.Op == syntax.EQ {
		return term{}, place(c.offset(e.OpPos), reasonf("write == to compare"))
	}
	x, err := c.expr(e.X)
	if err != nil {
		return term{}, err
	}
	y, err := c.expr(e.Y)
	if err != nil {
		return term{}, err
	}
	return c.placed(e.OpPos, x.fixed && y.fixed, func(r *run) (starlark.Value, error) {
		a, err := x.code(r)
		switch {
		case err != nil:
			return nil, err
		case e.Op == syntax.AND && !bool(a.Truth()), e.Op == syntax.OR && bool(a.Truth()):
			return a, nil
		}
		b, err := y.code(r)
		if err != nil || e.Op == syntax.AND || e.Op == syntax.OR {
			return b, err
		}
		return r.binary(e.Op, a, b)
	})
}

func (c *compiler) cond(e *syntax.CondExpr) (term, error) {
	parts, fixed, err := c.all([]syntax.Expr{e.Cond, e.True, e.False})
	if err != nil {
		return term{}, err
	}
	return c.placed(e.If, fixed, func(r *run) (starlark.Value, error) {
		v, err := parts[0](r)
		switch {
		case err != nil:
			return nil, err
		case bool(v.Truth()):
			return parts[1](r)
		}
		return parts[2](r)
	})
}

// all compiles several parts; fixed when all of them are.
func (c *compiler) all(list []syntax.Expr) (parts []code, fixed bool, err error) {
	fixed = true
	for _, e := range list {
		t, err := c.expr(e)
		if err != nil {
			return nil, false, err
		}
		parts = append(parts, t.code)
		fixed = fixed && t.fixed
	}
	return parts, fixed, nil
}

// values computes several parts.
func (r *run) values(parts []code) ([]starlark.Value, error) {
	values := make([]starlark.Value, len(parts))
	for i, part := range parts {
		var err error
		if values[i], err = part(r); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func (c *compiler) list(pos syntax.Position, list []syntax.Expr, build func([]starlark.Value) starlark.Value) (term, error) {
	parts, fixed, err := c.all(list)
	if err != nil {
		return term{}, err
	}
	return c.placed(pos, fixed, func(r *run) (starlark.Value, error) {
		if err := r.allocate(perValue * (1 + len(parts))); err != nil {
			return nil, err
		}
		v, err := r.values(parts)
		if err != nil {
			return nil, err
		}
		return build(v), nil
	})
}

func (c *compiler) dict(e *syntax.DictExpr) (term, error) {
	var list []syntax.Expr
	for _, entry := range e.List {
		d := entry.(*syntax.DictEntry)
		list = append(list, d.Key, d.Value)
	}
	parts, fixed, err := c.all(list)
	if err != nil {
		return term{}, err
	}
	return c.placed(e.Lbrace, fixed, func(r *run) (starlark.Value, error) {
		v, err := r.values(parts)
		if err != nil {
			return nil, err
		}
		d := starlark.NewDict(0)
		for i := 0; i < len(v); i += 2 {
			if err := r.insert(d, v[i], v[i+1]); err != nil {
				return nil, err
			}
		}
		return d, nil
	})
}

// insert puts an entry into a dict that is being made.
func (r *run) insert(d *starlark.Dict, k, v starlark.Value) error {
	if d.Len() >= maxKeys {
		return reasonf("a dict has more than %d keys", maxKeys)
	}
	if err := r.spend(d.Len() / 8); err != nil { // see hash
		return err
	}
	if _, err := r.weigh(k); err != nil {
		return err
	}
	if err := r.allocate(perKey); err != nil {
		return err
	}
	return d.SetKey(k, v)
}

func (c *compiler) index(e *syntax.IndexExpr) (term, error) {
	parts, fixed, err := c.all([]syntax.Expr{e.X, e.Y})
	if err != nil {
		return term{}, err
	}
	return c.placed(e.Lbrack, fixed, func(r *run) (starlark.Value, error) {
		v, err := r.values(parts)
		if err != nil {
			return nil, err
		}
		return r.item(v[0], v[1])
	})
}

func (c *compiler) slice(e *syntax.SliceExpr) (term, error) {
	list := []syntax.Expr{e.X}
	none := &syntax.Ident{Name: "None"}
	for _, bound := range []syntax.Expr{e.Lo, e.Hi, e.Step} {
		if bound == nil {
			bound = none
		}
		list = append(list, bound)
	}
	parts, fixed, err := c.all(list)
	if err != nil {
		return term{}, err
	}
	return c.placed(e.Lbrack, fixed, func(r *run) (starlark.Value, error) {
		v, err := r.values(parts)
		if err != nil {
			return nil, err
		}
		w, err := r.weigh(v[0])
		if err == nil {
			err = r.allocate(w)
		}
		if err != nil {
			return nil, err
		}
		return starlark.Call(r.threadOf(), slicer, v, nil)
	})
}

// slicer cuts as Starlark does, which offers it as syntax only.
var slicer = func() starlark.Value {
	v, err := starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "", "lambda x, lo, hi, step: x[lo:hi:step]", nil)
	if err != nil {
		panic(err)
	}
	v.Freeze()
	return v
}()
