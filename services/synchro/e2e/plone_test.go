//go:build unix

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// plone is a site with a proxy before it that can fail.
type plone struct {
	w     *world
	base  string // behind the proxy
	proxy *httptest.Server
	down  atomic.Bool
	asked sync.Map     // what kind of request to how many of them
	sent  atomic.Int64 // bytes of answers
	// unordered takes relations in any order for equal: an export has lost it.
	unordered bool
}

// counted counts what is written.
type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return c.ResponseWriter.Write(b)
}

// plones gives the first sites of two real instances, empty, and a world that carries
// from the one to the other.
func plones(t *testing.T) (w *world, from, to *plone) {
	t.Helper()
	instances := strings.Fields(os.Getenv("SYNCHRO_PLONE"))
	if len(instances) < 2 {
		t.Skip("no two instances of Plone are up: scripts/plone with 2 go test ./services/synchro/e2e -run Plone")
	}
	w = newWorld(t, "paris")
	// The instances are copies of one another; sites with different names are not.
	from, to = newPlone(w, instances[0]+"/plone-a"), newPlone(w, instances[1]+"/plone-b")
	w.write("password", "secret\n")
	w.configure("folder: {path: ./hq}", from.yaml(), "folder: {path: ./paris, writes: ./paris.writes}", to.yaml())
	return w, from, to
}

// yaml is the site's driver in a configuration.
func (p *plone) yaml() string {
	return fmt.Sprintf("plone: {url: %q, user: admin, password_file: ./password, poll: 1s, rescan: 5s}", p.url())
}

// url is the site's address with the proxy before it.
func (p *plone) url() string { return p.proxy.URL + "/" + path.Base(p.base) }

// byProxy does something through the proxy.
func (p *plone) byProxy(do func()) {
	behind := p.base
	p.base = p.url()
	defer func() { p.base = behind }()
	do()
}

func newPlone(w *world, base string) *plone {
	p := &plone{w: w, base: base}
	instance, err := url.Parse(strings.TrimSuffix(base, "/"+path.Base(base)))
	must(w.t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(instance)
		r.Out.Host = r.In.Host
	}}
	p.proxy = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			http.Error(rw, "<html>the server is away</html>", http.StatusBadGateway)
			return
		}
		n, _ := p.asked.LoadOrStore(r.Method+" "+lastService(r.URL.Path), new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		forward.ServeHTTP(&counted{rw, &p.sent}, r)
	}))
	w.t.Cleanup(p.proxy.Close)
	for path := range p.rows() {
		if !strings.Contains(path, "/") {
			p.call("DELETE", path, nil)
		}
	}
	return p
}

// lastService is what of an object is asked for, in an address.
func lastService(path string) string {
	if i := strings.LastIndex(path, "/@"); i >= 0 {
		return path[i+1:]
	}
	return ""
}

