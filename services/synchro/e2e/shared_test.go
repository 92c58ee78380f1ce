//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"synchro.example/services/bridge/classictest"
	"synchro.example/services/bridge/queue"
	"synchro.example/services/bridge/zs"
)

// TestQueueIsSharedWithARunningClassicSender lets the original's sender, as cron would, take
// from the queue that a bridge takes from, while the original exports into it. Each file then
// goes the one way or the other, and some go both. Where the newest file of an object came
// through the bridge its site must be as that file says; what went the other way must lie
// there as it was.
func TestQueueIsSharedWithARunningClassicSender(t *testing.T) {
	long(t)
	original := classictest.New(t)
	server := startSSHServer(t)
	w := newClassicWorld(t)
	must(t, queue.Create(w.path("aside")))
	w.configure("./one, rescan: 50ms", "./one, rescan: 1s") // so that the original gets its share
	w.start("synchro", "up")
	exported := make(chan struct{})
	go func() {
		defer close(exported)
		for range exports { // the same changes again and again
			original.Queue(t, "export", w.path("one"), fmt.Sprint(classicChanges/exports), w.path("export.zexp"))
		}
	}()
	sent := &classicSender{w: w, original: original, server: server}
	for done := false; !done; {
		select {
		case <-exported:
			done = true
		default:
		}
		sent.run()
		w.alive()
	}
	var have map[string]values
	w.eventually("all files have gone", func() string {
		if left := w.queued("one/EXPORT"); left["TO_PROCESS"] != strays-1+exports || left["PROCESSING"] > 0 {
			return fmt.Sprint(left)
		}
		have = nil
		must(t, json.Unmarshal(original.Queue(t, "import", w.path("two"), w.path("site.json")), &have))
		if left, site := w.queued("two/IMPORT"), w.status()["two"]; left["TO_PROCESS"] > 0 || site.Pending == nil || *site.Pending > 0 {
			return fmt.Sprint("the importer has still ", left)
		}
		return w.unlike(have)
	})
	aside := len(w.names("aside/IMPORT/TO_PROCESS"))
	figure(t, "a queue with two senders", "%d files, of which the original sent %d, in %d runs, %d of which the bridge made fail", classicChanges, aside, sent.runs, sent.failed)
	if aside == 0 || len(have) == 0 {
		t.Errorf("one of both has sent nothing: %d files aside, %d objects through the bridge", aside, len(have))
	}
	if left := w.queued("two/IMPORT"); left["TO_PROCESS"] != 0 || left["PROCESSING"] != 0 || left["ERROR"] != 0 {
		t.Errorf("the queue of the importer has %v", left)
	}
}

// exports is how often an exporter comes, while its queue is shared.
const exports = 4

// classicSender is the original's synchronize_queue, run again and again, with the person
// that it needs when it has failed.
type classicSender struct {
	w            *world
	original     *classictest.Peer
	server       *sshServer
	runs, failed int
}

func (s *classicSender) run() {
	t := s.w.t
	t.Helper()
	cmd := s.original.Sync(t, "-s", s.w.path("one"), "-d", s.w.path("aside"), "-u", s.server.user, "-H", "classic-peer", "-l", s.w.dir, "-V", s.w.dir)
	cmd.Env = append(s.server.env(), "TMPDIR="+s.w.dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	s.runs++
	if _, exited := err.(*exec.ExitError); err != nil && !exited { //nolint:errorlint // it comes from Run itself
		t.Fatal(err)
	}
	locked, globErr := filepath.Glob(s.w.path("one/EXPORT/PROCESSING/*.lock"))
	must(t, globErr)
	if err == nil && len(locked) == 0 {
		return
	}
	s.failed++
	t.Logf("a run of the original has ended with %v and left %d files: %s", err, len(locked), tail(said.String(), 1))
	_ = os.Remove(s.w.path("batch"))
	for _, file := range locked {
		name := strings.TrimSuffix(filepath.Base(file), ".lock")
		must(t, os.Rename(file, s.w.path("one/EXPORT/TO_PROCESS", name)))
	}
}

// unlike says where the site behind the bridge is not as the newest files say that came to it.
// A deletion that the bridge has refused, since it never had the object, is listed as failed;
// the object may come later, from an older file that the original has left.
func (w *world) unlike(have map[string]values) string {
	w.t.Helper()
	aside := w.names("aside/IMPORT/TO_PROCESS")
	newest := map[string]string{} // name by path
	said := map[string]values{}   // by name
	refused := w.names("one/EXPORT/ERROR")
	for _, state := range []string{"DONE", "ERROR"} {
		for _, name := range w.names("one/EXPORT/" + state) {
			at, v := w.says(filepath.Join("one/EXPORT", state, name))
			if state == "ERROR" && v != nil {
				return name + " is refused, which is no deletion"
			}
			if old, ok := newest[at]; !ok || older(w.t, old, name) {
				newest[at] = name
			}
			said[name] = v
		}
	}
	if len(newest) < 100 {
		return fmt.Sprintf("there were %d objects only", len(newest))
	}
	for at, name := range newest {
		switch {
		case slices.Contains(refused, name):
		case slices.Contains(aside, name):
			if !bytes.Equal(w.bytes("aside/IMPORT/TO_PROCESS/"+name), w.bytes("one/EXPORT/DONE/"+name)) {
				return name + " is another one aside"
			}
		case !reflect.DeepEqual(have[at], said[name]):
			return fmt.Sprintf("%s has %d values, not those of %s", at, len(have[at]), name)
		}
	}
	return ""
}

// older tells whether the first of two files was made before the second.
func older(t testing.TB, a, b string) bool {
	t.Helper()
	x, err := queue.ParseName(a)
	must(t, err)
	y, err := queue.ParseName(b)
	must(t, err)
	return x.Compare(y) < 0
}

// says gives the object that a file is about, and what its site has of it then: nothing
// after a deletion.
func (w *world) says(file string) (at string, v values) {
	w.t.Helper()
	c, err := zs.Decode(bytes.NewReader(w.bytes(file)), zs.Options{Dir: w.dir})
	must(w.t, err)
	defer c.Close()
	at = strings.Join(c.Path, "/")
	if c.Part(zs.Delete) != nil {
		return at, nil
	}
	v = values{"uid": c.UID}
	if p := c.Part(zs.ZEXP); p != nil {
		v["zexp"] = w.latin1(p.Export)
	}
	if p := c.Part(zs.FSS); p != nil {
		v["fss"] = w.latin1(p.Fields[len(p.Fields)-1].File)
	}
	return at, v
}

// latin1 gives a character for each byte of a value, as the original tells it.
func (w *world) latin1(v zs.Value) string {
	w.t.Helper()
	r, err := v.Open()
	must(w.t, err)
	defer r.Close()
	raw, err := io.ReadAll(r)
	must(w.t, err)
	runes := make([]rune, 0, len(raw))
	for _, b := range raw {
		runes = append(runes, rune(b))
	}
	return string(runes)
}

func (w *world) bytes(name string) []byte {
	w.t.Helper()
	raw, err := os.ReadFile(w.path(name))
	must(w.t, err)
	return raw
}

// names are the files of a folder of a queue.
func (w *world) names(folder string) []string {
	w.t.Helper()
	entries, err := os.ReadDir(w.path(folder))
	must(w.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
