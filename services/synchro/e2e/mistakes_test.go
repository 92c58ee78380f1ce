//go:build unix

package e2e

import (
	"net"
	"os"
	"strings"
	"testing"
)

// small fills the source with a little content.
func (w *world) small() {
	w.t.Helper()
	w.write(source+"/index.html", "<h1>Hello</h1>\n")
	w.write(source+"/news/first.html", "<p>first</p>\n")
	w.write(source+"/news/second.html", "<p>second</p>\n")
}

// refuses runs a command that must end with a status and name what is wrong.
func (w *world) refuses(status int, args []string, words ...string) {
	w.t.Helper()
	r := w.synchro(args...)
	if r.status != status {
		w.t.Errorf("synchro %v ends with status %d, want %d:\n%s", args, r.status, status, tail(r.stderr, 15))
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			w.t.Errorf("synchro %v does not say %q:\n%s", args, word, tail(r.stderr, 15))
		}
	}
}

var upOnce = []string{"up", "--once"}

func TestAWrongConfigurationIsRefusedBeforeAnythingHappens(t *testing.T) {
	const hq, paris = "path: ./hq}", "path: ./paris,"
	cases := map[string]struct {
		change []string
		words  []string
	}{
		"unknown keys":                   {[]string{hq, "path: ./hq, colour: red}", "channels:", "chanels: {}\nchannels:"}, []string{"sites.hq.folder.colour", "chanels", "synchro.yaml:"}},
		"missing source folder":          {[]string{hq, "path: ./nowhere}"}, []string{"sites.hq.folder.path", "nowhere", "is not there"}},
		"missing receiving folder":       {[]string{paris, "path: ./nowhere,"}, []string{"sites.paris.folder.path", "nowhere", "is not there"}},
		"two sites with one folder":      {[]string{paris, "path: ./lyon,"}, []string{"sites.paris.folder.path", "lyon"}},
		"a receiver inside the source":   {[]string{paris, "path: ./hq/news,"}, []string{"sites.paris.folder.path", "lies inside"}},
		"a channel to an unknown site":   {[]string{"[paris, lyon]", "[paris, tokyo]"}, []string{"channels.public.to", "tokyo"}},
		"a channel from an unknown site": {[]string{"from: hq", "from: berlin"}, []string{"channels.public.from", "berlin"}},
	}
	for _, name := range sortedKeys(cases) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "paris", "lyon")
			w.small()
			w.configure(cases[name].change...)
			before := w.look(source, true)
			w.refuses(2, upOnce, cases[name].words...)
			w.refuses(2, []string{"up"}, cases[name].words...)
			if d := differences(before, w.look(source, true)); d != "" {
				t.Errorf("the source is changed: %s", d)
			}
			if seen := w.look("lyon", false); len(seen) > 0 {
				t.Errorf("lyon got %v", sortedKeys(seen))
			}
		})
	}
}

func TestABusyPortIsNamed(t *testing.T) {
	w := newWorld(t, "paris")
	w.small()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", w.listen)
	must(t, err)
	w.refuses(2, upOnce, w.listen, "broker.embedded.listen")
	w.refuses(2, []string{"broker"}, w.listen, "broker.embedded.listen")
	must(t, l.Close())
	w.once()
	w.equal("paris")
}

func TestTheStoreOfARunningBrokerIsLeftToIt(t *testing.T) {
	w := newWorld(t, "paris")
	w.small()
	p := w.start(synchro, "up")
	w.becomesEqual("paris")
	text := w.read("synchro.yaml")
	w.configure(w.listen, freeAddress(t))
	w.refuses(2, upOnce, w.path("broker"), "belongs to")
	w.write("synchro.yaml", text)
	w.write(source+"/news/third.html", "<p>third</p>\n")
	w.becomesEqual("paris")
	p.stop()
}

func TestWrongUsageIsStatusTwo(t *testing.T) {
	w := newWorld(t, "paris")
	for _, args := range [][]string{
		{"nonsense"},
		{"up", "--nonsense"},
		{"up", "nonsense"},
		{"importer"},
		{"errors", "--path", "["},
		{"replay", "--older-than", "soon"},
	} {
		w.refuses(2, args, "synchro")
	}
	w.start(synchro, "broker")
	w.listens()
	w.refuses(2, []string{"importer", "--site", "tokyo"}, "tokyo")
	w.refuses(2, []string{"exporter", "--site", "paris"}, "paris")
}

