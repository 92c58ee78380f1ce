package config

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestRemovalsAreAShareOrANumber(t *testing.T) {
	for text, want := range map[string]map[int]int{
		"20%":  {0: 19, 50: 19, 100: 20, 1000: 200},
		"100%": {30: 30, 1000: 1000},
		"5":    {0: 5, 1000: 5},
	} {
		var r Removals
		if err := yaml.Unmarshal([]byte(text), &r); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		for objects, most := range want {
			if got := r.Of(objects); got != most {
				t.Errorf("%s of %d objects is %d, want %d", text, objects, got, most)
			}
		}
	}
	for _, text := range []string{"0", "0%", "-1", "101%", "many", "5 %"} {
		if err := yaml.Unmarshal([]byte(text), new(Removals)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
