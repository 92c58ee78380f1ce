package zs

import (
	"slices"

	"synchro.example/services/bridge/pickle"
)

// change looks at a value as a change. It goes a fixed number of levels deep and looks at
// each kind of part once, so that a value that holds itself, or holds another one a
// million times, costs nothing.
func (m *machine) change(v any) (*Change, error) {
	top, ok := v.(*instance)
	if !ok || top.class.name != changeClass {
		return nil, m.Refuse(pickle.Shape, "", "the pickle is no %s", changeClass)
	}
	attributes, err := m.attributes(top, "path", "uid", "datas")
	if err != nil {
		return nil, err
	}
	c := &Change{}
	if c.Path, err = m.path(top, attributes[0]); err != nil {
		return nil, err
	}
	if c.UID, err = m.word(top, "uid", attributes[1]); err != nil {
		return nil, err
	}
	datas, ok := attributes[2].(*list)
	if !ok {
		return nil, misshapen(top, "datas", "is no list")
	}
	return c, m.parts(c, top, datas.items)
}

func misshapen(in *instance, name, problem string) error {
	return pickle.Refuse(pickle.Shape, in.at, name, "%s", problem)
}

// attributes gives the values of an instance's attributes, which must be just these.
func (m *machine) attributes(in *instance, names ...string) ([]any, error) {
	if in.state == nil {
		return nil, misshapen(in, in.class.name, "has no state")
	}
	for _, key := range in.state.keys {
		if !slices.Contains(names, key) {
			return nil, misshapen(in, key, "is no attribute of a "+in.class.name)
		}
	}
	return m.values(in, in.state, names...)
}

// values gives those of a dict's keys, none of which may be missing.
func (m *machine) values(in *instance, from *dict, names ...string) ([]any, error) {
	var found []any
	for _, name := range names {
		v := from.get(name)
		if v == nil {
			return nil, misshapen(in, name, "is missing")
		}
		found = append(found, v)
	}
	return found, nil
}

func (m *machine) path(in *instance, v any) ([]string, error) {
	ids, ok := v.(tuple)
	if !ok {
		return nil, misshapen(in, "path", "is no tuple")
	}
	var path []string
	for _, v := range ids {
		id, ok := v.(str)
		if !ok {
			return nil, misshapen(in, "path", "has a segment that is no byte string")
		}
		if !id.inline() {
			return nil, pickle.Refuse(pickle.Name, id.at, "", "an id of %d bytes", id.size)
		}
		path = append(path, id.small)
	}
	if id, problem := badPath(path); problem != "" {
		return nil, pickle.Refuse(pickle.Name, in.at, id, "%s", problem)
	}
	return path, nil
}

// word gives a short byte string that ends up in a name.
func (m *machine) word(in *instance, name string, v any) (string, error) {
	s, ok := v.(str)
	switch {
	case !ok:
		return "", misshapen(in, name, "is no byte string")
	case !s.inline():
		return "", pickle.Refuse(pickle.Name, s.at, name, "has %d bytes", s.size)
	}
	if problem := badWord(s.small); problem != "" {
		return "", pickle.Refuse(pickle.Name, s.at, s.small, "%s", problem)
	}
	return s.small, nil
}

func (m *machine) parts(c *Change, top *instance, datas []any) error {
	for _, v := range datas {
		data, ok := v.(*instance)
		if !ok || data.class.name == changeClass {
			return misshapen(top, "datas", "has an item that is no plugin's data")
		}
		kind := kindOf(data.class)
		if c.Part(kind) != nil {
			return misshapen(data, data.class.name, "comes twice")
		}
		part, err := m.part(c, kind, data)
		if err != nil {
			return err
		}
		c.Parts = append(c.Parts, part)
	}
	return nil
}

func kindOf(class global) Kind {
	for kind, name := range classOf {
		if name == class.name {
			return kind
		}
	}
	return ""
}

