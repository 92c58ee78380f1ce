package command

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"synchro.example/shared/service"
)

// command runs a command line and gives what it prints.
func command(t *testing.T, want int, args ...string) (out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	if status := Run(t.Context(), args, &o, &e); status != want {
		t.Fatalf("%v: the status is %d, want %d\n%s%s", args, status, want, &o, &e)
	}
	return o.String(), e.String()
}

func TestAnExpressionIsTriedOnOneObject(t *testing.T) {
	object := `{"path": "news/a.html", "type": "Document", "meta": {"title": "Spring", "price": 3}}`
	out, _ := command(t, service.Done, "expr", "object/Title", "--object", object)
	if !strings.Contains(out, `"Spring"`) || !strings.Contains(out, "meets") {
		t.Errorf("it prints %q", out)
	}
	out, _ = command(t, service.Done, "expr", "python: object.getId() == 'b'", "--object", object, "--json")
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil || got["matches"] != false || got["value"] != false {
		t.Errorf("it prints %q, %v", out, err)
	}
	_, errOut := command(t, service.Failed, "expr", "python: object.weight", "--object", object)
	if !strings.Contains(errOut, "line 1, column 16: the object has no weight; its fields: price, title") {
		t.Errorf("it says %q", errOut)
	}
}

func TestWrongUseOfExprIsExplained(t *testing.T) {
	for want, args := range map[string][]string{
		"write object.Title()":     {"python: object.Title == 1"},
		"write one expression":     {},
		"unknown field \"colour\"": {"nothing", "--object", `{"colour": 1}`},
		"--object goes with":       {"nothing", "--object", "{}", "--site", "hq"},
	} {
		if _, errOut := command(t, service.Usage, append([]string{"expr"}, args...)...); !strings.Contains(errOut, want) {
			t.Errorf("%v: it says %q", args, errOut)
		}
	}
}

// exported makes a source with some files, brings it into its log, and gives the
// configuration.
func exported(t *testing.T) (config string) {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"hq/news/2024", "paris"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"hq/index.html", "hq/news/a.html", "hq/news/2024/b.txt"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(f), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config = filepath.Join(dir, "synchro.yaml")
	text := "broker: {embedded: {listen: \"127.0.0.1:0\"}}\nsites:\n  hq: {folder: {path: ./hq}}\n  paris: {folder: {path: ./paris}}\n" +
		"channels:\n  public: {from: hq, to: [paris]}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, service.Done, "up", "--once", "--config", config)
	return config
}

func TestAnExpressionIsTriedOnTheLog(t *testing.T) {
	config := exported(t)
	out, _ := command(t, service.Done, "expr", "python: object.getId().endswith('.html')", "--channel", "public", "--json", "--config", config)
	var got []verdict
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	change := map[string]string{}
	for _, v := range got {
		change[v.Path] = v.Change
	}
	want := map[string]string{"index.html": "", "news": "changes", "news/a.html": "", "news/2024": "leaves", "news/2024/b.txt": "leaves"}
	if !maps.Equal(change, want) {
		t.Errorf("got %v, want %v", change, want)
	}
	out, _ = command(t, service.Done, "expr", "python: object.size > 13", "--path", "**", "--config", config)
	for _, want := range []string{"news/2024/b.txt", "the object has no size", "2 of 5 objects meet the expression, it fails for 2."} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if _, errOut := command(t, service.Usage, "expr", "nothing", "--site", "rome", "--config", config); !strings.Contains(errOut, "it has: hq") {
		t.Errorf("it says %q", errOut)
	}
}

