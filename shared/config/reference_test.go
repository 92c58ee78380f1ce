package config

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// keyRow is a row of the reference: key, default, meaning.
var keyRow = regexp.MustCompile("(?m)^\\| `([a-zA-Z._]+)` \\| (?:`([^`]*)` )?\\| [^|]+ \\|$")

func TestEachKeyIsDocumentedWithItsDefault(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, reference, ok := strings.Cut(string(page), "\n## Configuration\n")
	if !ok {
		t.Fatal("docs/operations.md has no section Configuration")
	}
	documented := map[string]string{}
	for _, m := range keyRow.FindAllStringSubmatch(reference, -1) {
		documented[m[1]] = m[2]
	}
	c := Config{
		Broker:   Broker{Embedded: &Embedded{}},
		Sites:    map[string]Site{"NAME": {Folder: &Folder{}, Seed: &Seed{}}},
		Channels: map[string]Channel{"NAME": {}},
	}
	c.setDefaults()
	defaults := map[string]reflect.Value{}
	leaves(reflect.ValueOf(c), "", defaults)
	for name, of := range map[string]Site{"queue": {Queue: &Queue{}}, "plone": {Plone: &Plone{}}} {
		own := Config{Sites: map[string]Site{"NAME": of}}
		own.setDefaults()
		values := map[string]reflect.Value{}
		leaves(reflect.ValueOf(own), "", values)
		for key, v := range values {
			if strings.HasPrefix(key, "sites.NAME."+name+".") || name == "queue" && key == "sites.NAME.accept" {
				defaults[key] = v
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		text, ok := documented[key]
		if !ok {
			t.Errorf("docs/operations.md lacks the key %s", key)
			continue
		}
		want := defaults[key]
		got := reflect.New(want.Type())
		if err := yaml.Unmarshal([]byte(text), got.Interface()); err != nil {
			t.Errorf("the documented default %q of %s: %v", text, key, err)
		} else if !reflect.DeepEqual(got.Elem().Interface(), want.Interface()) {
			t.Errorf("docs/operations.md says that %s is %q by default, it is %v", key, text, want)
		}
	}
	for key := range documented {
		if _, ok := defaults[key]; !ok {
			t.Errorf("docs/operations.md has the key %s, which is none", key)
		}
	}
}

// leaves finds the values of a configuration that have no keys of their own below.
func leaves(v reflect.Value, key string, found map[string]reflect.Value) {
	if _, own := reflect.TypeAssert[yaml.Unmarshaler](reflect.New(v.Type())); own {
		found[key] = v
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		leaves(v.Elem(), key, found)
	case reflect.Map:
		if v.Len() == 0 {
			found[key] = v
		}
		for _, name := range v.MapKeys() {
			leaves(v.MapIndex(name), key+"."+name.String(), found)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "-" {
				leaves(v.Field(i), strings.TrimPrefix(key+"."+tag, "."), found)
			}
		}
	default:
		found[key] = v
	}
}