func (m *machine) part(c *Change, kind Kind, data *instance) (Part, error) {
	attributes, err := m.attributes(data, "data")
	if err != nil {
		return Part{}, err
	}
	part := Part{Kind: kind}
	switch kind {
	case ZEXP:
		part.Export, err = m.value(data, "data", attributes[0])
	case Delete:
		part.ID, err = m.deletion(c, data, attributes[0])
	case FSS:
		part.Fields, err = m.fields(c, data, attributes[0])
	}
	return part, err
}

func (m *machine) value(in *instance, name string, v any) (Value, error) {
	s, ok := v.(str)
	if !ok {
		return Value{}, misshapen(in, name, "is no byte string")
	}
	if s.inline() {
		return Bytes([]byte(s.small)), nil
	}
	return section(m.spool.file, s.begin, s.size), nil
}

func (m *machine) deletion(c *Change, in *instance, v any) (string, error) {
	id, err := m.word(in, "data", v)
	if err == nil && id != c.id() {
		return "", pickle.Refuse(pickle.Name, in.at, id, "is to be deleted, but the path ends in %q", c.id())
	}
	return id, err
}

func (c *Change) id() string { return c.Path[len(c.Path)-1] }

// fields reads those of the object and of what lies below it, and counts others. Those
// are not looked at: a bad name in one would spoil every later file of its exporter. Nor is
// a value that a later one of the same field takes the place of.
func (m *machine) fields(c *Change, in *instance, v any) ([]Field, error) {
	entries, ok := v.(*list)
	if !ok {
		return nil, misshapen(in, "data", "is no list")
	}
	fields, seen := []Field{}, map[[2]string]bool{}
	room := m.src.Offset() + maxShared
	for _, v := range slices.Backward(entries.items) {
		entry, path, err := m.entry(in, v)
		if err != nil {
			return nil, err
		}
		if firstID(path) != c.id() {
			c.Leaked++
			continue
		}
		f := Field{Path: path}
		if f.Name, err = m.word(in, "the name of a field", entry.items[1]); err != nil {
			return nil, err
		}
		key := [2]string{f.Path, f.Name}
		if seen[key] {
			continue
		}
		seen[key] = true
		if err := m.fill(in, &f, entry); err != nil {
			return nil, err
		}
		if room -= f.File.Size; room < 0 {
			return nil, pickle.Refuse(pickle.Limit, in.at, "data", "refers to its values so often that they are larger than the file")
		}
		fields = append(fields, f)
	}
	slices.Reverse(fields)
	return fields, nil
}

// maxShared is by how much the values of a file may be larger than the file, which they are
// when it refers to one of them several times.
const maxShared = 1 << 20

// entry gives an entry of the list, and which object it is about.
func (m *machine) entry(in *instance, v any) (entry *list, path string, err error) {
	entry, ok := v.(*list)
	if !ok || len(entry.items) != 3 {
		return nil, "", misshapen(in, "data", "has an item that is no list of three")
	}
	path, err = m.word(in, "the object of a field", entry.items[0])
	return entry, path, err
}

// fill reads the value of a field.
func (m *machine) fill(in *instance, f *Field, entry *list) error {
	about, ok := entry.items[2].(*dict)
	if !ok || len(about.keys) != 3 {
		return misshapen(in, "data", "has an item without the dict of a file")
	}
	values, err := m.values(in, about, "file", "filename", "mimetype")
	if err != nil {
		return err
	}
	if f.File, err = m.value(in, "file", values[0]); err != nil {
		return err
	}
	if f.Filename, f.Text, err = m.filename(in, values[1]); err != nil {
		return err
	}
	if f.MIMEType, err = m.word(in, "mimetype", values[2]); err != nil {
		return err
	}
	if problem := badField(f); problem != "" {
		return pickle.Refuse(pickle.Name, in.at, "", "%s", problem)
	}
	return nil
}

// filename may be anything short: no reader takes it for a path.
func (m *machine) filename(in *instance, v any) (name string, isText bool, err error) {
	switch name := v.(type) {
	case text:
		return string(name), true, nil
	case str:
		if name.inline() {
			return name.small, false, nil
		}
	default:
		return "", false, misshapen(in, "filename", "is no string")
	}
	return "", false, pickle.Refuse(pickle.Name, in.at, "filename", "is too long")
}
