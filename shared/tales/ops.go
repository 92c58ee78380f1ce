package tales

import (
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// binary applies an operator that needs both operands.
func (r *run) binary(op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	switch op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE:
		return r.compare(op, x, y)
	case syntax.IN, syntax.NOT_IN:
		return r.contains(op, x, y)
	}
	if err := r.prepare(op, x, y); err != nil {
		return nil, err
	}
	v, err := starlark.Binary(op, x, y)
	if err != nil {
		return nil, operandError(err, x, y)
	}
	return r.keep(v)
}

// prepare takes the memory of a result that can be larger than its operands.
func (r *run) prepare(op syntax.Token, x, y starlark.Value) error {
	wx, err := r.weigh(x)
	if err != nil {
		return err
	}
	wy, err := r.weigh(y)
	if err != nil {
		return err
	}
	if _, ok := x.(*starlark.Set); ok {
		return r.hash(lengths(starlark.Tuple{x, y}))
	}
	switch op {
	case syntax.STAR:
		if n, ok := x.(starlark.Int); ok {
			return r.repeats(n, y, wy)
		}
		if n, ok := y.(starlark.Int); ok {
			return r.repeats(n, x, wx)
		}
	case syntax.PERCENT:
		if s, ok := x.(starlark.String); ok {
			return r.allocateTimes(1+strings.Count(string(s), "%"), escaped*wy)
		}
	}
	return nil
}

func (r *run) repeats(n starlark.Int, what starlark.Value, size int) error {
	if _, ok := what.(starlark.Sequence); !ok {
		if _, ok := what.(starlark.String); !ok {
			return nil
		}
	}
	count, ok := n.Int64()
	if !ok && n.Sign() > 0 {
		return r.allocate(-1)
	}
	return r.allocateTimes(int(count), size)
}

// compare adds to Starlark's comparison what Python's users count on: True is 1,
// and a date can be compared with its text.
func (r *run) compare(op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	if _, err := r.weigh(x); err != nil {
		return nil, err
	}
	if _, err := r.weigh(y); err != nil {
		return nil, err
	}
	x, y = alike(x, y)
	ok, err := starlark.Compare(op, x, y)
	if err != nil {
		return nil, operandError(err, x, y)
	}
	return starlark.Bool(ok), nil
}

func alike(x, y starlark.Value) (a, b starlark.Value) {
	switch v := x.(type) {
	case date:
		if d, ok := toDate(y); ok {
			return x, d
		}
	case starlark.Bool:
		if isNumber(y) {
			return number(v), y
		}
	}
	switch v := y.(type) {
	case date:
		if d, ok := toDate(x); ok {
			return d, y
		}
	case starlark.Bool:
		if isNumber(x) {
			return x, number(v)
		}
	}
	return x, y
}

func isNumber(v starlark.Value) bool {
	switch v.(type) {
	case starlark.Int, starlark.Float:
		return true
	}
	return false
}

func number(b starlark.Bool) starlark.Int {
	if b {
		return starlark.MakeInt(1)
	}
	return starlark.MakeInt(0)
}

func (r *run) contains(op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	if _, err := r.weigh(x); err != nil {
		return nil, err
	}
	if y.Type() != "range" { // which is asked, not searched
		if _, err := r.weigh(y); err != nil {
			return nil, err
		}
	}
	v, err := starlark.Binary(op, x, y)
	if err != nil {
		return nil, operandError(err, x, y)
	}
	return v, nil
}

// operandError says what to do about operands that do not fit together.
func operandError(err error, x, y starlark.Value) error {
	text := err.Error()
	switch {
	case x == starlark.None || y == starlark.None:
		text += "; test for None first, as in x is not None and …"
	case isDate(x) && isText(y) || isText(x) && isDate(y):
		text += "; the text is no date: write it as 2024-01-31 or 2024-01-31T12:00:00Z"
	case isText(x) && isNumber(y) || isNumber(x) && isText(y):
		text += "; convert one of them with str() or int()"
	}
	return reasonf("%s", text)
}

func isDate(v starlark.Value) bool { _, ok := v.(date); return ok }
func isText(v starlark.Value) bool { _, ok := v.(starlark.String); return ok }

