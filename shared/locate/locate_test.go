package locate

import (
	"strings"
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

func compiled(t *testing.T, list ...Rule) *Rules {
	t.Helper()
	r, errs := Compile(list)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestTheFirstRuleThatMatchesSaysWhereAnObjectGoes(t *testing.T) {
	c := func(source, typ string) *content.Change {
		return &content.Change{Source: source, Object: content.Object{Type: typ}, Payloads: []content.Payload{{Plugin: "fss"}}}
	}
	for name, test := range map[string]struct {
		rules  []Rule
		change *content.Change
		path   string
		want   Place
	}{
		"no rule":                      {nil, c("hq", "file"), "a/b", Place{}},
		"no rule matches":              {[]Rule{{Type: "folder", At: Skip}}, c("hq", "file"), "a/b", Place{}},
		"a folder and all below it":    {[]Rule{{Path: "/news/**", At: "/actualites"}}, c("hq", "file"), "news/2026/x", Place{Matched: true, Path: "actualites/2026/x"}},
		"the folder itself":            {[]Rule{{Path: "/news/**", At: "/actualites"}}, c("hq", "folder"), "news", Place{Matched: true, Path: "actualites"}},
		"not its namesake":             {[]Rule{{Path: "/news/**", At: "/actualites"}}, c("hq", "file"), "newsletter", Place{}},
		"a template":                   {[]Rule{{Path: "/news/**", At: "/{source}/{type}/{path.tail}"}}, c("hq", "file"), "news/x", Place{Matched: true, Path: "hq/file/x"}},
		"names":                        {[]Rule{{At: "/flat/{name}"}}, c("hq", "file"), "a/b/c", Place{Matched: true, Path: "flat/c"}},
		"the whole path":               {[]Rule{{Source: "hq", At: "/from-hq/{path}"}}, c("hq", "file"), "a/b", Place{Matched: true, Path: "from-hq/a/b"}},
		"another source":               {[]Rule{{Source: "lab", At: Skip}, {At: "/x/{name}"}}, c("hq", "file"), "a", Place{Matched: true, Path: "x/a"}},
		"left to a plugin":             {[]Rule{{Type: "file", At: "plugin: names"}}, c("hq", "file"), "a", Place{Matched: true, Plugin: "names"}},
		"skipped":                      {[]Rule{{Type: "file", At: Skip}}, c("hq", "file"), "a", Place{Matched: true, Skip: true}},
		"a plugin":                     {[]Rule{{Plugin: "zexp", At: Skip}, {Plugin: "fss", At: "/f/{name}"}}, c("hq", "file"), "a", Place{Matched: true, Path: "f/a"}},
		"an expression reads the path": {[]Rule{{Expression: "python: 'b' in object.getPhysicalPath()", At: Skip}}, c("hq", "file"), "a/b", Place{Matched: true, Skip: true}},
		"what would be the root":       {[]Rule{{Path: "/news/**", At: "/"}}, c("hq", "folder"), "news", Place{Matched: true, Skip: true}},
		"what lies below that":         {[]Rule{{Path: "/news/**", At: "/"}}, c("hq", "file"), "news/x", Place{Matched: true, Path: "x"}},
		"a name with a brace":          {[]Rule{{At: "/f/{name}"}}, c("hq", "file"), "a/{path}", Place{Matched: true, Path: "f/{path}"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := compiled(t, test.rules...).Place(test.change, test.path)
			if err != nil || got != test.want {
				t.Errorf("got %+v (%v), want %+v", got, err, test.want)
			}
		})
	}
}

func TestARuleThatCannotBeFollowedParksTheObject(t *testing.T) {
	for name, r := range map[string]Rule{
		"a segment that climbs":       {At: "/x/{type}"},
		"an expression that has none": {Expression: "object/nowhere", At: Skip},
	} {
		_, err := compiled(t, r).Place(&content.Change{Object: content.Object{Type: ".."}}, "a")
		if err == nil || fault.Of(err).Class != fault.Park {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPathThatWouldMakeThousandsOfContainersIsRefused(t *testing.T) {
	for _, path := range []string{strings.Repeat("a/", 2000), strings.Repeat("a", 70_000)} {
		if _, err := At(path); err == nil || len(err.Error()) > 200 {
			t.Errorf("%v", err)
		}
	}
}

func TestAWrongRuleIsRefused(t *testing.T) {
	for want, r := range map[string]Rule{
		"begins with /": {At: "actualites"},
		"is not known":  {At: "/{uid}"},
		"has no }":      {At: "/{name"},
		"is no glob":    {Path: "/a[", At: Skip},
		"expression":    {Expression: "python: (", At: Skip},
		`segment ".."`:  {At: "/../x"},
	} {
		_, errs := Compile([]Rule{r})
		if errs[0] == nil || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%+v: %v, want %q in it", r, errs[0], want)
		}
	}
}

func TestSourcesAreApartWhenTheirPathsBeginDifferently(t *testing.T) {
	for name, test := range map[string]struct {
		rules []Rule
		at    string
		apart bool
	}{
		"no rules":                   {nil, "/", false},
		"one elsewhere, one at home": {[]Rule{{Source: "b", At: "/b/{path}"}}, "/b", false},
		"both elsewhere":             {[]Rule{{Source: "a", At: "/a/{path}"}, {Source: "b", At: "/b/{path}"}}, "", true},
		"one inside the other":       {[]Rule{{Source: "a", At: "/x/{path}"}, {Source: "b", At: "/x/b/{path}"}}, "/x/b", false},
		"namesakes":                  {[]Rule{{Source: "a", At: "/x/{path}"}, {Source: "b", At: "/xy/{path}"}}, "", true},
		"the way kept free":          {[]Rule{{Source: "b", At: "/b/{path}"}, {Source: "a", Path: "/b/**", At: Skip}}, "", true},
		"only some are elsewhere":    {[]Rule{{Source: "a", At: "/a/{path}"}, {Source: "b", Type: "file", At: "/b/{path}"}}, "/a", false},
		"by the name of the source":  {[]Rule{{At: "/all/{source}/{path}"}}, "", true},
		"all of one skipped":         {[]Rule{{Source: "a", Path: "/**", At: Skip}}, "", true},
	} {
		if at, apart := compiled(t, test.rules...).Apart("a", "b"); apart != test.apart || at != test.at {
			t.Errorf("%s: %q %v", name, at, apart)
		}
	}
}

func TestRulesAreNamedByWhatTheySay(t *testing.T) {
	one, same, other := compiled(t, Rule{At: Skip}), compiled(t, Rule{At: Skip}), compiled(t, Rule{Type: "file", At: Skip})
	if one.Mark() != same.Mark() || one.Mark() == other.Mark() || compiled(t).Mark() != "" {
		t.Errorf("%q %q %q", one.Mark(), same.Mark(), other.Mark())
	}
}