func TestContainersComeAndGoWithWhatLiesInThem(t *testing.T) {
	config := exported(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Replace(string(text), "to: [paris]", `to: [paris], expression: "python: object.getId() == 'a.html'"`, 1)
	if err := os.WriteFile(config, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, service.Done, "up", "--once", "--config", config)
	command(t, service.Done, "verify", "--config", config)
	out, _ := command(t, service.Done, "expr", "--channel", "public", "--config", config)
	if want := "0 would enter channel public, 0 would leave it, 0 would change in it."; !strings.Contains(out, want) {
		t.Errorf("%q is not in\n%s", want, out)
	}
	out, _ = command(t, service.Done, "expr", "python: object.getId() == 'b.txt'", "--channel", "public", "--config", config)
	if want := "2 would enter channel public, 1 would leave it, 0 would change in it."; !strings.Contains(out, want) {
		t.Errorf("%q is not in\n%s", want, out)
	}
}

func TestTheExpressionOfAChannelIsShownAndTried(t *testing.T) {
	config := exported(t)
	if _, errOut := command(t, service.Usage, "expr", "--channel", "public", "--config", config); !strings.Contains(errOut, "it carries everything") {
		t.Errorf("it says %q", errOut)
	}
	if _, errOut := command(t, service.Usage, "expr", "--channel", "none", "--config", config); !strings.Contains(errOut, `no channel "none"`) {
		t.Errorf("it says %q", errOut)
	}
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Replace(string(text), "to: [paris]", `to: [paris], expression: "python: object.size > 13"`, 1)
	if err := os.WriteFile(config, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := command(t, service.Done, "expr", "--channel", "public", "--config", config)
	for _, want := range []string{"channel public: python: object.size > 13\n", "2 of 5 objects meet the expression, it fails for 2."} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// below gives the paths below a folder.
func below(t *testing.T, dir string) string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, p); rel != "." {
			paths = append(paths, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(paths, " ")
}

func TestAChannelCarriesWhatMeetsItsExpression(t *testing.T) {
	config := exported(t)
	dir := filepath.Dir(config)
	plain, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	up := func(expression, want string) {
		t.Helper()
		text := strings.Replace(string(plain), "to: [paris]", `to: [paris], expression: "`+expression+`"`, 1)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		command(t, service.Done, "up", "--once", "--config", config)
		if got := below(t, filepath.Join(dir, "paris")); got != want {
			t.Errorf("%s: paris has %q, want %q", expression, got, want)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "hq", "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	up("python: object.getId().endswith('.html')", "index.html news news/a.html")
	up("python: object.portal_type == 'file'", "index.html news news/2024 news/2024/b.txt news/a.html")
	up("python: object.getPhysicalPath()[1] == 'news'", "news news/2024 news/2024/b.txt news/a.html")
	if err := os.Rename(filepath.Join(dir, "hq", "news", "2024"), filepath.Join(dir, "hq", "old")); err != nil {
		t.Fatal(err)
	}
	up("python: object.getPhysicalPath()[1] == 'news'", "news news/a.html")
	up("default", "empty index.html news news/a.html old old/b.txt")
}

// traced gives "state detail" of each station of an object by "place name".
func traced(t *testing.T, config, path string) map[string]string {
	t.Helper()
	out, _ := command(t, service.Done, "trace", path, "--json", "--config", config)
	var stations []station
	if err := json.Unmarshal([]byte(out), &stations); err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, s := range stations {
		states[s.Place+" "+s.Name] = strings.TrimSpace(s.State + " " + s.Detail)
	}
	return states
}

func TestTraceTellsWhatAnExpressionLeavesOut(t *testing.T) {
	config := exported(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	now := strings.Replace(string(text), "to: [paris]", `to: [paris], expression: "python: object.getId().endswith('.html')"`, 1)
	if err := os.WriteFile(config, []byte(now), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, service.Done, "up", "--once", "--config", config)
	if err := os.WriteFile(filepath.Join(filepath.Dir(config), "hq/news/2024/b.txt"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, service.Done, "up", "--once", "--config", config)
	for path, want := range map[string]map[string]string{
		"index.html":      {"channel public": "newest", "site paris": "newest"},
		"news":            {"channel public": "newest only its name: it does not meet the channel's expression, something below it does", "site paris": "newest"},
		"news/2024/b.txt": {"channel public": "absent it does not meet the channel's expression", "site paris": "newest"},
	} {
		got := traced(t, config, path)
		for place, state := range want {
			if got[place] != state {
				t.Errorf("%s: %s is %q, want %q", path, place, got[place], state)
			}
		}
	}
}

func TestADiscardedFailureOfAnExpressionIsGone(t *testing.T) {
	config := exported(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	now := strings.Replace(string(text), "to: [paris]", `to: [paris], expression: "python: object.weight > 3"`, 1)
	if err := os.WriteFile(config, []byte(now), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, service.LeftOver, "up", "--once", "--config", config)
	command(t, service.Done, "discard", "--code", "bad-expression", "--reason", "known", "--yes", "--config", config)
	command(t, service.Done, "up", "--once", "--config", config)
	if out, _ := command(t, service.Done, "errors", "--json", "--config", config); strings.TrimSpace(out) != "[]" {
		t.Errorf("errors prints %s", out)
	}
}

func planOf(t *testing.T, config string) planned {
	t.Helper()
	out, _ := command(t, service.Done, "plan", "--json", "--config", config)
	var p planned
	if err := json.Unmarshal([]byte(out), &p); err != nil || len(p.Channels) == 0 || len(p.Sites) == 0 || p.Sites[0].Leaving == nil || p.Sites[0].Failing == nil {
		t.Fatalf("the plan is %s, %v", out, err)
	}
	return p
}

func TestAPlanShowsWhatAChangedConfigurationWouldDo(t *testing.T) {
	config := exported(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, now string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(strings.Replace(string(text), old, now, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	paris := filepath.Join(filepath.Dir(config), "paris")
	if p := planOf(t, config); !reflect.DeepEqual(p.Channels[0], channelPlan{Name: "public", From: "hq"}) || p.Sites[0].Enters+p.Sites[0].Moves+p.Sites[0].Leaves != 0 {
		t.Errorf("nothing has changed, and the plan is %+v", p)
	}
	change("{folder: {path: ./paris}}", `{folder: {path: ./paris}, locate: [{path: "/news/2024/**", at: skip}, {path: "/news/**", at: "/actualites"}]}`)
	p := planOf(t, config)
	if s := p.Sites[0]; s.Enters != 0 || s.Moves != 2 || s.Leaves != 2 || !slices.Equal(s.Leaving, []string{"news/2024", "news/2024/b.txt"}) {
		t.Errorf("for the rules the plan is %+v", s)
	}
	command(t, service.Done, "up", "--once", "--config", config)
	if got := below(t, paris); got != "actualites actualites/a.html index.html" {
		t.Errorf("paris has %s", got)
	}
	change("to: [paris]", `to: [paris], expression: "python: object.getId() == 'index.html'"`)
	p = planOf(t, config)
	if c := p.Channels[0]; c.Leaves != 4 || c.Enters != 0 || c.Held {
		t.Errorf("for the expression the plan is %+v", c)
	}
	if s := p.Sites[0]; s.Leaves != 2 || s.Enters != 0 {
		t.Errorf("for the expression the plan of the site is %+v", s)
	}
}

func TestAPlanSaysWhatWouldFailAndWhy(t *testing.T) {
	config := exported(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	rules := "paris: {folder: {path: ./paris}, locate: [{type: file, at: \"/flat/{type}\"}, {path: /news/2024, at: \"plugin:names\"}], plugins: [{id: names}]}"
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), "paris: {folder: {path: ./paris}}", rules, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := planOf(t, config).Sites[0]; s.Fails != 3 || len(s.Failing) != 3 {
		t.Errorf("the plan is %+v", s)
	}
	out, _ := command(t, service.Done, "plan", "--config", config)
	for _, want := range []string{`it belongs at "flat/file", where "`, `" of hq belongs too`, "news/2024 would fail on paris: plugin names", "nobody answers"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestAPlanOfACircleKnowsWhatWasMadeOnASite(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "x.html"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "synchro.yaml")
	text := "broker: {embedded: {listen: \"127.0.0.1:0\"}}\nsites:\n  a: {folder: {path: ./a}}\n  b: {folder: {path: ./b}}\nchannels:\n" +
		"  there: {from: a, to: [b], expression: \"python: object.getId().endswith('.html')\"}\n  back: {from: b, to: [a]}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, service.Done, "up", "--once", "--config", config)
	if err := os.Rename(filepath.Join(dir, "b", "x.html"), filepath.Join(dir, "b", "x.txt")); err != nil {
		t.Fatal(err)
	}
	command(t, service.Done, "up", "--once", "--config", config)
	if got := below(t, filepath.Join(dir, "a")); got != "x.txt" {
		t.Fatalf("a has %q", got)
	}
	for _, s := range planOf(t, config).Sites {
		if s.Enters+s.Moves+s.Leaves+s.Fails != 0 {
			t.Errorf("nothing is to be done, and the plan is %+v", s)
		}
	}
}

func TestAnAcceptedPlanMayRemoveMoreThanTheGuardAllows(t *testing.T) {
	config := exported(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	now := strings.NewReplacer("{folder: {path: ./hq}}", "{folder: {path: ./hq}, max_removals: 1}",
		"to: [paris]", `to: [paris], expression: "python: object.getId() == 'index.html'"`).Replace(string(text))
	if err := os.WriteFile(config, []byte(now), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := planOf(t, config); !p.Channels[0].Held {
		t.Errorf("the plan is %+v", p)
	}
	if out, _ := command(t, service.Done, "plan", "--config", config); !strings.Contains(out, "held: more than") || !strings.Contains(out, "news/a.html would leave paris") {
		t.Errorf("it prints %s", out)
	}
	command(t, service.LeftOver, "up", "--once", "--config", config)
	command(t, service.Done, "up", "--once", "--accept-plan", "--config", config)
	if got := below(t, filepath.Join(filepath.Dir(config), "paris")); got != "index.html" {
		t.Errorf("paris has %s", got)
	}
}
