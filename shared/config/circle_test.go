package config

import (
	"reflect"
	"testing"
)

func TestACircleIsWhatLeadsBackToASite(t *testing.T) {
	_, err := Load(write(t, `
broker: {embedded: {dir: ./broker}}
sites:
  hub: {folder: {path: ./hub}}
  paris: {folder: {path: ./paris}}
  lyon: {folder: {path: ./lyon}}
  archive: {folder: {path: ./archive}}
  press: {folder: {path: ./press}}
channels:
  out: {from: hub, to: [paris, lyon]}
  from-paris: {from: paris, to: [hub]}
  from-lyon: {from: lyon, to: [hub]}
  kept: {from: hub, to: [archive]}
  given: {from: press, to: [paris]}
`))
	if err == nil {
		t.Fatal("press and hub may both write any path of paris, and that is not refused")
	}
	for site, want := range map[string][]string{
		"hub": {"hub", "lyon", "paris"}, "lyon": {"hub", "lyon", "paris"}, "archive": nil, "press": nil,
	} {
		c, err := Load(write(t, `
broker: {embedded: {dir: ./broker}}
sites: {hub: {folder: {path: ./hub}}, paris: {folder: {path: ./paris}}, lyon: {folder: {path: ./lyon}}, archive: {folder: {path: ./archive}}, press: {folder: {path: ./press}}}
channels: {out: {from: hub, to: [paris, lyon]}, from-paris: {from: paris, to: [hub]}, from-lyon: {from: lyon, to: [hub]}, kept: {from: hub, to: [archive]}}
`))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Circle(site); !reflect.DeepEqual(got, want) {
			t.Errorf("the circle of %s is %v, want %v", site, got, want)
		}
	}
}