// item gives x[i].
func (r *run) item(x, i starlark.Value) (starlark.Value, error) {
	switch x := x.(type) {
	case *namespace:
		if name, ok := starlark.AsString(i); ok {
			return x.attribute(r, name)
		}
	case starlark.Mapping:
		if _, err := r.weigh(i); err != nil {
			return nil, err
		}
		v, found, err := x.Get(i)
		if err == nil && !found {
			err = absentf("there is no %s in the %s", short(i), x.Type())
		}
		return v, err
	case starlark.Indexable:
		n, err := starlark.AsInt32(i)
		if err != nil {
			return nil, reasonf("%s is no index of %s; write a whole number", short(i), a(x))
		}
		length := x.Len()
		if n < 0 {
			n += length
		}
		if n < 0 || n >= length {
			return nil, absentf("there is no element %s in %s of %d", i, a(x), length)
		}
		return x.Index(n), nil
	}
	return nil, reasonf("%s has no elements", a(x))
}

// attribute gives x.name where it is not called.
func (r *run) attribute(x starlark.Value, name string) (starlark.Value, error) {
	switch x := x.(type) {
	case *namespace:
		return x.attribute(r, name)
	case date:
		return x.attribute(r, name)
	case *starlark.Dict:
		if v, found, err := x.Get(starlark.String(name)); found || err != nil {
			return v, err
		}
	}
	if allowedMethod(x, name) || own[x.Type()+"."+name] != nil {
		return nil, reasonf("%s is a method of %s; write %s()", name, a(x), name)
	}
	return nil, noAttribute(x, name)
}

func noAttribute(x starlark.Value, name string) error {
	if hint, ok := elsewhere[name]; ok {
		return reasonf("%s has no %s here; %s", a(x), name, hint)
	}
	if d, ok := toDate(x); ok && isText(x) && d.has(name) {
		return absentf("%s has no %s; for text that is a date, write DateTime(x).%s()", a(x), name, name)
	}
	return absentf("%s has no %s", a(x), name)
}

// elsewhere says what to write for methods that Python has and Starlark has not.
var elsewhere = map[string]string{
	"append": changes, "extend": changes, "pop": changes, "remove": changes, "sort": "write sorted(x)",
	"insert": changes, "clear": changes, "update": changes, "setdefault": changes, "popitem": changes, "add": changes,
	"reverse": "write reversed(x)", "copy": changes,
	"has_key": "write key in x", "iteritems": "write x.items()", "iterkeys": "write x.keys()", "itervalues": "write x.values()",
	"zfill": "write ('0000' + x)[-4:]", "center": "pad with +", "ljust": "pad with +", "rjust": "pad with +",
	"swapcase": "write x.lower() or x.upper()", "isnumeric": "write x.isdigit()", "isdecimal": "write x.isdigit()",
	"translate": "write x.replace(a, b)", "expandtabs": "write x.replace('\\t', ' ')",
	"elems": "write list(x)", "codepoints": "write list(x)",
}

const changes = "an expression changes nothing; make a new value with + or a comprehension"

// methods of Starlark's values that change nothing and make no surprising amount of
// data.
var methods = map[string]string{
	"string": " capitalize count endswith find index isalnum isalpha isdigit islower isspace istitle isupper join lower" +
		" lstrip partition removeprefix removesuffix replace rfind rindex rpartition rsplit rstrip split splitlines" +
		" startswith strip title upper format ",
	"list": " index ",
	"dict": " get items keys values ",
	"set":  " difference intersection issubset issuperset symmetric_difference union ",
}

func allowedMethod(x starlark.Value, name string) bool {
	return strings.Contains(methods[x.Type()], " "+name+" ")
}

// call gives x.name(…).
func (r *run) callMethod(x starlark.Value, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	switch x := x.(type) {
	case *namespace:
		return x.call(r, name, args, kwargs)
	case date:
		return x.call(r, name, args, kwargs)
	}
	if f := own[x.Type()+"."+name]; f != nil {
		return f(r, x, args)
	}
	if allowedMethod(x, name) {
		return r.callStarlark(x, name, args, kwargs)
	}
	if d, ok := x.(*starlark.Dict); ok {
		if v, found, err := d.Get(starlark.String(name)); err == nil && found {
			return r.callValue(v, args, kwargs)
		}
	}
	return nil, noAttribute(x, name)
}

