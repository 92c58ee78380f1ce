package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/fault"
)

const good = `
broker: {embedded: {dir: ./broker}}
sites:
  hq: {folder: {path: ./hq, rescan: 5s}}
  paris: {folder: {path: "${PARIS}"}, workers: 16}
channels:
  public: {from: hq, to: [paris]}
tombstones: 7d
`

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "synchro.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoad(t *testing.T) {
	t.Setenv("PARIS", "./paris")
	file := write(t, good)
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	hq, paris := c.Sites["hq"], c.Sites["paris"]
	if hq.Folder.Path != dir+"/hq" || paris.Folder.Path != dir+"/paris" || c.Broker.Embedded.Dir != dir+"/broker" {
		t.Errorf("paths are not those of the file's folder: %q, %q, %q", hq.Folder.Path, paris.Folder.Path, c.Broker.Embedded.Dir)
	}
	if time.Duration(hq.Folder.Rescan) != 5*time.Second || time.Duration(paris.Folder.Rescan) != DefaultRescan {
		t.Errorf("rescan is %v and %v", hq.Folder.Rescan, paris.Folder.Rescan)
	}
	if paris.Workers != 16 || hq.Workers != DefaultWorkers || time.Duration(c.Tombstones) != 7*24*time.Hour {
		t.Errorf("workers %d, %d, tombstones %v", paris.Workers, hq.Workers, c.Tombstones)
	}
	if c.Broker.Embedded.Listen != DefaultListen || len(c.ChannelsTo("paris")) != 1 || len(c.ChannelsFrom("paris")) != 0 {
		t.Error("defaults or channels are wrong")
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	base := func(sites, channels string) string {
		return "broker: {embedded: {dir: ./broker}}\nsites:\n" + sites + "\nchannels:\n" + channels
	}
	two := "  a: {folder: {path: ./a}}\n  b: {folder: {path: ./b}}"
	cases := map[string]struct {
		text string
		want []string
	}{
		"unknown keys, all of them": {
			base("  a: {folder: {pth: ./a, path: ./a}}\n  b: {fodler: {path: ./b}}", "  c: {from: a, to: [b]}"),
			[]string{":3: sites.a.folder.pth: is not a known key", ":4: sites.b.fodler: is not a known key"},
		},
		"two sites, one folder":           {base("  a: {folder: {path: ./a}}\n  b: {folder: {path: ./x/../a}}", "  c: {from: a, to: [b]}"), []string{"sites.b.folder.path: is the folder of site a too"}},
		"a receiver inside the source":    {base("  a: {folder: {path: ./a}}\n  b: {folder: {path: ./a/b}}", "  c: {from: a, to: [b]}"), []string{"sites.b.folder.path: lies inside the folder of site a"}},
		"an export for a folder":          {base("  a: {folder: {path: ./a}, accept: [zexp, fss]}", "  {}"), []string{`sites.a.accept: names "zexp"; this site can take content, fss, delete`}},
		"content for a queue":             {base("  a: {queue: {path: ./a}, accept: [content]}", "  {}"), []string{`sites.a.accept: names "content"; this site can take zexp, fss, delete`}},
		"a mirror inside a site":          {base("  a: {folder: {path: ./a}, mirror: ./a/m}", "  {}"), []string{"sites.a.mirror: lies inside the folder of site a"}},
		"a mirror that is a queue":        {base("  a: {folder: {path: ./a}, mirror: ./q}\n  b: {queue: {path: ./q}}", "  {}"), []string{"sites.b.queue.path: is the folder of the mirror of site a too"}},
		"two sites, one mirror":           {base("  a: {folder: {path: ./a}, mirror: ./m}\n  b: {folder: {path: ./b}, mirror: ./m}", "  {}"), []string{"sites.b.mirror: is the folder of the mirror of site a too"}},
		"a mirror of a queue":             {base("  b: {queue: {path: ./q}, mirror: ./m}", "  {}"), []string{"sites.b.mirror: has no meaning here"}},
		"the broker inside a site":        {base("  a: {folder: {path: .}}", "  {}"), []string{"broker.embedded.dir: lies inside the folder of site a"}},
		"an unknown site":                 {base(two, "  c: {from: a, to: [b, paris]}"), []string{`:6: channels.c.to: names the unknown site "paris"; known: a, b`}},
		"a channel to itself":             {base(two, "  c: {from: a, to: [a, b, b]}"), []string{"names a, which the channel comes from", "names b twice"}},
		"a wrong expression":              {base(two, "  c:\n    from: a\n    to: [b]\n    expression: \"python: object.Title == 'x'\""), []string{":9: channels.c.expression: line 1, column 16: Title is a method; write object.Title()"}},
		"two channels and an expression":  {base(two, "  c: {from: a, to: [b]}\n  d: {from: a, to: [b], expression: nothing}"), []string{":7: channels.d.to: b has objects of a by channel c already"}},
		"two sources at one path":         {base(two+"\n  c: {folder: {path: ./c}}", "  d: {from: a, to: [c]}\n  e: {from: b, to: [c]}"), []string{":5: sites.c: a and b can both write / here; keep them apart with locate"}},
		"a plugin without an id":          {base("  a: {folder: {path: ./a}, plugins: [{priority: 1}]}", "  {}"), []string{":3: sites.a.plugins[0].id: is \"\", want 1 to 32 of a-z, 0-9 and -"}},
		"a plugin that is built in":       {base("  a: {folder: {path: ./a}, plugins: [{id: zexp}]}", "  {}"), []string{"sites.a.plugins[0].id: names zexp, which is built in"}},
		"a plugin twice":                  {base("  a: {folder: {path: ./a}, plugins: [{id: x}, {id: x}]}", "  {}"), []string{"sites.a.plugins[1].id: names x, which the site has already"}},
		"a plugin with unknown words":     {base("  a: {folder: {path: ./a}, plugins: [{id: x, sides: [out], events: [moved], format: xml, priority: 2000}]}", "  {}"), []string{"plugins[0].sides: names \"out\"; known here: export, import, locate", "plugins[0].events: names \"moved\"; known here: modified, removed", "plugins[0].format: names \"xml\"; known here: msgpack, json", "plugins[0].priority: is 2000, want 1 to 1000"}},
		"a plugin without time":           {base("  a: {folder: {path: ./a}, plugins: [{id: x, timeout: 2h}]}", "  {}"), []string{"plugins[0].timeout: is 2h0m0s, want 1ms to 1h"}},
		"a queue's plugin for exports":    {base("  a: {queue: {path: ./a}, plugins: [{id: x, sides: [export]}]}", "  {}"), []string{"plugins[0].sides: names \"export\"; known here: import, locate"}},
		"a rule that asks nobody":         {base("  a: {folder: {path: ./a}, locate: [{at: \"plugin:x\"}], plugins: [{id: x, sides: [import]}]}", "  {}"), []string{"sites.a.locate[0].at: asks the plugin \"x\", which sites.a.plugins does not name"}},
		"rules that hold for nothing":     {base(two+"\n  c:\n    folder: {path: ./c}\n    locate:\n      - {source: a, at: /a}\n      - {source: x, at: skip}\n      - {plugin: y, at: skip}\n      - {at: z}", "  d: {from: a, to: [c]}"), []string{":9: sites.c.locate[1].source: names \"x\", from which no channel leads to c; known here: a", ":10: sites.c.locate[2].plugin: names \"y\"", ":11: sites.c.locate[3]: at is"}},
		"wrong rules":                     {base("  a: {folder: {path: ./a}, locate: [{at: skip}, {at: here}]}", "  {}"), []string{":3: sites.a.locate[1]: at is \"here\"; write a path that begins with /, skip, or plugin:ID"}},
		"a circle of other sites":         {base("  a: {folder: {path: ./a}, drift: repair}\n  b: {folder: {path: ./b}, locate: [{at: skip}]}\n  c: {queue: {path: ./c}}", "  d: {from: a, to: [b]}\n  e: {from: b, to: [c]}\n  f: {from: c, to: [a]}"), []string{":3: sites.a.drift: cannot be repair on a circle of channels (a, b, c)", ":4: sites.b.locate: cannot be on a circle", ":5: sites.c: lies on a circle of channels (a, b, c); in this version only folders of files can: what a classic site has imported it exports again"}},
		"a circle by two ways":            {base(two+"\n  c: {folder: {path: ./c}, locate: [{source: a, at: /a}, {source: b, at: /b}]}", "  d: {from: a, to: [b, c]}\n  e: {from: b, to: [a]}\n  f: {from: b, to: [c]}"), []string{":9: channels.f.to: a and b lie on one circle of channels (a, b) and have the same objects; let c have them from one of them"}},
		"a circle and others":             {base(two+"\n  c: {folder: {path: ./c}}", "  d: {from: a, to: [b, c]}\n  e: {from: b, to: [a], expression: nothing}"), []string{":7: channels.d.to: has sites that lie on a circle of channels (a, b) and others, and channel e of the circle has an expression"}},
		"wrong parents":                   {base(two, "  c: {from: a, to: [b], parents: all}"), []string{`:6: channels.c.parents: is "all", want bare or require`}},
		"a key that is none":              {base("  a: {folder: {path: ./a}, signed_by: [SUAK]}\n  b: {folder: {path: ./b}}", "  c: {from: a, to: [b], signed_by: [x]}"), []string{":3: sites.a.signed_by: \"SUAK\" is no public key", ":6: channels.c.signed_by: \"x\" is no public key"}},
		"a key among the content":         {base("  a: {folder: {path: ./a}, sign: ./a/key.nk}", "  {}"), []string{":3: sites.a.sign: lies inside the folder of site a, where it would be sent to others"}},
		"a relay that cannot be believed": {base("  a: {folder: {path: ./a}, signed_by: [UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4]}\n  b: {folder: {path: ./b}}", "  c: {from: a, to: [b], expression: nothing}"), []string{":6: channels.c.signed_by: is missing: sites.a has signed_by, and because of the expression the relay makes changes of its own"}},
		"a bad name":                      {base("  Paris: {folder: {path: ./a}}", "  {}"), []string{":3: sites.Paris: is not a usable name"}},
		"objects into a folder of files":  {base("  a: {folder: {path: ./a, form: objects}}\n  b: {folder: {path: ./b}}", "  c: {from: a, to: [b]}"), []string{":6: channels.c.to: names b, a folder of files, and a has objects with fields; write `form: objects` into sites.b.folder"}},
		"an export that is to receive":    {base("  a: {folder: {path: ./a}}\n  b: {seed: {path: ./b}}", "  c: {from: a, to: [b]}"), []string{"channels.c.to: names b, an export, which can only be a source"}},
		"an export of nothing":            {base("  b: {seed: {}}", "  {}"), []string{"sites.b.seed.path: is missing"}},
		"a wrong form":                    {base("  a: {folder: {path: ./a, form: pages}}", "  {}"), []string{`sites.a.folder.form: is "pages", want files or objects`}},
		"no driver":                       {base("  a: {}", "  {}"), []string{"sites.a: has no driver"}},
		"wrong types":                     {base("  a: {folder: {path: ./a, settle: soon}, workers: many}", "  {}"), []string{":3: ", "a duration such as", "a whole number"}},
		"out of range":                    {base("  a: {folder: {path: ./a}, workers: 257, window: -1}", "  {}"), []string{"sites.a.workers: is 257", "sites.a.window: is -1"}},
		"no broker":                       {"sites: {a: {folder: {path: ./a}}}", []string{"broker: is missing"}},
		"two brokers":                     {"broker: {embedded: {}, url: nats://x}\nsites: {a: {folder: {path: ./a}}}", []string{":1: broker: has both"}},
		"a variable that is not set":      {base("  a: {folder: {path: \"${NOT_SET_ANYWHERE}\"}}", "  {}"), []string{":3: sites.a.folder.path: the environment has no variable NOT_SET_ANYWHERE"}},
		"no yaml":                         {"sites: [", []string{"line 1"}},
		"nothing at all":                  {"", []string{"broker: is missing", "sites: is empty"}},
		"a listen address without a port": {"broker: {embedded: {listen: localhost}}\nsites: {a: {folder: {path: ./a}}}", []string{":1: broker.embedded.listen: \"localhost\" is not an address"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, c.text))
			if err == nil {
				t.Fatal("no error")
			}
			if f := fault.Of(err); f.Class != fault.Stop || f.Code != fault.Misconfigured {
				t.Errorf("class %s, code %s", f.Class, f.Code)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
		})
	}
}

func TestAnExpressionKeepsItsOwnVariables(t *testing.T) {
	c, err := Load(write(t, "broker: {embedded: {}}\nsites: {a: {folder: {path: ./a}}, b: {folder: {path: ./b}}}\n"+
		"channels: {c: {from: a, to: [b], expression: 'string:${default}'}}"))
	if err != nil || c.Channels["c"].Expression != "string:${default}" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRulesThatKeepSourcesApartLetOneSiteReceiveBoth(t *testing.T) {
	_, err := Load(write(t, `
broker: {embedded: {dir: ./broker}}
sites:
  a: {folder: {path: ./a}}
  b: {folder: {path: ./b}}
  c: {folder: {path: ./c}, locate: [{source: a, at: /a}, {source: b, path: /x/**, at: "/b/{name}"}, {source: b, at: skip}]}
channels:
  d: {from: a, to: [c]}
  e: {from: b, to: [c]}
`))
	if err != nil {
		t.Error(err)
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "synchro init") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("sites: {a: &x {folder: *x}}"))
	f.Fuzz(func(_ *testing.T, data []byte) { parse("f.yaml", data) })
}
