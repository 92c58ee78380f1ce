package plone

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

func TestAStateTravelsWithoutWhatIsTrueOnOneSiteOnly(t *testing.T) {
	e := exact{}
	check(t, json.Unmarshal([]byte(`{"uid": "u", "path": "a/b", "digest": "d", "blobs": "b", "roles": {"anna": ["Editor", "Owner"], "ben": ["Owner"]},
		"order": [], "history": {}, "fields": {"title": "t", "file": {"$": "blob", "handle": "h", "size": 3}, "text": {"$": "rich"}}}`), &e))
	must[exact](t)(e.travelling())
	check(t, e.rights([]string{"Editor"}))
	check(t, e.without([]string{"title", "review_state", "order"}))
	got := string(must[[]byte](t)(marshal(e)))
	want := `{"fields":{"file":{"$":"blob","size":3},"text":{"$": "rich"}},"roles":{"anna":["Editor"]},"uid":"u"}`
	if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	check(t, e.rights(nil))
	if e["roles"] != nil {
		t.Error("local roles go to a site that takes none")
	}
}

func TestAnExactStateIsVoidWhenTheOtherWasChanged(t *testing.T) {
	st := &state{Type: "Document", Fields: jsonMap{"title": "a & b", "n": json.Number("1.50")}}
	of := must[string](t)(st.digest())
	st.Exact = &exactPart{Item: exact{"uid": json.RawMessage(`"u"`)}, Of: of}
	back := new(state)
	check(t, unmarshal(must[[]byte](t)(marshal(st)), back))
	if got := must[string](t)(back.digest()); got != of || back.Exact.Of != of {
		t.Errorf("on the way %s became %s", of, got)
	}
	back.Fields["title"] = "edited"
	if must[string](t)(back.digest()) == of {
		t.Error("a changed state has the same digest")
	}
}

func TestARefusalHasItsClassAndCode(t *testing.T) {
	op := content.Op{To: "news/a", Note: &content.Note{State: "kept"}}
	for _, test := range []struct {
		a     itemAnswer
		class fault.Class
		code  fault.Code
	}{
		{itemAnswer{Result: "refused", Class: "retry", Kind: "locked"}, fault.Retry, fault.Locked},
		{itemAnswer{Result: "refused", Class: "park", Kind: "out-of-scope"}, fault.Park, fault.Permission},
		{itemAnswer{Result: "refused", Class: "park", Kind: "something new"}, fault.Park, fault.Refused},
	} {
		f := fault.Of((*target)(nil).outcome(&exactItem{op: &op}, &test.a))
		if f.Class != test.class || f.Code != test.code {
			t.Errorf("%+v became %s, %s", test.a, f.Class, f.Code)
		}
	}
	check(t, (*target)(nil).outcome(&exactItem{op: &op}, &itemAnswer{Result: "had"}))
	if op.Note.State != "" {
		t.Error("what stock REST had noted is kept")
	}
}

// poisoned answers like a site that fails over every batch with one of its items in it.
type poisoned struct {
	uid   string
	calls int
}