func (r *run) callStarlark(x starlark.Value, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	f, err := x.(starlark.HasAttrs).Attr(name)
	if err != nil {
		return nil, err
	}
	if name == "join" && len(args) == 1 {
		list, err := r.listed(args[0])
		if err != nil {
			return nil, err
		}
		args = starlark.Tuple{list}
	}
	if err := r.prepareMethod(x, name, args, kwargs); err != nil {
		return nil, err
	}
	v, err := starlark.Call(r.threadOf(), f, args, kwargs)
	if err != nil {
		return nil, starlarkError(err)
	}
	return r.keep(v)
}

// prepareMethod takes the steps of a method, and the memory of one whose result can
// be larger than what it is given.
func (r *run) prepareMethod(x starlark.Value, name string, args starlark.Tuple, kwargs []starlark.Tuple) error {
	size, err := r.weigh(x)
	if err != nil {
		return err
	}
	given, err := r.weighTuple(args, kwargs)
	if err != nil {
		return err
	}
	if set, ok := x.(*starlark.Set); ok {
		return r.hash(set.Len() + lengths(args))
	}
	text, _ := starlark.AsString(x)
	switch name {
	case "replace":
		if old, ok := argument(args, 0); ok && len(args) > 1 {
			return r.allocateTimes(1+strings.Count(text, old), given+size)
		}
	case "join":
		if len(args) == 1 {
			return r.allocateTimes(starlark.Len(args[0]), size)
		}
	case "format":
		return r.allocateTimes(1+strings.Count(text, "{"), escaped*given)
	}
	return nil
}

func argument(args starlark.Tuple, i int) (string, bool) {
	if i >= len(args) {
		return "", false
	}
	return starlark.AsString(args[i])
}

// own are methods that Starlark lacks.
var own = map[string]func(r *run, x starlark.Value, args starlark.Tuple) (starlark.Value, error){
	"string.decode": sameText,
	"string.encode": sameText,
	"string.casefold": func(r *run, x starlark.Value, _ starlark.Tuple) (starlark.Value, error) {
		return r.callStarlark(x, "lower", nil, nil)
	},
	"list.count":  countEqual,
	"tuple.count": countEqual,
	"tuple.index": func(r *run, x starlark.Value, args starlark.Tuple) (starlark.Value, error) {
		return r.callStarlark(starlark.NewList(elements(x.(starlark.Tuple))), "index", args, nil)
	},
}

// sameText does nothing: text is UTF-8 here, before and after.
func sameText(_ *run, x starlark.Value, args starlark.Tuple) (starlark.Value, error) {
	if coding, ok := argument(args, 0); ok {
		switch strings.ToLower(strings.ReplaceAll(coding, "_", "-")) {
		case "utf-8", "utf8", "ascii":
		default:
			return nil, reasonf("text is UTF-8 here; there is no encoding %q", coding)
		}
	}
	return x, nil
}

func countEqual(r *run, x starlark.Value, args starlark.Tuple) (starlark.Value, error) {
	if len(args) != 1 {
		return nil, reasonf("count() takes one argument")
	}
	n := 0
	for e := range starlark.Elements(x.(starlark.Iterable)) {
		same, err := r.compare(syntax.EQL, e, args[0])
		if err != nil {
			return nil, err
		}
		if same.Truth() {
			n++
		}
	}
	return starlark.MakeInt(n), nil
}

// listed gives the characters of a text, over which Python iterates and Starlark
// does not.
func (r *run) listed(v starlark.Value) (starlark.Value, error) {
	s, ok := v.(starlark.String)
	if !ok {
		return v, nil
	}
	if err := r.allocateTimes(len(s), 2*perValue); err != nil {
		return nil, err
	}
	var list []starlark.Value
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(string(s))
		list = append(list, s[:n])
		s = s[n:]
	}
	return starlark.NewList(list), nil
}

// a says what a value is.
func a(v starlark.Value) string {
	switch v.(type) {
	case starlark.NoneType:
		return "None"
	case starlark.Int, starlark.Float:
		return "a number"
	case *namespace:
		return v.Type()
	}
	return "a " + v.Type()
}

// short shows a value in a message.
func short(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.String, starlark.Int, starlark.Float, starlark.Bool, starlark.NoneType:
		if s, ok := v.(starlark.String); ok && len(s) > 40 {
			return string(s[:40]) + "…"
		}
		return v.String()
	}
	return a(v)
}
