//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// environment is made once, beside the programs.
var environment = sync.OnceValues(func() (interpreter, missing string) {
	if err := exec.CommandContext(context.Background(), "python3", "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))").Run(); err != nil {
		return "", "there is no Python 3.9 with venv"
	}
	dir := filepath.Join(programs, "venv")
	if out, err := exec.CommandContext(context.Background(), "python3", "-m", "venv", dir).CombinedOutput(); err != nil {
		return "", fmt.Sprintf("python3 -m venv: %v: %s", err, tail(string(out), 1))
	}
	pip := exec.CommandContext(context.Background(), filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "-r", "../../../examples/plugins/python/requirements.txt")
	if out, err := pip.CombinedOutput(); err != nil {
		return "", "nats-py cannot be installed: " + tail(string(out), 1)
	}
	return filepath.Join(dir, "bin", "python"), ""
})

// python gives a Python with the real client of NATS.
func python(t *testing.T) string {
	t.Helper()
	interpreter, missing := environment()
	if missing != "" {
		t.Skip(missing)
	}
	return interpreter
}

func pythonPlugins(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../examples/plugins/python")
	must(t, err)
	return dir
}

// withPlugins has paris use both examples, and lyon none.
func withPlugins(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "paris", "lyon")
	w.configure("./paris.writes}}", `./paris.writes},
          plugins: [{id: image-names, sides: [import, locate], types: [file], format: json}, {id: journal, sides: [import], priority: 200, format: json}],
          locate: [{type: file, at: "plugin:image-names"}]}`)
	return w
}

// plugin starts one of the examples, and waits until it answers.
func (w *world) plugin(python, name string, args ...string) *process {
	w.t.Helper()
	p := w.program(python, filepath.Join(pythonPlugins(w.t), name+".py"), args...)
	w.answers(p, name)
	return p
}

// program starts a plugin's program, which finds the module of the examples.
func (w *world) program(python, file string, args ...string) *process {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), python, append([]string{file, "--server", "nats://" + w.listen}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+pythonPlugins(w.t), "PYTHONDONTWRITEBYTECODE=1")
	return w.startWith(cmd, filepath.Base(file))
}

func (w *world) answers(p *process, name string) {
	w.t.Helper()
	w.eventually(name+" answers", func() string {
		if !strings.Contains(p.output(), "answers") {
			return "it does not yet"
		}
		return ""
	})
}

// pageWith shows an image by its name.
func pageWith(image string, more int) string {
	return fmt.Sprintf("<p><img alt='x' src=\"../pics/%s\"> <img src='http://other/A B.JPEG'></p>%s", image, strings.Repeat("<p>more</p>\n", more))
}

func TestAPythonPluginNamesImagesOnOneSite(t *testing.T) {
	long(t)
	interpreter := python(t)
	w := withPlugins(t)
	w.start(synchro, "up")
	w.plugin(interpreter, "image_names")
	w.plugin(interpreter, "journal", "--file", w.path("journal.jsonl"))
	w.write("hq/pics/Holiday 1.JPEG", "jpeg")
	w.write("hq/pages/a.html", pageWith("Holiday%201.JPEG", 0))
	w.write("hq/pages/large.html", pageWith("Holiday%201.JPEG", 100_000)) // which goes through the blob store
	w.becomesEqual("lyon")
	w.eventually("paris has the names", func() string { return w.unsettled("paris") })
	for name, want := range map[string]string{
		"pics/holiday-1.jpg": "jpeg", "pages/a.html": pageWith("holiday-1.jpg", 0), "pages/large.html": pageWith("holiday-1.jpg", 100_000),
	} {
		if got := w.read("paris/" + name); got != want {
			t.Errorf("paris has %d bytes in %s, want %d: %.200s", len(got), name, len(want), got)
		}
	}
	w.succeeds("verify") // what the plugin made is what should be there
	w.rename("hq/pics/Holiday 1.JPEG", "hq/pics/Other.png")
	w.becomesEqual("lyon")
	w.eventually("paris follows", func() string {
		if _, err := os.Stat(w.path("paris/pics/other.png")); err != nil {
			return err.Error()
		}
		if _, err := os.Stat(w.path("paris/pics/holiday-1.jpg")); err == nil {
			return "the image is there twice"
		}
		return w.unsettled("paris")
	})
}

