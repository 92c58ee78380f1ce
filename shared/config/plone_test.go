package config

import (
	"strings"
	"testing"
)

const plonePage = `
broker: {embedded: {dir: ./broker}}
sites:
  hq: {folder: {path: ./hq}}
  tokyo:
    plone: {%s}
channels:
  public: {from: hq, to: [tokyo]}
`

func TestMistakesOfAPloneSiteAreAllNamed(t *testing.T) {
	for settings, want := range map[string]string{
		`url: "http://plone.example.org/Plone", user: sync, password_file: p`:                             "sites.tokyo.plone.url: would send the password",
		`url: "https://sync:pw@plone.example.org/", user: sync, password_file: p`:                         "sites.tokyo.plone.url: holds an account",
		`url: "plone.example.org", user: sync, password_file: p`:                                          "sites.tokyo.plone.url: is not an address",
		`url: "https://plone.example.org/?x=1", user: sync, password_file: p`:                             "sites.tokyo.plone.url: has a query",
		`user: sync, password_file: p`:                                                                    "sites.tokyo.plone.url: is missing",
		`url: "https://plone.example.org"`:                                                                "sites.tokyo.plone: needs an account",
		`url: "https://plone.example.org", user: sync`:                                                    "sites.tokyo.plone: needs an account",
		`url: "https://plone.example.org", user: sync, password_file: p, token_file: t`:                   "sites.tokyo.plone.token_file: stands beside",
		`url: "https://plone.example.org", token_file: t, drift: never`:                                   "sites.tokyo.plone.drift: is \"never\"",
		`url: "https://plone.example.org", token_file: t, drift_at: {/news: no}`:                          "sites.tokyo.plone.drift_at./news: is \"no\"",
		`url: "https://plone.example.org", token_file: t, drift_at: {news: keep}`:                         "sites.tokyo.plone.drift_at.news: \"news\" is not a path",
		`url: "https://plone.example.org", token_file: t, scope: {paths: [/a/../b]}`:                      "sites.tokyo.plone.scope.paths: \"/a/../b\" is not a path",
		`url: "https://plone.example.org", token_file: t, workflow: {draft: [publish]}`:                   "sites.tokyo.plone.workflow.draft: is not of the form",
		`url: "https://plone.example.org", token_file: t, omits: [title]`:                                 "sites.tokyo.plone.omits: is not a known key",
		`url: "http://plone.example.org", insecure: true, token_file: t, drift: x, workflow: {"a b": []}`: "sites.tokyo.plone.workflow.a b: is not of the form",
	} {
		_, problems := parse("synchro.yaml", []byte(strings.Replace(plonePage, "%s", settings, 1)))
		found := false
		for _, p := range problems {
			found = found || strings.Contains(p.Error(), want)
		}
		if !found {
			t.Errorf("{%s}: %v, want %q", settings, problems, want)
		}
	}
}

func TestAPloneSiteOnThisMachineMayUseHTTP(t *testing.T) {
	for _, host := range []string{"localhost", "127.0.0.1:8080", "[::1]:8080"} {
		settings := `url: "http://` + host + `/Plone", user: sync, password_file: p`
		c, problems := parse("synchro.yaml", []byte(strings.Replace(plonePage, "%s", settings, 1)))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if got := c.Sites["tokyo"].Plone; got.Drift != "report" || !strings.HasPrefix(got.PasswordFile, "/") {
			t.Errorf("read as %+v", got)
		}
	}
}
