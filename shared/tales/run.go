package tales

import (
	"math/bits"
	"sync"

	"go.starlark.net/starlark"

	"synchro.example/shared/content"
)

// Limits of one evaluation.
const (
	// MaxSteps is how many steps an evaluation may take. A step is one part of the
	// expression evaluated once, one element of a list looked at, or bytesPerStep
	// bytes of text.
	MaxSteps = 100_000
	// MaxMemory is how many bytes of values an evaluation may make in all.
	MaxMemory = 4 << 20

	bytesPerStep = 64
	maxCalls     = 16   // functions within functions
	maxBits      = 2048 // of a whole number
	maxKeys      = 1000 // of a dict or a set
	perValue     = 16   // bytes of a value in a list
	perKey       = 64   // bytes of an entry of a dict or set
	escaped      = 6    // bytes that a byte can become when a value is printed
	maxDigits    = 640  // of text that becomes a whole number
)

// run is one evaluation.
type run struct {
	change *content.Change
	steps  int
	memory int
	calls  int
	locals []starlark.Value
	thread *starlark.Thread
}

func newRun(c *content.Change) *run { return &run{change: c, steps: MaxSteps, memory: MaxMemory} }

// runs are used again: what Starlark's functions ask for costs more to make than most
// expressions do.
var runs = sync.Pool{New: func() any { return &run{} }}

func borrow(c *content.Change) *run {
	r := runs.Get().(*run)
	*r = run{change: c, steps: MaxSteps, memory: MaxMemory, locals: r.locals[:0], thread: r.thread}
	return r
}

func (r *run) giveBack() {
	r.change = nil
	clear(r.locals[:cap(r.locals)])
	runs.Put(r)
}

const localRun = "run"

// threadOf gives the thread that Starlark's own functions ask for.
func (r *run) threadOf() *starlark.Thread {
	if r.thread == nil {
		r.thread = &starlark.Thread{}
		r.thread.SetLocal(localRun, r)
	}
	return r.thread
}

// spend takes steps.
func (r *run) spend(n int) error {
	if n < 0 || n > r.steps {
		r.steps = 0
		return reasonf("the expression takes more than %d steps; make it simpler", MaxSteps)
	}
	r.steps -= n
	return nil
}

// allocate takes memory before it is used.
func (r *run) allocate(n int) error {
	if n < 0 || n > r.memory {
		r.memory = 0
		return reasonf("the expression makes more than %d bytes of values; make it simpler", MaxMemory)
	}
	r.memory -= n
	return nil
}

// allocateTimes is for sizes whose product may be too large for a number.
func (r *run) allocateTimes(n, size int) error {
	if n <= 0 || size <= 0 {
		return nil
	}
	if high, low := bits.Mul64(uint64(n), uint64(size)); high == 0 && low <= MaxMemory {
		return r.allocate(int(low))
	}
	return r.allocate(-1)
}

// weigh gives the size of a value as a tree, in bytes, and takes the steps to look
// at all of it. A list that stands in a value twice counts twice, as it does for
// whoever prints, compares or hashes it.
func (r *run) weigh(v starlark.Value) (int, error) {
	switch v := v.(type) {
	case starlark.String:
		return perValue + len(v), r.spend(1 + len(v)/bytesPerStep)
	case starlark.Tuple:
		return r.weighAll(len(v), func(i int) starlark.Value { return v[i] })
	case *starlark.List:
		return r.weighAll(v.Len(), v.Index)
	case *starlark.Dict:
		return r.weighDict(v)
	case *starlark.Set:
		return r.weighAll(v.Len(), starlark.Tuple(elements(v)).Index)
	case starlark.Sequence: // a range: numbers, made when they are asked for
		if err := r.spend(v.Len()); err != nil {
			return 0, err
		}
		return perValue * (1 + v.Len()), nil
	}
	return perValue, r.spend(1)
}

func (r *run) weighAll(n int, at func(int) starlark.Value) (int, error) {
	sum := perValue
	if err := r.spend(1 + n); err != nil {
		return 0, err
	}
	for i := range n {
		w, err := r.weigh(at(i))
		if err != nil {
			return 0, err
		}
		sum += w
	}
	return sum, nil
}

func (r *run) weighDict(d *starlark.Dict) (int, error) {
	sum := perValue
	if err := r.spend(1 + d.Len()); err != nil {
		return 0, err
	}
	for k, v := range d.Entries() {
		wk, err := r.weigh(k)
		if err != nil {
			return 0, err
		}
		wv, err := r.weigh(v)
		if err != nil {
			return 0, err
		}
		sum += wk + wv + perKey
	}
	return sum, nil
}

func (r *run) weighTuple(args starlark.Tuple, kwargs []starlark.Tuple) (int, error) {
	sum, err := r.weigh(args)
	for _, kv := range kwargs {
		var w int
		if err == nil {
			w, err = r.weigh(kv)
			sum += w
		}
	}
	return sum, err
}

// keep checks a new value, and takes its memory.
func (r *run) keep(v starlark.Value) (starlark.Value, error) {
	switch v := v.(type) {
	case starlark.Bool, starlark.NoneType, starlark.Float, date:
		return v, nil
	case starlark.Int:
		if v.BigInt().BitLen() > maxBits {
			return nil, reasonf("a number has more than %d bits", maxBits)
		}
		return v, nil
	}
	w, err := r.weigh(v)
	if err != nil {
		return nil, err
	}
	return v, r.allocate(w)
}

// hash takes the steps to make a table of n keys, as if all of them had the same
// hash: numbers can be chosen so.
func (r *run) hash(n int) error {
	if n > maxKeys {
		return reasonf("a dict or set has more than %d keys", maxKeys)
	}
	return r.spend(n * n / 16)
}

func elements(v starlark.Iterable) []starlark.Value {
	var all []starlark.Value
	for e := range starlark.Elements(v) {
		all = append(all, e)
	}
	return all
}