func TestThePythonPluginOfThePageKeepsSecretsAtHome(t *testing.T) {
	long(t)
	interpreter := python(t)
	text, err := os.ReadFile("../../../docs/plugins.md")
	must(t, err)
	_, example, ok := strings.Cut(string(text), "```python\n")
	if !ok {
		t.Fatal("docs/plugins.md has no Python")
	}
	example, _, _ = strings.Cut(example, "```")
	w := newWorld(t, "paris")
	w.configure("hq}, max_removals", "hq}, plugins: [{id: keep-home, sides: [export], format: json}], max_removals")
	w.write("keep_home.py", example)
	p := w.program(interpreter, w.path("keep_home.py")) // it waits for the broker
	w.write("hq/memo", "this is confidential")
	w.write("hq/news", "this is not")
	w.start(synchro, "up")
	w.answers(p, "keep-home")
	w.eventually("the news arrive", func() string {
		if _, err := os.Stat(w.path("paris/news")); err != nil {
			return err.Error()
		}
		if n := w.status()[source].Errors; n == nil || *n != 1 {
			return "nothing is listed"
		}
		return ""
	})
	if _, err := os.Stat(w.path("paris/memo")); err == nil {
		t.Error("the secret has left")
	}
	if e := w.succeeds("errors", "--json").stdout; !strings.Contains(e, `"plugin-refused"`) || !strings.Contains(e, "it says that it is confidential") {
		t.Errorf("errors prints %s", e)
	}
}

// journal gives the paths that were told, and fails for a line that is none.
func (w *world) journal() map[string]int {
	w.t.Helper()
	paths := map[string]int{}
	for line := range strings.Lines(w.read("journal.jsonl")) {
		var told struct{ Operation, UID, Version, To string }
		if !strings.HasSuffix(line, "\n") {
			continue // the program was killed while it wrote; it writes that again
		}
		must(w.t, json.Unmarshal([]byte(line), &told))
		if told.UID == "" || len(told.Version) != 16 {
			w.t.Errorf("the journal has the line %s", line)
		}
		paths[told.To]++
	}
	return paths
}

func TestAPythonPluginThatIsKilledLosesNothing(t *testing.T) {
	long(t)
	interpreter := python(t)
	w := withPlugins(t)
	w.start(synchro, "up")
	w.plugin(interpreter, "image_names")
	journal := w.plugin(interpreter, "journal", "--file", w.path("journal.jsonl"))
	const files = 600
	write := func(from, to int) {
		for i := from; i < to; i++ {
			w.write(fmt.Sprintf("hq/d%d/f%d", i%7, i), fmt.Sprint("content ", i))
		}
	}
	write(0, files/2)
	w.eventually("the journal has begun", func() string {
		if len(w.journal()) < 20 {
			return fmt.Sprint(len(w.journal()), " lines")
		}
		return ""
	})
	journal.kill()
	write(files/2, files)
	reason := w.becomes("paris", "paused")
	if !strings.Contains(reason, "plugin journal") {
		t.Errorf("paris is paused because %q", reason)
	}
	w.eventually("status says that it is down", func() string { return w.pluginState("paris", "journal", "down") })
	if state := w.pluginState("paris", "image-names", "up"); state != "" {
		t.Errorf("the other plugin: %s", state)
	}
	if out := w.succeeds("status").stdout; !strings.Contains(out, "plugin journal of paris: ") {
		t.Errorf("status prints\n%s", out)
	}
	if r := w.synchro("check", "--site", "paris"); r.status != 1 || !strings.Contains(r.stdout, "synchro-plugin-journal") {
		t.Errorf("check ends with %d and prints\n%s", r.status, r.stdout)
	}
	w.becomesEqual("lyon") // whom it does not concern
	if e := w.succeeds("errors", "--json").stdout; strings.TrimSpace(e) != "[]" {
		t.Errorf("a plugin that is down sets something aside: %s", e)
	}
	t.Logf("killed after %d of %d files", len(w.journal()), files)
	w.plugin(interpreter, "journal", "--file", w.path("journal.jsonl"))
	w.becomesEqual("paris")
	w.eventually("status says that it is up", func() string { return w.pluginState("paris", "journal", "up") })
	told, twice := w.journal(), 0
	for i := range files {
		path := fmt.Sprintf("d%d/f%d", i%7, i)
		if told[path] == 0 {
			t.Errorf("the journal lacks %s", path)
		}
		twice += max(told[path]-1, 0)
	}
	t.Logf("%d lines came twice", twice)
}

// pluginState says how a plugin is, unless it is as it should be.
func (w *world) pluginState(site, id, want string) string {
	w.t.Helper()
	for _, p := range w.status()[site].Plugins {
		if p.ID == id && p.State == want && (want == "up") == (p.Reason == "") {
			return ""
		}
	}
	return fmt.Sprintf("%+v", w.status()[site].Plugins)
}
