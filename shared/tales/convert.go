package tales

import (
	"maps"
	"math"
	"math/big"
	"slices"
	"time"

	"go.starlark.net/starlark"
)

// fromGo makes a value of an entry of Meta.
func (r *run) fromGo(v any) (starlark.Value, error) {
	if err := r.spend(1); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(v), nil
	case string:
		return starlark.String(v), nil
	case []byte:
		return starlark.String(v), r.allocate(len(v))
	case float32:
		return starlark.Float(v), nil
	case float64:
		return starlark.Float(v), nil
	case time.Time:
		return date{v.UTC()}, nil // the zone of this machine must not matter
	case []string:
		return fromList(r, v)
	case []any:
		return fromList(r, v)
	case map[string]any:
		return r.fromMap(v)
	}
	return fromNumber(v)
}

func fromNumber(v any) (starlark.Value, error) {
	switch v := v.(type) {
	case int:
		return starlark.MakeInt(v), nil
	case int8:
		return starlark.MakeInt(int(v)), nil
	case int16:
		return starlark.MakeInt(int(v)), nil
	case int32:
		return starlark.MakeInt(int(v)), nil
	case int64:
		return starlark.MakeInt64(v), nil
	case uint:
		return starlark.MakeUint(v), nil
	case uint8:
		return starlark.MakeInt(int(v)), nil
	case uint16:
		return starlark.MakeInt(int(v)), nil
	case uint32:
		return starlark.MakeInt64(int64(v)), nil
	case uint64:
		return starlark.MakeUint64(v), nil
	}
	return nil, reasonf("the field holds a %T, which expressions cannot read", v)
}

func fromList[T any](r *run, v []T) (starlark.Value, error) {
	if err := r.allocateTimes(len(v), perValue); err != nil {
		return nil, err
	}
	list := make([]starlark.Value, len(v))
	for i, e := range v {
		var err error
		if list[i], err = r.fromGo(e); err != nil {
			return nil, err
		}
	}
	return starlark.NewList(list), nil
}

// fromMap sorts the keys, so that what an expression prints is always the same.
func (r *run) fromMap(m map[string]any) (starlark.Value, error) {
	d := starlark.NewDict(0)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		v, err := r.fromGo(m[k])
		if err != nil {
			return nil, err
		}
		if err := r.insert(d, starlark.String(k), v); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// toGo makes a result of a value. A value that stands in a list a thousand times took its
// memory once, and is printed a thousand times; so the result is bounded again.
func toGo(v starlark.Value) any {
	left := MaxSteps
	return plain(v, &left)
}

func plain(v starlark.Value, left *int) any {
	if *left--; *left < 0 {
		return "…"
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil
	case starlark.Bool:
		return bool(v)
	case starlark.String:
		if *left -= len(v) / bytesPerStep; *left < 0 {
			return "…"
		}
		return string(v)
	case starlark.Float:
		if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) { // which JSON does not have
			return f
		}
	case starlark.Int:
		return plainInt(v)
	case date:
		return v.t
	case *starlark.Dict:
		return plainDict(v, left)
	case starlark.Iterable:
		return plainList(v, left)
	}
	return v.String()
}

func plainInt(v starlark.Int) any {
	if n, ok := v.Int64(); ok {
		return n
	}
	f, _ := new(big.Float).SetInt(v.BigInt()).Float64()
	return f
}

func plainList(v starlark.Iterable, left *int) any {
	all := []any{}
	for e := range starlark.Elements(v) {
		if *left <= 0 {
			break
		}
		all = append(all, plain(e, left))
	}
	return all
}

func plainDict(d *starlark.Dict, left *int) any {
	m := map[string]any{}
	for k, v := range d.Entries() {
		key, ok := starlark.AsString(k)
		if !ok {
			key = short(k)
		}
		m[key] = plain(v, left)
	}
	return m
}
