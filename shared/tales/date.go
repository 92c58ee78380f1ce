package tales

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// errNow is the answer to whoever asks for the present time.
var errNow = reasonf("there is no clock: whether an object belongs to a channel changes only when the object does; " +
	"compare with a date such as DateTime('2024-01-31'), or with event.time, when the change was captured")

// date is a moment, with the names of Zope's DateTime and of Python's datetime.
type date struct{ t time.Time }

var (
	_ starlark.Comparable = date{}
	_ starlark.HasBinary  = date{}
)

func (d date) String() string        { return d.t.Format(time.RFC3339Nano) }
func (date) Type() string            { return "date" }
func (date) Freeze()                 {}
func (date) Truth() starlark.Bool    { return true }
func (d date) Hash() (uint32, error) { return uint32(d.t.UnixNano()) ^ uint32(d.t.Unix()>>16), nil }

// CompareSameType orders moments, whatever zone they are written in.
func (d date) CompareSameType(op syntax.Token, y starlark.Value, _ int) (bool, error) {
	return holds(op, d.t.Compare(y.(date).t)), nil
}

func holds(op syntax.Token, order int) bool {
	switch op {
	case syntax.EQL:
		return order == 0
	case syntax.NEQ:
		return order != 0
	case syntax.LT:
		return order < 0
	case syntax.LE:
		return order <= 0
	case syntax.GT:
		return order > 0
	}
	return order >= 0
}

const (
	day     = 86400     // seconds
	maxDays = 4_000_000 // that can be added to a date, more than 10,000 years
)

// Binary adds and subtracts days, and subtracts dates, as DateTime does.
func (d date) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	if other, ok := y.(date); ok && op == syntax.MINUS && side == starlark.Left {
		seconds := float64(d.t.Unix()-other.t.Unix()) + float64(d.t.Nanosecond()-other.t.Nanosecond())/1e9
		return starlark.Float(seconds / day), nil
	}
	days, ok := starlark.AsFloat(y)
	if !ok || op != syntax.PLUS && (op != syntax.MINUS || side == starlark.Right) {
		return nil, nil
	}
	if math.IsNaN(days) || math.Abs(days) > maxDays {
		return nil, reasonf("%g days are too many to add to a date", days)
	}
	if op == syntax.MINUS {
		days = -days
	}
	whole, part := math.Modf(days)
	t := d.t.UTC().AddDate(0, 0, int(whole)).Add(time.Duration(part * day * float64(time.Second)))
	return date{t.In(d.t.Location())}, nil
}

// toDate reads a date, or a text that is one.
func toDate(v starlark.Value) (date, bool) {
	switch v := v.(type) {
	case date:
		return v, true
	case starlark.String:
		t, err := parseDate(string(v))
		return date{t}, err == nil
	}
	return date{}, false
}

// layouts of dates; without a zone, UTC.
var layouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-1-2",
	"2006-1-2 15:04:05", "2006-1-2 15:04", "2006-1-2 15:04:05Z07:00",
	"2006/1/2", "2006/1/2 15:04:05", "2006/1/2 15:04", "2006-01-02T15:04:05-0700", "2006-01-02T15:04Z07:00", "20060102",
}

// zone is how DateTime prints one behind a date.
var zone = regexp.MustCompile(` (?:UTC|Universal|GMT(?:([+-]\d{1,2})(?::?(\d\d))?)?)$`)

func zoneOf(s string) []string {
	if !strings.Contains(s, " ") { // most have none, and the search costs more than the rest
		return nil
	}
	return zone.FindStringSubmatch(s)
}

const maxDate = 64 // the longest text that is tried