func TestAServiceWithoutABrokerSaysSo(t *testing.T) {
	w := newWorld(t, "paris")
	w.refuses(1, []string{"importer", "--site", "paris"}, w.listen)
}

func TestAFolderThatDisappearsPausesItsSiteOnly(t *testing.T) {
	w := newWorld(t, "paris", "lyon")
	w.small()
	w.start(synchro, "up")
	w.becomesEqual("paris", "lyon")

	w.rename("paris", "elsewhere")
	w.write(source+"/news/third.html", "<p>third</p>\n")
	if reason := w.becomes("paris", "paused"); !strings.Contains(reason, w.path("paris")) {
		t.Errorf("the reason does not name the folder: %s", reason)
	}
	w.becomesEqual("lyon")
	w.rename("elsewhere", "paris")
	w.becomesEqual("paris", "lyon")

	before := w.look("lyon", true)
	w.rename(source, "elsewhere")
	if reason := w.becomes(source, "paused"); !strings.Contains(reason, w.path(source)) {
		t.Errorf("the reason does not name the folder: %s", reason)
	}
	if d := differences(before, w.look("lyon", true)); d != "" {
		t.Errorf("a source that is away is taken for an empty one: %s", d)
	}
	w.rename("elsewhere", source)
	w.write(source+"/news/fourth.html", "<p>fourth</p>\n")
	w.becomesEqual("paris", "lyon")
}

func TestAFileThatMayNotBeReadIsReportedAndTheOthersGoOn(t *testing.T) {
	w := newWorld(t, "paris")
	w.small()
	w.asNobody()
	secret := w.path(source, "news/second.html")
	must(t, os.Chmod(secret, 0))
	w.refuses(3, upOnce, "news/second.html", "permission")
	if f := w.failures(); len(f) != 1 || f[0].Path != "news/second.html" || f[0].Site != source {
		t.Errorf("errors lists %+v", f)
	}
	want := w.look(source, false)
	delete(want, "news/second.html")
	if d := differences(want, w.look("paris", false)); d != "" {
		t.Errorf("the others: %s", d)
	}
	must(t, os.Chmod(secret, 0o644))
	w.once()
	w.equal("paris")
	if left := w.failures(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

func TestAFolderThatMayNotBeWrittenGoesToErrorsAndIsReplayed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make a folder that belongs to somebody else")
	}
	w := newWorld(t, "paris", "lyon")
	w.small()
	w.asNobody()
	w.once()
	must(t, os.Chown(w.path("paris", "news"), 0, 0))
	w.write(source+"/news/first.html", "<p>changed</p>\n")
	w.write(source+"/index.html", "<h1>changed</h1>\n")
	w.chownAll(source)

	w.refuses(3, upOnce, "ERROR")
	w.equal("lyon")
	if w.read("paris/index.html") != w.read(source+"/index.html") {
		t.Error("a file beside it is held back")
	}
	failures := w.failures()
	if len(failures) == 0 {
		t.Fatal("`errors` lists nothing")
	}
	for _, f := range failures {
		if f.Code != "permission" || f.Site != "paris" {
			t.Errorf("got %+v", f)
		}
	}
	must(t, os.Chown(w.path("paris", "news"), nobody, nobody))
	w.succeeds("replay")
	w.once()
	w.equal("paris", "lyon")
	if left := w.failures(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

const nobody = 65534

// asNobody lets the processes run without root's rights, where the tests have them.
func (w *world) asNobody() {
	w.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	w.account = nobodyAccount()
	must(w.t, os.Chmod(w.path(".."), 0o755)) // the test's own, for it alone until now
	w.chownAll("")
}

func (w *world) chownAll(below string) {
	w.t.Helper()
	must(w.t, os.Chown(w.path(below), nobody, nobody))
	for p := range w.look(below, false) {
		must(w.t, os.Lchown(w.path(below, p), nobody, nobody))
	}
}
