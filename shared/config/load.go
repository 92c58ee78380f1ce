package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"synchro.example/shared/fault"
)

// maxFile is the largest configuration that is read.
const maxFile = 4 << 20

// Problem is one mistake in a configuration.
type Problem struct {
	File string
	Line int // 0 when it is about no line in particular
	Key  string
	Text string
}

func (p Problem) Error() string {
	where := p.File
	if p.Line > 0 {
		where += ":" + strconv.Itoa(p.Line)
	}
	if p.Key != "" {
		where += ": " + p.Key
	}
	return where + ": " + p.Text
}

// Load reads and checks a configuration. The error, a fault of class Stop, joins
// every Problem that was found.
func Load(file string) (*Config, error) {
	data, err := read(file)
	if err != nil {
		return nil, fault.New(fault.Stop, fault.Misconfigured, err)
	}
	c, problems := parse(file, data)
	if len(problems) > 0 {
		return nil, fault.New(fault.Stop, fault.Misconfigured, errors.Join(problems...))
	}
	return c, nil
}

func read(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such configuration; `synchro init DIR` writes one, --config FILE names another", file)
	case err != nil:
		return nil, fmt.Errorf("read the configuration: %w", err)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s: has %d bytes, the limit is %d", file, info.Size(), maxFile)
	}
	return os.ReadFile(file)
}

// parser collects problems while it walks over the document.
type parser struct {
	file     string
	lines    map[string]int // key path to line
	problems []error
}

func parse(file string, data []byte) (*Config, []error) {
	p := &parser{file: file, lines: map[string]int{}}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, []error{Problem{File: file, Text: strings.TrimPrefix(err.Error(), "yaml: ")}}
	}
	c := &Config{File: file}
	if len(doc.Content) > 0 {
		p.walk(doc.Content[0], reflect.TypeFor[Config](), "")
		p.decode(doc.Content[0], c)
	}
	if len(p.problems) == 0 {
		c.setDefaults()
		c.resolve(filepath.Dir(file))
		p.check(c)
	}
	return c, p.problems
}

func (p *parser) add(key, format string, args ...any) {
	p.problems = append(p.problems, Problem{File: p.file, Line: p.line(key), Key: key, Text: fmt.Sprintf(format, args...)})
}

// line finds the line of a key, or of the nearest key above it.
func (p *parser) line(key string) int {
	for {
		if n, ok := p.lines[key]; ok {
			return n
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return 0
		}
		key = key[:i]
	}
}

// walk expands the environment in scalars and refuses keys that t does not have.
func (p *parser) walk(n *yaml.Node, t reflect.Type, key string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n.Kind {
	case yaml.AliasNode:
		p.add(key, "aliases are not supported; write the value out")
	case yaml.ScalarNode:
		p.expand(n, key)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			one := fmt.Sprintf("%s[%d]", key, i)
			p.lines[one] = item.Line
			p.walk(item, elem(t), one)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			p.entry(n.Content[i], n.Content[i+1], t, key)
		}
	}
}

func elem(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		return t.Elem()
	}
	return t
}

func (p *parser) entry(name, value *yaml.Node, t reflect.Type, above string) {
	key := strings.TrimPrefix(above+"."+name.Value, ".")
	p.lines[key] = name.Line
	switch t.Kind() {
	case reflect.Map:
		p.walk(value, t.Elem(), key)
	case reflect.Struct:
		names := yamlKeys(t)
		field, ok := names[name.Value]
		if !ok {
			p.add(key, "is not a known key; known here: %s", knownKeys(names))
			return
		}
		p.walk(value, field, key)
	}
}

func yamlKeys(t reflect.Type) map[string]reflect.Type {
	names := map[string]reflect.Type{}
	for f := range t.Fields() {
		if tag := f.Tag.Get("yaml"); tag != "-" {
			names[tag] = f.Type
		}
	}
	return names
}

func knownKeys(names map[string]reflect.Type) string {
	keys := make([]string, 0, len(names))
	for k := range names {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

func (p *parser) expand(n *yaml.Node, key string) {
	if !strings.Contains(n.Value, "${") || strings.HasSuffix(key, ".expression") { // where ${…} is a path
		return
	}
	n.Value = variable.ReplaceAllStringFunc(n.Value, func(ref string) string {
		name := ref[2 : len(ref)-1]
		v, ok := os.LookupEnv(name)
		if !ok {
			p.lines[key] = n.Line
			p.add(key, "the environment has no variable %s", name)
		}
		return v
	})
	if n.Style == 0 {
		n.Tag = "" // a plain ${N} may stand for a number
	}
}

var typeError = regexp.MustCompile(`^line (\d+): cannot unmarshal (?:!!\w+ )?(.*) into (.*)$`)

func (p *parser) decode(n *yaml.Node, c *Config) {
	err := n.Decode(c)
	if err == nil {
		return
	}
	t, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		p.add("", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	for _, text := range t.Errors {
		line := 0
		if m := typeError.FindStringSubmatch(text); m != nil {
			line, _ = strconv.Atoi(m[1])
			text = fmt.Sprintf("%s does not fit here, want %s", m[2], kindName(m[3]))
		}
		p.problems = append(p.problems, Problem{File: p.file, Line: line, Key: p.keyAt(line), Text: text})
	}
}

// kindName says a Go type of the configuration in words.
func kindName(goType string) string {
	switch {
	case goType == "int":
		return "a whole number"
	case goType == "string":
		return "a text"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasSuffix(goType, "Duration"):
		return "a duration such as 500ms, 60s or 30d"
	case strings.HasSuffix(goType, "Removals"):
		return "a share such as 20%, or a number above 0"
	}
	return "keys and values"
}

func (p *parser) keyAt(line int) string {
	best := ""
	for key, n := range p.lines {
		if n == line && len(key) > len(best) {
			best = key
		}
	}
	return best
}

// Duration is a time.Duration that also reads days, as in 30d.
type Duration time.Duration

// UnmarshalYAML reads 100ms, 60s, 12h or 30d.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	text, units := n.Value, 1
	if days, ok := strings.CutSuffix(text, "d"); ok {
		text, units = days+"h", 24
	}
	v, err := time.ParseDuration(text)
	if err != nil || v <= 0 {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: cannot unmarshal `%s` into Duration", n.Line, n.Value)}}
	}
	*d = Duration(int64(v) * int64(units))
	return nil
}