func parseDate(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if len(s) <= maxDate {
		at := time.UTC
		if m := zoneOf(s); m != nil {
			hours, _ := strconv.Atoi(m[1])
			minutes, _ := strconv.Atoi(m[2])
			if hours < 0 {
				minutes = -minutes
			}
			at = time.FixedZone("", hours*3600+minutes*60)
			s = s[:len(s)-len(m[0])]
		}
		for _, layout := range layouts {
			if t, err := time.ParseInLocation(layout, s, at); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, reasonf("%s is no date; write it as 2024-01-31 or 2024-01-31T12:00:00Z", short(starlark.String(s)))
}

// newDate is DateTime('2024-01-31') or DateTime(2024, 1, 31, 12, 0, 0).
func newDate(_ *run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(kwargs) > 0 || len(args) > 6 {
		return nil, reasonf("write DateTime('2024-01-31'), or DateTime(2024, 1, 31, 12, 0, 0)")
	}
	if len(args) == 0 {
		return nil, errNow
	}
	if len(args) == 1 {
		switch v := args[0].(type) {
		case date:
			return v, nil
		case starlark.String:
			t, err := parseDate(string(v))
			return date{t}, err
		}
	}
	parts := [6]int{0, 1, 1}
	for i, a := range args {
		n, err := starlark.AsInt32(a)
		if err != nil || n < 0 || n > 9999 {
			return nil, reasonf("DateTime() wants year, month, day, hour, minute and second as whole numbers")
		}
		parts[i] = n
	}
	return date{time.Date(parts[0], time.Month(parts[1]), parts[2], parts[3], parts[4], parts[5], 0, time.UTC)}, nil
}

// dateParts can be written with and without ().
var dateParts = map[string]func(time.Time) int{
	"year":      time.Time.Year,
	"month":     func(t time.Time) int { return int(t.Month()) },
	"day":       time.Time.Day,
	"hour":      time.Time.Hour,
	"minute":    time.Time.Minute,
	"second":    time.Time.Second,
	"dow":       func(t time.Time) int { return int(t.Weekday()) },
	"dayOfYear": time.Time.YearDay,
}

var dateTexts = map[string]func(time.Time) string{
	"ISO8601":   func(t time.Time) string { return t.Format("2006-01-02T15:04:05-07:00") },
	"isoformat": func(t time.Time) string { return t.Format("2006-01-02T15:04:05-07:00") },
	"ISO":       func(t time.Time) string { return t.Format("2006-01-02 15:04:05") },
	"Date":      func(t time.Time) string { return t.Format("2006/01/02") },
	"Time":      func(t time.Time) string { return t.Format("15:04:05") },
	"Day":       func(t time.Time) string { return t.Weekday().String() },
	"Month":     func(t time.Time) string { return t.Month().String() },
}

var dateOrders = map[string]syntax.Token{
	"equalTo": syntax.EQL, "notEqualTo": syntax.NEQ, "lessThan": syntax.LT, "lessThanEqualTo": syntax.LE,
	"greaterThan": syntax.GT, "greaterThanEqualTo": syntax.GE,
}

func (d date) attribute(_ *run, name string) (starlark.Value, error) {
	if f := dateParts[name]; f != nil {
		return starlark.MakeInt(f(d.t)), nil
	}
	if d.has(name) {
		return nil, reasonf("%s is a method of a date; write %s()", name, name)
	}
	return nil, absentf("a date has no %s", name)
}

// has tells whether a date has a method.
func (date) has(name string) bool {
	return dateParts[name] != nil || dateTexts[name] != nil || strings.Contains(dateMethods, " "+name+" ") || dateOrders[name] != syntax.ILLEGAL
}

const dateMethods = " strftime timeTime earliestTime latestTime "

func (d date) call(r *run, name string, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if op, ok := dateOrders[name]; ok {
		if len(args) != 1 {
			return nil, reasonf("%s() takes one date", name)
		}
		return r.compare(op, d, args[0])
	}
	if name == "strftime" {
		format, ok := argument(args, 0)
		if !ok {
			return nil, reasonf("write strftime('%%Y-%%m-%%d')")
		}
		return d.strftime(r, format)
	}
	if len(args) > 0 {
		return nil, reasonf("%s() of a date takes no arguments", name)
	}
	switch y, m, dd := d.t.Date(); name {
	case "timeTime":
		return starlark.Float(float64(d.t.Unix()) + float64(d.t.Nanosecond())/1e9), nil
	case "earliestTime":
		return date{time.Date(y, m, dd, 0, 0, 0, 0, d.t.Location())}, nil
	case "latestTime":
		return date{time.Date(y, m, dd, 23, 59, 59, 0, d.t.Location())}, nil
	}
	if f := dateTexts[name]; f != nil {
		return starlark.String(f(d.t)), nil
	}
	return d.attribute(r, name)
}

// directives of strftime, as Go writes them.
var directives = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'j': "002",
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'I': "03", 'p': "PM", 'F': "2006-01-02", 'T': "15:04:05", 'z': "-0700",
}

func (d date) strftime(r *run, format string) (starlark.Value, error) {
	if err := r.allocateTimes(len(format), 10); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch layout, ok := directives[format[i]]; {
		case ok:
			b.WriteString(d.t.Format(layout))
		case format[i] == '%':
			b.WriteByte('%')
		default:
			return nil, reasonf("strftime() knows no %%%c here", format[i])
		}
	}
	return starlark.String(b.String()), r.spend(len(format))
}
