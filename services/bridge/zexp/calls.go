package zexp

import "synchro.example/services/bridge/pickle"

// reconstructors make an instance of the class in their first argument, by way of the
// base in their second one. Their arguments are looked at, since a base may be anything.
var reconstructors = map[Name]bool{
	{"copy_reg", "_reconstructor"}:             true,
	{"copyreg", "_reconstructor"}:              true,
	{"DateTime.DateTime", "_dt_reconstructor"}: true,
}

// bases are those that Python's own classes have.
var bases = map[string]bool{
	"object": true, "dict": true, "list": true, "tuple": true, "set": true, "frozenset": true,
	"str": true, "unicode": true, "int": true, "long": true, "float": true,
}

// reduce calls what lies below a tuple of arguments.
func reduce(m *machine) error {
	pair, err := m.PopN(2)
	if err != nil {
		return err
	}
	callee, ok := pair[0].(Name)
	args, isTuple := pair[1].(tuple)
	if !ok || !isTuple {
		return m.Refuse(pickle.Call, "", "a call of what is not a name, or without a tuple of arguments")
	}
	if reconstructors[callee] && !reconstructs(args) {
		return m.Refuse(pickle.Call, callee.String(), "is called with other arguments than Python gives it")
	}
	return m.made(callee)
}

func reconstructs(args tuple) bool {
	if len(args.first) != 3 || !isClass(args.first[0]) || isClass(args.first[2]) {
		return false
	}
	base, ok := args.first[1].(Name)
	return ok && (base.Module == "__builtin__" || base.Module == "builtins") && bases[base.Name]
}

// made is the object that a permitted call gives.
func (m *machine) made(callee Name) error {
	if err := m.call(m.At, callee); err != nil {
		return err
	}
	return m.Push(object{})
}

// newObject makes an instance without calling its class. Any class of the list may be made.
func newObject(m *machine) error {
	pair, err := m.PopN(2)
	if err != nil {
		return err
	}
	_, isTuple := pair[1].(tuple)
	if !isClass(pair[0]) || !isTuple {
		return m.Refuse(pickle.Call, "", "an instance of what is not a name, or without a tuple of arguments")
	}
	return m.Push(object{})
}

// instance calls a class by its name, with what lies above the mark.
func instance(m *machine) error {
	n, err := m.name()
	if err != nil {
		return err
	}
	if _, err := m.PopMark(); err != nil {
		return err
	}
	return m.made(n)
}

// objectOf calls the class that lies directly above the mark, with what follows it.
func objectOf(m *machine) error {
	items, err := m.PopMark()
	if err != nil {
		return err
	}
	if len(items) == 0 || !isClass(items[0]) {
		return m.Refuse(pickle.Call, "", "a call of what is not a name")
	}
	return m.made(items[0].(Name))
}

// build gives an object its state. On a class it would change the class itself.
func build(m *machine) error {
	state, err := m.Pop()
	if err != nil {
		return err
	}
	to, err := m.Top()
	if err != nil {
		return err
	}
	if _, ok := to.(object); !ok || isClass(state) {
		return m.Refuse(pickle.State, "", "a state that is a class, or of what is no new object")
	}
	return nil
}

func (m *machine) name() (Name, error) {
	module, err := m.src.Line(maxWord)
	if err != nil {
		return Name{}, err
	}
	name, err := m.src.Line(maxWord)
	if err != nil {
		return Name{}, err
	}
	n := Name{module, name}
	return n, m.use(m.At, n)
}
