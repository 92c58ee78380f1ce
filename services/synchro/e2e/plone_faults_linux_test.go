package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hurt is a target whose server, disk and account a test may spoil, while Synchro runs.
type hurt struct {
	*world
	from, to *plone
	server   *server
	began    time.Time
}

// TestWhateverBefallsAPloneTargetNothingIsLostAndEachHasItsOwnMessage spoils one thing after
// the other. After each the sites become equal again.
func TestWhateverBefallsAPloneTargetNothingIsLostAndEachHasItsOwnMessage(t *testing.T) {
	h := newHurt(t)
	for _, c := range []struct {
		what  string
		spoil func()
	}{
		{"Plone is killed in the middle and started again", h.killed},
		{"a proxy answers 502", h.badGateway},
		{"the account's password is changed", h.passwordChanged},
		{"the account is made a Reader", h.demoted},
		{"a page is locked", h.locked},
		{"four others write at the same time", h.storm},
		{"the disk is full", h.full},
	} {
		h.began = time.Now()
		c.spoil()
		h.heals(c.what)
		figure(t, "Plone, "+c.what, "equal again %.1f s after it began", time.Since(h.began).Seconds())
	}
}

func newHurt(t *testing.T) *hurt {
	t.Helper()
	instances := strings.Fields(os.Getenv("SYNCHRO_PLONE"))
	if len(instances) == 0 {
		t.Skip("no Plone is up: scripts/plone with 1 go test ./services/synchro/e2e -run Plone")
	}
	h := &hurt{world: newWorld(t, "paris")}
	h.mount("disk", "size=600m")
	h.mkdir("disk", "plone")
	h.server = h.serve("disk/plone")
	h.from, h.to = newPlone(h.world, instances[0]+"/plone-a"), newPlone(h.world, "http://"+h.server.address+"/plone-b")
	h.to.call("POST", "@users", object{"username": "synchro", "email": "synchro@example.org", "password": "first secret", "roles": []string{"Manager"}})
	h.write("password", "secret\n")
	h.write("theirs", "first secret\n")
	to := strings.NewReplacer("user: admin", "user: synchro", "./password", "./theirs").Replace(h.to.yaml())
	h.configure("folder: {path: ./hq}", h.from.yaml(), "folder: {path: ./paris, writes: ./paris.writes}", to)
	h.from.mix(18, 1<<20)
	h.start(synchro, "up")
	h.heals("the content comes")
	return h
}

// heals waits until the sites are equal and nothing is left of what went wrong.
func (h *hurt) heals(what string) {
	h.t.Helper()
	h.eventually(what+": they become equal", func() string {
		if d := differs(h.from, h.to); d != "" {
			return d
		}
		return h.unsettled("paris")
	})
}

// says waits for a word in what status says of the target.
func (h *hurt) says(word string) {
	h.t.Helper()
	reason := h.becomes("paris", "paused")
	if !strings.Contains(reason, word) {
		h.t.Errorf("the reason is %q, want one with %q", reason, word)
	}
}

// fails waits for an object that is set aside under a code.
func (h *hurt) fails(code string) {
	h.t.Helper()
	h.eventually("something fails as "+code, func() string {
		var entries []struct{ Code, Reason string }
		r := h.synchro("errors", "--json")
		if json.Unmarshal([]byte(r.stdout), &entries) != nil {
			return r.stderr
		}
		if i := slices.IndexFunc(entries, func(e struct{ Code, Reason string }) bool { return e.Code == code }); i < 0 {
			return fmt.Sprintf("there is %v", entries)
		}
		if strings.Contains(r.stdout, "raceback") {
			h.t.Errorf("a traceback is kept: %s", r.stdout)
		}
		return ""
	})
}

// pages makes a folder with pages on the source.
func (h *hurt) pages(folder string, n int) {
	h.t.Helper()
	h.from.call("POST", "", object{"@type": "Folder", "id": folder, "title": folder})
	for i := range n {
		h.from.call("POST", folder, object{"@type": "Document", "id": fmt.Sprintf("p%d", i), "title": fmt.Sprint("page ", i), "text": object{"data": "<p>a &amp;amp; b</p>", "content-type": "text/html", "encoding": "utf8"}})
	}
}

func (h *hurt) killed() {
	var writing sync.WaitGroup
	writing.Go(func() { h.pages("killed", 40) })
	time.Sleep(3 * time.Second)
	h.server.kill()
	h.says("status 502") // from the proxy, which does not reach it
	h.server.start()
	writing.Wait()
}

func (h *hurt) badGateway() {
	h.to.down.Store(true)
	h.pages("gateway", 3)
	h.says("status 502")
	h.to.down.Store(false)
}

func (h *hurt) passwordChanged() {
	h.to.call("PATCH", "@users/synchro", object{"password": "second secret"})
	h.pages("password", 3)
	h.says("does not take the account")
	h.write("theirs", "second secret\n")
}

func (h *hurt) demoted() {
	roles := func(manager bool) {
		h.to.call("PATCH", "@users/synchro", object{"roles": object{"Manager": manager, "Reader": !manager}})
	}
	roles(false)
	h.pages("demoted", 3)
	h.from.call("DELETE", "gateway/p0", nil)
	h.fails("permission")
	roles(true)
	h.replay()
}

func (h *hurt) replay() {
	h.t.Helper()
	if r := h.synchro("replay"); r.status != 0 {
		h.t.Errorf("replay ends with %d: %s", r.status, r.stderr)
	}
}

func (h *hurt) locked() {
	h.to.call("POST", "killed/p1/@lock", object{})
	h.from.call("PATCH", "killed/p1", object{"title": "edited while it was locked"})
	h.fails("locked")
	h.to.call("DELETE", "killed/p1/@lock", object{"force": true})
	h.replay()
}

// storm lets others write to the target, in the folder of their own that they remove.
func (h *hurt) storm() {
	h.to.call("POST", "", object{"@type": "Folder", "id": "others", "title": "others"})
	stop := make(chan struct{})
	var others sync.WaitGroup
	for who := range 4 {
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default: // what becomes of their writes is their own matter
					h.to.try("POST", "others", object{"@type": "Document", "id": fmt.Sprintf("w%d-%d", who, i), "title": "x"})
				}
			}
		})
	}
	h.pages("storm", pick(15, 60))
	h.eventually("the content comes through the storm", func() string {
		if rows := h.to.rows(); len(rows) == 0 || rows[fmt.Sprintf("storm/p%d", pick(15, 60)-1)] == nil {
			return fmt.Sprintf("the last page is not there, of %d rows", len(rows))
		}
		return ""
	})
	close(stop)
	others.Wait()
	h.to.call("DELETE", "others", nil)
	h.replay()
}

func (h *hurt) full() {
	filler, err := os.Create(h.path("disk", "filler"))
	must(h.t, err)
	for chunk := make([]byte, 1<<20); err == nil; {
		_, err = filler.Write(chunk)
	}
	_ = filler.Close() // it is meant to be too large
	data := base64.StdEncoding.EncodeToString(make([]byte, 3<<20))
	h.from.call("POST", "", object{"@type": "File", "id": "large", "title": "large", "file": object{"data": data, "encoding": "base64", "filename": "x.bin", "content-type": "application/octet-stream"}})
	h.says("o space left")
	must(h.t, os.Remove(filler.Name()))
}