// requests counts what was asked of the site, by kind.
func (p *plone) requests() string {
	var lines []string
	p.asked.Range(func(kind, n any) bool {
		lines = append(lines, fmt.Sprintf("%d %s", n.(*atomic.Int64).Load(), strings.TrimSpace(kind.(string))))
		return true
	})
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

type object = map[string]any

func (p *plone) try(method, path string, body any) (int, []byte) {
	p.w.t.Helper()
	b, err := json.Marshal(body)
	must(p.w.t, err)
	r, err := http.NewRequestWithContext(p.w.t.Context(), method, p.base+"/"+path, bytes.NewReader(b))
	must(p.w.t, err)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth("admin", "secret")
	resp, err := http.DefaultClient.Do(r)
	must(p.w.t, err)
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	must(p.w.t, err)
	return resp.StatusCode, out
}

func (p *plone) call(method, path string, body any) object {
	p.w.t.Helper()
	status, b := p.try(method, path, body)
	if status > 299 {
		p.w.t.Fatalf("%s %s: %d %.300s", method, path, status, b)
	}
	out := object{}
	if len(b) > 0 && b[0] == '{' {
		must(p.w.t, json.Unmarshal(b, &out))
	}
	return out
}

// rows gives what the catalog has, by path.
func (p *plone) rows() map[string]object {
	p.w.t.Helper()
	rows := map[string]object{}
	out := p.call("GET", "@search?b_size=100000&show_inactive=1&metadata_fields=UID&metadata_fields=modified", nil)
	for _, item := range out["items"].([]any) {
		row := item.(object)
		if path := strings.TrimPrefix(strings.TrimPrefix(row["@id"].(string), p.base), "/"); path != "" {
			rows[path] = row
		}
	}
	return rows
}

// faces tells of each object what must be equal on two sites.
func (p *plone) faces() map[string]string {
	p.w.t.Helper()
	faces := map[string]string{}
	for path, row := range p.rows() {
		doc := p.call("GET", path+"?include_items=0", nil)
		face := []any{row["UID"], doc["@type"], doc["title"], doc["description"], doc["subjects"], doc["review_state"], doc["layout"], doc["start"]}
		related, _ := doc["relatedItems"].([]any)
		var uids []string
		for _, r := range related {
			uids = append(uids, r.(object)["UID"].(string))
		}
		if p.unordered {
			slices.Sort(uids)
		}
		face = append(face, uids)
		for _, field := range []string{"file", "image"} {
			if doc[field] != nil {
				_, b := p.try("GET", path+"/@@download/"+field, nil)
				face = append(face, fmt.Sprintf("%x", sha256.Sum256(b)))
			}
		}
		if doc["@type"] == "Document" {
			_, raw, _ := strings.Cut(p.raw(path), "\n\n")
			face = append(face, raw)
		}
		faces[path] = fmt.Sprint(face...)
	}
	return faces
}

func (p *plone) raw(path string) string {
	r, err := http.NewRequestWithContext(p.w.t.Context(), http.MethodGet, p.base+"/"+path+"/manage_DAVget", nil)
	must(p.w.t, err)
	r.SetBasicAuth("admin", "secret")
	resp, err := http.DefaultClient.Do(r)
	must(p.w.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(p.w.t, err)
	return string(b)
}

func (p *plone) newest() string {
	newest := ""
	for _, row := range p.rows() {
		newest = max(newest, row["modified"].(string))
	}
	return newest
}

// differs names the first object that two sites do not have alike.
func differs(a, b *plone) string {
	fa, fb := a.faces(), b.faces()
	for _, path := range sortedKeys(fa) {
		if fa[path] != fb[path] {
			return fmt.Sprintf("/%s is %.500s and %.500s", path, fa[path], fb[path])
		}
	}
	if len(fa) != len(fb) {
		return fmt.Sprintf("%d objects and %d", len(fa), len(fb))
	}
	return ""
}

const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// mix makes objects of all stock types, nested, with relations in circles.
func (p *plone) mix(n, fileSize int) {
	random := rand.New(rand.NewPCG(1, 2))
	folders, uids, paths := []string{""}, []string{}, []string{}
	big := make([]byte, fileSize)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(big)
	upload := func(name, media, data string) object {
		return object{"data": data, "encoding": "base64", "filename": name, "content-type": media}
	}
	types := []string{"Folder", "Document", "Document", "News Item", "Event", "Link", "File", "Image", "Collection"}
	for i := range n {
		typ := types[i%len(types)]
		in := folders[random.IntN(len(folders))]
		body := object{"@type": typ, "id": fmt.Sprintf("o-%d", i), "title": fmt.Sprintf("object %d é", i), "description": "a & b", "subjects": []string{"x", fmt.Sprint(i % 7)}}
		switch typ {
		case "Document", "News Item":
			body["text"] = object{"data": fmt.Sprintf("<p>%d &amp;amp; &amp;nbsp; <b>x</b></p>", i), "content-type": "text/html", "encoding": "utf8"}
		case "Event":
			body["start"], body["end"] = "2026-01-02T03:04:05Z", "2026-01-02T05:04:05Z"
		case "Collection":
			body["query"] = []any{}
		case "Link":
			body["remoteUrl"] = "https://www.example.org/"
		case "File":
			body["file"] = upload("data.bin", "application/octet-stream", base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "file %d", i)))
		case "Image":
			body["image"] = upload("pixel.png", "image/png", pixel)
		}
		if len(uids) > 0 && typ != "Link" {
			body["relatedItems"] = []string{uids[random.IntN(len(uids))]}
		}
		made := p.call("POST", in, body)
		uids = append(uids, made["UID"].(string))
		path := strings.TrimPrefix(strings.TrimPrefix(made["@id"].(string), p.base), "/")
		paths = append(paths, path)
		if typ == "Folder" {
			folders = append(folders, path)
		}
		if typ == "Document" && i%2 == 0 {
			p.call("POST", path+"/@workflow/publish", object{})
		}
	}
	p.call("POST", "", object{"@type": "File", "id": "big", "title": "big", "file": upload("big.bin", "application/octet-stream", base64.StdEncoding.EncodeToString(big))})
	for i := 1; i < len(paths); i += 9 { // what came first refers to what came last
		p.call("PATCH", paths[i], object{"relatedItems": []string{uids[len(uids)-1], uids[0], uids[len(uids)-i]}})
	}
}

func TestAPloneSiteArrivesOnAnotherOneAndNothingIsDoneTwice(t *testing.T) {
	w, from, to := plones(t)
	start := time.Now()
	from.byProxy(func() { from.mix(pick(90, 500), pick(3, 60)<<20) }) // as Synchro reaches the site
	byHand := time.Since(start)
	from.asked.Clear()
	time.Sleep(3 * time.Second) // the second that the last date names is to be over
	start = time.Now()
	counts := w.once()
	took := time.Since(start)
	if d := differs(from, to); d != "" {
		t.Fatal(d)
	}
	figure(t, "Plone to Plone, empty to equal", "%d objects in %.1f s, %.1f a second; asked of the source: %s; asked of the target: %s",
		counts["paris"], took.Seconds(), float64(counts["paris"])/took.Seconds(), from.requests(), to.requests())
	figure(t, "Plone to Plone, beside a plain loop of POSTs", "%.2f of its speed (it took %.1f s)", byHand.Seconds()/took.Seconds(), byHand.Seconds())
	newest := to.newest()
	start = time.Now()
	if again := w.once(); again["hq"] != 0 || again["paris"] != 0 {
		t.Errorf("a second run publishes and applies %v", again)
	}
	figure(t, "Plone to Plone, unchanged", "%.2f s", time.Since(start).Seconds())
	if is := to.newest(); is != newest {
		t.Errorf("a second run has changed the target: its newest date was %s and is %s", newest, is)
	}
}