func (p *poisoned) RoundTrip(r *http.Request) (*http.Response, error) {
	var batch struct {
		Items []struct {
			UID string `json:"uid"`
		} `json:"items"`
	}
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		return nil, err
	}
	p.calls++
	status, body := http.StatusOK, `{"items": [`
	for i, item := range batch.Items {
		if item.UID == p.uid {
			status = http.StatusInternalServerError
		}
		body += strings.Repeat(",", min(i, 1)) + `{"result": "applied"}`
	}
	if body += "]}"; status != http.StatusOK {
		body = `{"type": "KeyError", "message": "x"}`
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func TestAnItemThatTheSiteFailsOverDoesNotHoldBackItsBatch(t *testing.T) {
	s := &site{world: world{"http://127.0.0.1:1/site"}}
	o := s.options(t)
	fails := &poisoned{uid: strings.Repeat("b", 32)}
	o.transport = fails
	target := must[content.Target](t)(OpenTarget(o)).(*target)
	var items []*exactItem
	for _, c := range "abc" {
		op := &content.Op{Change: &content.Change{Object: content.Object{UID: strings.Repeat(string(c), 32)}}, From: "x"}
		item := &exactItem{op: op, body: exact{}}
		check(t, item.head(op.Change.Object.UID, true))
		items = append(items, item)
	}
	errs := target.send(t.Context(), items)
	if errs[0] != nil || errs[1] == nil || errs[2] != nil || fails.calls != 4 {
		t.Errorf("after %d calls: %v", fails.calls, errs)
	}
}

func TestRequestsAreBoundedInNumberAndLength(t *testing.T) {
	sized := func(sizes ...int) (items []*exactItem) {
		for _, n := range sizes {
			items = append(items, &exactItem{body: exact{"": make([]byte, n)}})
		}
		return items
	}
	for _, test := range []struct {
		items []*exactItem
		want  int
	}{
		{sized(1, 1), 2},
		{sized(make([]int, 120)...), exactBatch},
		{sized(exactBytes, 1), 1},
		{sized(1, exactBytes/2, exactBytes/2), 2},
		{sized(2 * exactBytes), 1},
	} {
		if got := fitting(test.items); got != test.want {
			t.Errorf("%d of %d items fit, want %d", got, len(test.items), test.want)
		}
	}
}

// withAddon gives a fresh real site that has the add-on.
func withAddon(t *testing.T) (*site, *addon) {
	t.Helper()
	if os.Getenv("SYNCHRO_PLONE") == "" {
		t.Skip("no real Plone is up: scripts/plone --addon with 2 go test ./shared/driver/plone")
	}
	s := newRealSite(t)
	o := s.options(t).withDefaults()
	c := must[*client](t)(newClient(o, fault.TargetDown))
	profile := func(step string) error {
		_, err := c.do(t.Context(), request{method: http.MethodPost, service: "@addons/synchro_plone/" + step, body: jsonMap{}})
		return err
	}
	err := profile("install")
	a := &addon{client: c}
	// Plone says that all went well, too, when there is nothing to install.
	if info := must[*addonInfo](t)(a.of(t.Context())); info == nil || err != nil {
		t.Skipf("the site has no add-on to install: scripts/plone --addon with 2 go test ./shared/driver/plone (%v)", err)
	}
	t.Cleanup(func() {
		_, _ = c.do(context.Background(), request{method: http.MethodPost, service: "@addons/synchro_plone/uninstall", body: jsonMap{}})
	})
	return s, a
}

// seeded puts objects on a site with what stock REST cannot write.
func seeded(t *testing.T, a *addon) []string {
	t.Helper()
	date := func(s string) json.RawMessage {
		return json.RawMessage(`{"$":"DateTime","us":` + s + `,"naive":false,"zone":"Europe/Vienna"}`)
	}
	item := func(uid, id, parent, typ string, fields jsonMap, more jsonMap) jsonMap {
		m := jsonMap{
			"op": "put", "uid": uid, "version": 1, "id": id, "parent": parent, "type": typ, "fields": fields,
			"dates": jsonMap{"created": date("981173106123456"), "modified": date("1700000000000001"), "effective": nil, "expires": nil},
		}
		maps.Copy(m, more)
		return m
	}
	f, d, x := strings.Repeat("a", 32), strings.Repeat("b", 32), strings.Repeat("c", 32)
	data := strings.Repeat("bytes of a file ", 1000)
	sum := must[string](t)(a.put(t, data))
	var reply struct {
		Items []itemAnswer `json:"items"`
	}
	check(t, a.call(t.Context(), "@synchro-apply", jsonMap{"writer": "test", "fence": 0, "mode": "all", "items": []jsonMap{
		item(f, "folder", "/", "Folder", jsonMap{"title": "Folder"}, jsonMap{"order": []string{"file", "page"}, "default_page": d, "layout": "summary_view"}),
		item(d, "page", "/folder", "Document", jsonMap{
			"title": "Page", "text": jsonMap{"$": "rich", "raw": "<p>a &amp; b</p>\r\n", "mime": "text/html", "out": "text/x-html-safe", "enc": "utf-8"},
			"relatedItems": []jsonMap{{"$": "rel", "uid": x}},
		}, nil),
		item(x, "file", "/folder", "File", jsonMap{"title": "File", "file": jsonMap{
			"$": "blob", "class": "NamedBlobFile", "name": "ä.bin", "mime": "application/octet-stream", "size": len(data), "sha256": sum,
		}}, nil),
	}}, &reply))
	return []string{f, d, x}
}

func (a *addon) put(t *testing.T, data string) (string, error) {
	sum := sha256Hex(data)
	return sum, a.stage(t.Context(), sum, int64(len(data)), func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(data)), nil })
}

// digests are the states of all objects of a site, by UID, as the site itself compares them.
func digests(t *testing.T, a *addon) map[string]string {
	t.Helper()
	var p struct {
		Objects [][]string `json:"objects"`
	}
	_, err := a.get(t.Context(), "", "@synchro-list", map[string][]string{"digest": {"1"}, "limit": {"5000"}}, &p)
	check(t, err)
	found := map[string]string{}
	for _, row := range p.Objects {
		found[row[0]] = row[1] + " " + row[3]
	}
	return found
}

func TestRealSitesWithTheAddonAreEqualToTheLastDate(t *testing.T) {
	a, from := withAddon(t)
	b, to := withAddon(t)
	uids := seeded(t, from)
	m := newMirror(t, a.source(t), b.target(t))
	noErrors(t, m.sync())
	want, got := digests(t, from), digests(t, to)
	if len(got) != len(uids) || !maps.Equal(want, got) {
		t.Errorf("source %v\ntarget %v", want, got)
	}
	if m.target.effects != 1 && m.target.effects > int64(len(uids)) {
		t.Errorf("%d requests wrote %d objects", m.target.effects, len(uids))
	}
}

func TestRealFeedShowsWhatTheCatalogDoesNot(t *testing.T) {
	s, a := withAddon(t)
	uids := seeded(t, a)
	source := s.source(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	before := fingerprints(t, source)
	hints := make(chan bool, 100)
	go func() { _ = source.Watch(ctx, func() { hints <- true }) }()
	await(t, hints)
	// A layout, by stock REST: no date and no row shows it.
	check(t, s.edit("folder", jsonMap{"layout": "listing_view"}))
	began := time.Now()
	await(t, hints)
	t.Logf("the change was seen after %v", time.Since(began).Round(time.Millisecond))
	after := fingerprints(t, source)
	changed := slices.DeleteFunc(slices.Clone(uids), func(uid string) bool { return before[uid] == after[uid] })
	if !slices.Equal(changed, uids[:1]) {
		t.Errorf("changed are %v", changed)
	}
}

func await(t *testing.T, hints chan bool) {
	t.Helper()
	select {
	case <-hints:
	case <-time.After(30 * time.Second):
		t.Fatal("no hint came")
	}
}

func fingerprints(t *testing.T, s *source) map[string]string {
	t.Helper()
	found := map[string]string{}
	for item, err := range s.List(t.Context()) {
		check(t, err)
		found[item.UID] = item.Fingerprint
	}
	return found
}

func sha256Hex(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}