func TestAPloneSiteThatIsAwayCostsTimeOnly(t *testing.T) {
	w, from, to := plones(t)
	up := w.start(synchro, "up")
	from.mix(30, 1<<20)
	same := func() string { return differs(from, to) }
	w.eventually("the content is there", same)
	for _, p := range []*plone{to, from} {
		p.down.Store(true)
		first := slices.Min(sortedKeys(from.rows()))
		from.call("PATCH", first, object{"title": "while away " + p.base})
		time.Sleep(3 * time.Second)
		p.down.Store(false)
		w.eventually("it arrives when the site is back", same)
	}
	// The process is killed while it works, and begins again.
	from.call("POST", "", object{"@type": "Folder", "id": "later", "title": "later"})
	for i := range 20 {
		from.call("POST", "later", object{"@type": "Document", "id": fmt.Sprintf("d%d", i), "title": "x"})
	}
	time.Sleep(2 * time.Second)
	up.kill()
	w.start(synchro, "up")
	w.eventually("it arrives after a kill", same)
	if failures := w.failures(); len(failures) > 0 {
		t.Errorf("there are failures: %v", failures)
	}
}

func TestAPloneSiteGoesThroughAFolder(t *testing.T) {
	w, from, to := plones(t)
	w.configure("sites:\n", "sites:\n  shelf: {folder: {path: ./shelf, form: objects}}\n",
		"channels:\n", "channels:\n  down: {from: hq, to: [shelf]}\n  up: {from: shelf, to: [paris]}\n", "  public: {from: hq, to: [paris]}\n", "")
	w.mkdir("shelf")
	from.mix(45, 3<<20)
	time.Sleep(3 * time.Second) // the second that the last date names is to be over
	settle := func() (out string) {
		for range 3 { // the way has two parts, each of which settles by itself
			out = w.succeeds("up", "--once").stdout
		}
		return out
	}
	settle()
	if d := differs(from, to); d != "" {
		t.Fatal(d)
	}
	newest := to.newest()
	again := settle()
	if is := to.newest(); is != newest {
		t.Errorf("a second run has changed the target: its newest date was %s and is %s\n%s", newest, is, again)
	}
	var differences []struct{ Hop, Site, Path, What, Detail string }
	must(t, json.Unmarshal([]byte(w.synchro("verify", "--json").stdout), &differences))
	for _, d := range differences {
		if d.Site == "shelf" {
			t.Errorf("the folder is not what the log has: %+v", d)
		}
	}
}

func TestAPloneExportBecomesASiteWithItsDates(t *testing.T) {
	w, from, to := plones(t)
	from.unordered, to.unordered = true, true
	from.mix(pick(90, 500), 3<<20)
	status, archive := from.try("POST", "@export", object{})
	if status != http.StatusOK {
		t.Fatalf("the site gives no export: %d %.300s", status, archive)
	}
	w.write("export.zip", string(archive))
	w.configure(fmt.Sprintf("hq: {plone: {url: %q, user: admin, password_file: ./password, poll: 1s, rescan: 5s}", from.proxy.URL+"/plone-a"), "hq: {seed: {path: ./export.zip}")
	start := time.Now()
	counts := w.summary(w.succeeds("up", "--once", "--seed"))
	took := time.Since(start)
	if d := differs(from, to); d != "" {
		t.Fatal(d)
	}
	created, modified, n := 0, 0, 0
	there := to.rows()
	for path := range from.rows() {
		a, b := from.call("GET", path, nil), to.call("GET", path, nil)
		if n++; a["created"] == b["created"] {
			created++
		}
		related, _ := a["relatedItems"].([]any)
		switch {
		case a["modified"] == b["modified"] && there[path]["modified"] == b["modified"]:
			modified++
		case a["is_folderish"] != true && len(related) == 0: // the others may be written to afterwards
			t.Errorf("/%s was modified at %v and is said to be at %v", path, a["modified"], b["modified"])
		}
	}
	figure(t, "an export to a Plone site with its dates", "%d objects in %.1f s, of which %d keep the date of their creation and %d that of their last change; asked of the target: %s",
		counts["paris"], took.Seconds(), created, modified, to.requests())
	if created != n {
		t.Errorf("%d of %d objects keep the date of their creation", created, n)
	}
	newest := to.newest()
	w.once()
	if is := to.newest(); is != newest {
		t.Errorf("a second run has changed the target: its newest date was %s and is %s", newest, is)
	}
	w.succeeds("verify")
}
