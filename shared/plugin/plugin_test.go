package plugin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/blob"
	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/status"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

// bench is a broker with a store, and what a site names.
type bench struct {
	*testing.T
	nc    *nats.Conn
	blobs *blob.Store
}

func newBench(t *testing.T) *bench {
	t.Helper()
	nc := brokertest.Conn(t)
	js := brokertest.JetStream(t, nc)
	if err := stream.Ensure(t.Context(), js, stream.Blobs()); err != nil {
		t.Fatal(err)
	}
	return &bench{t, nc, blob.New(js)}
}

// entry is what the configuration has for a plugin.
func entry(id string, change ...func(*config.Plugin)) config.Plugin {
	p := config.Plugin{ID: id, Sides: []string{"export", "import", "locate"}, Format: config.FormatMsgpack, Timeout: config.Duration(10 * time.Second)}
	for _, c := range change {
		c(&p)
	}
	return p
}

func inJSON(p *config.Plugin) { p.Format = config.FormatJSON }

func (b *bench) open(list ...config.Plugin) *Set { return Open("paris", list, b.nc, b.blobs) }

// serve answers for a plugin as a program would.
func (b *bench) serve(id string, sides map[string]micro.HandlerFunc) micro.Service {
	b.Helper()
	s, err := micro.AddService(b.nc, micro.Config{Name: subject.PluginService(id), Version: "1.0.0"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Stop() })
	for side, handler := range sides {
		if err := s.AddEndpoint(side, handler, micro.WithEndpointSubject(subject.Plugin(id, side))); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// say answers always the same.
func say(media string, body any) micro.HandlerFunc {
	return func(r micro.Request) {
		var data []byte
		var err error
		switch b := body.(type) {
		case []byte:
			data = b
		case string:
			data = []byte(b)
		default:
			data, err = msgpack.Marshal(b)
		}
		if err != nil {
			panic(err)
		}
		_ = r.Respond(data, micro.WithHeaders(micro.Headers{contentType: {media}}))
	}
}

const (
	inMsgpack = "application/msgpack"
	asJSON    = "application/json"
)

func payload(plugin, media string, data []byte) content.Payload {
	return content.Payload{Plugin: plugin, MediaType: media, Names: []string{"file"}, Inline: data, Size: int64(len(data)), SHA256: sha256.Sum256(data)}
}

func change(payloads ...content.Payload) *content.Change {
	return &content.Change{
		ID: "018f", Source: "hq", Kind: content.Modified, Version: 7, Previous: 3, CapturedAt: time.Unix(1, 0).UTC(),
		Object:   content.Object{UID: "u1", Name: "a.html", Path: "news/a.html", Type: content.TypeFile, Meta: map[string]any{"size": int64(5)}},
		Payloads: payloads, Digest: content.DigestOf(payloads),
	}
}

func opOf(c *content.Change) *content.Op {
	return &content.Op{Change: c, From: "news/a.html", To: "actualites/a.html"}
}

func wantFault(t *testing.T, err error, class fault.Class, code fault.Code, text string) {
	t.Helper()
	if f := fault.Of(err); err == nil || f.Class != class || f.Code != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v (%v %v), want %v %v with %q", err, f.Class, f.Code, class, code, text)
	}
}

func (b *bench) read(p *content.Payload) []byte {
	b.Helper()
	r, err := b.blobs.Open(b.Context(), p)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

func TestAProgramIsToldEverythingInTheFormatThatItWants(t *testing.T) {
	for _, format := range []string{config.FormatMsgpack, config.FormatJSON} {
		t.Run(format, func(t *testing.T) {
			b := newBench(t)
			got := map[string]any{}
			b.serve("audit", map[string]micro.HandlerFunc{"import": func(r micro.Request) {
				var err error
				if r.Headers().Get(contentType) == asJSON {
					err = json.Unmarshal(r.Data(), &got)
				} else {
					err = msgpack.Unmarshal(r.Data(), &got)
				}
				if err != nil {
					_ = r.Error("500", err.Error(), nil)
					return
				}
				_ = r.Respond(nil)
			}})
			s := b.open(entry("audit", func(p *config.Plugin) { p.Format = format }))
			c := change(payload("content", asJSON, []byte("{}")), payload("fss", "text/html", []byte("hello")))
			whole, err := s.Before(t.Context(), "public", opOf(c))
			if err != nil || whole.Digest != c.Digest {
				t.Fatalf("got %+v, %v", whole, err)
			}
			for key, want := range map[string]string{
				"schema": "1", "site": "paris", "channel": "public", "source": "hq", "operation": "modified", "id": "018f", "uid": "u1",
				"path": "news/a.html", "from": "news/a.html", "to": "actualites/a.html", "type": "file", "version": "0000000000000007",
				"previous": "0000000000000003", "captured_at": "1970-01-01T00:00:01Z", "object": "map[size:5]", "name": "a.html", "parent_uid": "",
			} {
				if fmt.Sprint(got[key]) != want {
					t.Errorf("%s is %v, want %s", key, got[key], want)
				}
			}
			second := got["payloads"].([]any)[1].(map[string]any)
			if second["plugin"] != "fss" || second["sha256"] != hex.EncodeToString(c.Payloads[1].SHA256[:]) || fmt.Sprint(second["size"]) != "5" {
				t.Errorf("the second payload is %v", second)
			}
			if in := fmt.Sprintf("%s", second["inline"]); in != "hello" && in != "aGVsbG8=" {
				t.Errorf("its bytes are %v", in)
			}
		})
	}
}

func TestPluginsChangePayloadsOneAfterTheOther(t *testing.T) {
	b := newBench(t)
	seen := make(chan string, 1)
	b.serve("one", map[string]micro.HandlerFunc{"import": say(asJSON, `{"payloads": [{"index": 1, "inline": "b25l"}]}`)})
	b.serve("two", map[string]micro.HandlerFunc{"import": func(r micro.Request) {
		var q question
		_ = msgpack.Unmarshal(r.Data(), &q)
		seen <- string(q.Payloads[1].Inline)
		say(inMsgpack, map[string]any{"payloads": []any{map[string]any{"index": 1, "media_type": "text/plain", "names": []string{"f", "n.txt"}, "inline": []byte("two")}}})(r)
	}})
	s := b.open(entry("two", func(p *config.Plugin) { p.Priority = 20 }), entry("one", func(p *config.Plugin) { p.Priority = 10 }))
	c := change(payload("content", asJSON, []byte("{}")), payload("fss", "text/html", []byte("hello")))
	whole, err := s.Before(t.Context(), "public", opOf(c))
	if err != nil {
		t.Fatal(err)
	}
	p := whole.Payloads[1]
	if string(p.Inline) != "two" || p.Plugin != "fss" || p.MediaType != "text/plain" || fmt.Sprint(p.Names) != "[f n.txt]" || whole.Digest != content.DigestOf(whole.Payloads) {
		t.Errorf("got %+v", p)
	}
	if first := <-seen; first != "one" {
		t.Errorf("the second was given %q by the first", first)
	}
	if string(c.Payloads[1].Inline) != "hello" {
		t.Error("the change itself was altered")
	}
}

func TestAPluginIsAskedAboutItsEventsTypesAndSidesOnly(t *testing.T) {
	b := newBench(t)
	s := b.open(entry("nobody", func(p *config.Plugin) { p.Types = []string{"Image"} }),
		entry("none", func(p *config.Plugin) { p.Events = []content.Kind{content.Removed} }),
		entry("no-import", func(p *config.Plugin) { p.Sides = []string{"export"} }))
	if _, err := s.Before(t.Context(), "public", opOf(change())); err != nil {
		t.Error(err) // nobody answers for any of them
	}
	_, err := s.Before(t.Context(), "public", &content.Op{Change: change(), From: "x"})
	wantFault(t, err, fault.Retry, fault.PluginDown, "plugin none")
}

func TestAPluginAfterTheDriverIsToldAndChangesNothing(t *testing.T) {
	b := newBench(t)
	b.serve("late", map[string]micro.HandlerFunc{"import": say(asJSON, `{"payloads": [{"index": 0, "inline": ""}]}`)})
	s := b.open(entry("late", func(p *config.Plugin) { p.Priority = 200 }))
	c := change(payload("content", asJSON, []byte("{}")))
	whole, err := s.Before(t.Context(), "public", opOf(c))
	if err != nil || whole != c {
		t.Fatalf("it was asked before: %v", err)
	}
	err = s.After(t.Context(), "public", opOf(c), whole)
	wantFault(t, err, fault.Park, fault.PluginAnswer, "has taken effect")
	if !s.Hear(content.TypeFile) || b.open(entry("early")).Hear(content.TypeFile) {
		t.Error("who hears of it is told wrongly")
	}
}

func TestPayloadsOfAPluginAreNotTheDrivers(t *testing.T) {
	b := newBench(t)
	b.serve("thumbs", map[string]micro.HandlerFunc{
		"export": say(asJSON, `{"payloads": [{"media_type": "image/png", "inline": "cG5n"}]}`), "import": say(asJSON, "{}"),
	})
	s := b.open(entry("thumbs"))
	c := change(payload("fss", "image/jpeg", []byte("jpeg")))
	payloads, err := s.Exported(t.Context(), c, nil)
	if err != nil || len(payloads) != 2 || payloads[1].Plugin != "thumbs" || string(payloads[1].Inline) != "png" {
		t.Fatalf("got %+v, %v", payloads, err)
	}
	whole, err := s.Before(t.Context(), "public", opOf(change(payloads...)))
	if err != nil {
		t.Fatal(err)
	}
	if given := Given(whole); len(given.Payloads) != 1 || given.Digest != content.DigestOf(given.Payloads) || len(whole.Payloads) != 2 {
		t.Errorf("the driver is given %+v", given.Payloads)
	}
	var none *Set
	if none.Knows("thumbs") || !s.Knows("thumbs") {
		t.Error("what the site names is told wrongly")
	}
	if whole, err := none.Before(t.Context(), "public", opOf(c)); err != nil || whole != c {
		t.Errorf("got %+v, %v", whole, err)
	}
}

func TestLargePayloadsGoThroughTheStoreBothWays(t *testing.T) {
	b := newBench(t)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	b.serve("upper", map[string]micro.HandlerFunc{"export": func(r micro.Request) {
		var q question
		_ = msgpack.Unmarshal(r.Data(), &q)
		p := q.Payloads[0]
		whole := content.Payload{Size: p.Size, Blob: &content.Blob{Depth: p.Depth}}
		whole.SHA256, _ = digest(p.SHA256)
		for _, text := range p.Chunks {
			d, _ := digest(text)
			whole.Blob.Chunks = append(whole.Blob.Chunks, d)
		}
		res, err := b.blobs.Put(context.Background(), bytes.NewReader(bytes.ToUpper(b.read(&whole))), nil)
		if err != nil || p.Inline != nil {
			_ = r.Error("500", fmt.Sprint(err), nil)
			return
		}
		answer := map[string]any{"index": 0, "sha256": hex.EncodeToString(res.SHA256[:]), "size": res.Size, "depth": res.Blob.Depth}
		var chunks []string
		for _, d := range res.Blob.Chunks {
			chunks = append(chunks, hex.EncodeToString(d[:]))
		}
		answer["chunks"] = chunks
		say(inMsgpack, map[string]any{"payloads": []any{answer}})(r)
	}})
	res, err := b.blobs.Put(t.Context(), bytes.NewReader(large), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := change(content.Payload{Plugin: "fss", Size: res.Size, SHA256: res.SHA256, Blob: res.Blob})
	var stored []blob.Result
	payloads, err := b.open(entry("upper")).Exported(t.Context(), c, func(r blob.Result) { stored = append(stored, r) })
	if err != nil {
		t.Fatal(err)
	}
	if got := b.read(&payloads[0]); !bytes.Equal(got, bytes.ToUpper(large)) {
		t.Errorf("%d bytes came back", len(got))
	}
	if len(stored) != 1 {
		t.Error("the exporter does not hear what was stored, and cannot look after it")
	}
}

func TestBytesThatAreTooManyForAChangeAreStored(t *testing.T) {
	b := newBench(t)
	long := bytes.Repeat([]byte("x"), 200<<10)
	must(t, Register(Plugin{ID: "grow-" + strings.ToLower(t.Name()[:8]), Export: func(_ context.Context, c *Call) ([]Part, error) {
		p := content.Payload{Inline: long, Size: int64(len(long)), SHA256: sha256.Sum256(long)}
		return []Part{{Index: Added, Payload: p}, {Index: 0, Payload: p}}, nil
	}}))
	payloads, err := b.open(entry("grow-"+strings.ToLower(t.Name()[:8]))).Exported(t.Context(), change(payload("fss", "", []byte("x"))), nil)
	if err != nil {
		t.Fatal(err)
	}
	if payloads[1].Blob == nil || payloads[0].Blob != nil || !bytes.Equal(b.read(&payloads[1]), long) {
		t.Errorf("got %d payloads", len(payloads))
	}
}

func TestWhatAPluginSaysOfAPlaceIsFollowed(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   Place
		code   fault.Code
	}{
		"a path":                    {`{"path": "/x//y"}`, Place{Path: "x/y"}, ""},
		"skip":                      {`{"skip": true}`, Place{Skip: true}, ""},
		"the root is no place":      {`{"path": "/"}`, Place{Skip: true}, ""},
		"neither":                   {`{}`, Place{}, fault.PluginAnswer},
		"both":                      {`{"path": "x", "skip": true}`, Place{}, fault.PluginAnswer},
		"a path that climbs":        {`{"path": "x/../y"}`, Place{}, fault.PluginAnswer},
		"payloads instead":          {`{"payloads": [{"inline": ""}]}`, Place{}, fault.PluginAnswer},
		"an address to fetch from":  {`{"path": "x", "url": "http://example.org/"}`, Place{}, fault.PluginAnswer},
		"something after an answer": {`{"path": "x"} {}`, Place{}, fault.PluginAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.serve("names", map[string]micro.HandlerFunc{"locate": say(asJSON, c.answer)})
			got, err := b.open(entry("names")).Locate(t.Context(), "names", "public", change(), "news/a.html")
			if c.code != "" {
				wantFault(t, err, fault.Park, c.code, "plugin names, locate of")
			} else if err != nil || got != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestAPlaceThatAPluginFailsToTellIsAMatterOfTheObject(t *testing.T) {
	b := newBench(t)
	b.serve("names", map[string]micro.HandlerFunc{"locate": func(r micro.Request) { _ = r.Error("500", "KeyError", nil) }})
	_, err := b.open(entry("names")).Locate(t.Context(), "names", "public", change(), "a")
	wantFault(t, err, fault.Park, fault.PluginFailed, "KeyError")
	_, err = b.open().Locate(t.Context(), "names", "public", change(), "a")
	wantFault(t, err, fault.Stop, fault.Misconfigured, "names")
	_, err = b.open(entry("elsewhere")).Locate(t.Context(), "elsewhere", "public", change(), "a")
	if wantFault(t, err, fault.Retry, fault.PluginDown, "nobody answers"); !fault.Of(err).WholeSite {
		t.Error("a plugin that is down is a matter of the object")
	}
}

func TestAnswersThatMakeNoSenseAreRefused(t *testing.T) {
	deep := append(bytes.Repeat([]byte{0x91}, 100), 0xc0)
	many := strings.Repeat("{},", 1000)
	for name, c := range map[string]struct {
		media  string
		answer any
		text   string
	}{
		"no msgpack":                 {inMsgpack, "hello", "no msgpack within the limits"},
		"a length that is not there": {inMsgpack, []byte{0x81, 0xa8, 'p', 'a', 'y', 'l', 'o', 'a', 'd', 's', 0xdd, 0xff, 0xff, 0xff, 0xff}, "no msgpack within the limits"},
		"too deep":                   {inMsgpack, deep, "no msgpack within the limits"},
		"no map":                     {inMsgpack, []int{1}, "cannot be read"},
		"an unknown key":             {inMsgpack, map[string]any{"payload": nil}, "cannot be read"},
		"no JSON":                    {asJSON, "{", "cannot be read"},
		"too many payloads":          {asJSON, `{"payloads": [` + many[:len(many)-1] + `]}`, "more than 16 payloads"},
		"too many in msgpack":        {inMsgpack, map[string]any{"payloads": make([]map[string]any, 17)}, "17 payloads"},
		"payloads are a text":        {asJSON, `{"payloads": "x"}`, "no list"},
		"too large":                  {asJSON, `{"payloads": [{"index": 0, "inline": "` + strings.Repeat("A", 800<<10) + `"}]}`, "the limit is"},
		"no bytes":                   {asJSON, `{"payloads": [{"index": 0}]}`, "neither inline bytes nor chunks"},
		"bytes twice":                {asJSON, `{"payloads": [{"index": 0, "inline": "", "chunks": ["00"]}]}`, "both"},
		"another digest":             {asJSON, `{"payloads": [{"index": 0, "inline": "", "sha256": "00"}]}`, "do not have its sha256"},
		"no digest":                  {asJSON, `{"payloads": [{"index": 0, "sha256": "zz", "size": 1, "chunks": ["00"]}]}`, "is no SHA-256"},
		"an index that is not there": {asJSON, `{"payloads": [{"index": 1, "inline": ""}]}`, "names the payload 1"},
		"an index below":             {asJSON, `{"payloads": [{"index": -1, "inline": ""}]}`, "names the payload -1"},
		"one index twice":            {asJSON, `{"payloads": [{"index": 0, "inline": ""}, {"index": 0, "inline": ""}]}`, "once"},
		"one more on import":         {asJSON, `{"payloads": [{"inline": ""}]}`, "which only an export may"},
		"a place":                    {asJSON, `{"path": "/x"}`, "was not asked for one"},
		"lists that are too deep":    {asJSON, `{"payloads": [{"index": 0, "depth": 9, "size": 1, "sha256": "` + strings.Repeat("0", 64) + `", "chunks": ["` + strings.Repeat("0", 64) + `"]}]}`, "malformed claim check"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.serve("bad", map[string]micro.HandlerFunc{"import": say(c.media, c.answer)})
			_, err := b.open(entry("bad")).Before(t.Context(), "public", opOf(change(payload("fss", "", []byte("x")))))
			wantFault(t, err, fault.Park, fault.PluginAnswer, c.text)
		})
	}
}

func TestRefusalsFailuresAndAbsenceAreToldApart(t *testing.T) {
	b := newBench(t)
	for id, code := range map[string]string{"refuses": "422", "fails": "500", "rests": "503"} {
		b.serve(id, map[string]micro.HandlerFunc{"import": func(r micro.Request) {
			_ = r.Error(code, "be\x1bcause "+strings.Repeat("x", 5000), nil)
		}})
	}
	ask := func(e config.Plugin) (*Set, error) {
		s := b.open(e)
		_, err := s.Before(t.Context(), "public", opOf(change()))
		return s, err
	}
	_, err := ask(entry("refuses"))
	wantFault(t, err, fault.Park, fault.PluginRefused, "422: be cause x")
	if len(err.Error()) > 1200 {
		t.Errorf("the reason has %d bytes", len(err.Error()))
	}
	_, err = ask(entry("fails"))
	wantFault(t, err, fault.Retry, fault.PluginFailed, "500")
	if fault.Of(err).WholeSite {
		t.Error("one failure pauses the site")
	}
	for _, id := range []string{"rests", "absent"} {
		s, err := ask(entry(id))
		wantFault(t, err, fault.Retry, fault.PluginDown, "")
		if h := s.Health(Import)[0]; h.State != status.Down || h.Reason == "" || h.Calls != 1 || h.Errors != 1 {
			t.Errorf("%s is %+v", id, h)
		}
	}
}

func TestAProgramThatIsSlowIsThereAndOneThatHangsIsNot(t *testing.T) {
	b := newBench(t)
	b.serve("slow", map[string]micro.HandlerFunc{"import": func(micro.Request) {}})
	soon := func(p *config.Plugin) { p.Timeout = config.Duration(50 * time.Millisecond) }
	_, err := b.open(entry("slow", soon)).Before(t.Context(), "public", opOf(change()))
	wantFault(t, err, fault.Retry, fault.PluginFailed, "has not answered within 50ms")
	sub, err := b.nc.Subscribe(subject.Plugin("hangs", "import"), func(*nats.Msg) {})
	must(t, err)
	defer func() { _ = sub.Unsubscribe() }()
	_, err = b.open(entry("hangs", soon)).Before(t.Context(), "public", opOf(change()))
	wantFault(t, err, fault.Retry, fault.PluginDown, "nobody answers")
}

func TestHealthIsKnownWithoutCalls(t *testing.T) {
	b := newBench(t)
	s := b.open(entry("there"), entry("absent"))
	b.serve("there", nil)
	ctx, cancel := context.WithCancel(t.Context())
	go s.Watch(ctx)
	defer cancel()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		h := s.Health(Import)
		if h[0].State == status.Up && h[1].State == status.Down {
			return
		}
		if time.Since(start) > 10*time.Second {
			t.Fatalf("got %+v", h)
		}
	}
}

func TestACheckTellsWhichPluginsAreThere(t *testing.T) {
	b := newBench(t)
	b.serve("there", nil)
	must(t, Register(Plugin{ID: "checked"}))
	r := b.open(entry("there"), entry("absent"), entry("checked")).Check(t.Context())
	if failed := r.Failed(); len(r) != 3 || len(failed) != 1 || failed[0].Check != "plugin absent" || !strings.Contains(failed[0].Found, "synchro-plugin-absent") {
		t.Errorf("got %+v", r)
	}
}

func TestNamesThatJSONCannotCarryAreRefusedWithAWayOut(t *testing.T) {
	b := newBench(t)
	c := change()
	c.Object.Name = "caf\xe9"
	_, err := b.open(entry("json", inJSON)).Before(t.Context(), "public", opOf(c))
	wantFault(t, err, fault.Park, fault.Unsupported, "format: msgpack")
	b.serve("any", map[string]micro.HandlerFunc{"import": func(r micro.Request) {
		var q question
		if err := msgpack.Unmarshal(r.Data(), &q); err != nil || q.Name != "caf\xe9" {
			_ = r.Error("400", fmt.Sprint(q.Name, err), nil)
			return
		}
		_ = r.Respond(nil)
	}})
	if _, err := b.open(entry("any")).Before(t.Context(), "public", opOf(c)); err != nil {
		t.Error(err)
	}
}

func TestAPluginInTheProgramIsCalledInPlace(t *testing.T) {
	b := newBench(t)
	mine := errors.New("mine")
	must(t, Register(Plugin{
		ID: "inside", Priority: 10, Events: []content.Kind{content.Modified},
		Import: func(ctx context.Context, c *Call) ([]Part, error) {
			r, err := c.Open(ctx, &c.Change.Payloads[0])
			if err != nil {
				return nil, err
			}
			defer r.Close()
			p, err := c.Store(ctx, io.MultiReader(r, strings.NewReader("!")))
			return []Part{{Index: 0, Payload: p}}, err
		},
		Locate: func(context.Context, *Call) (Place, error) { return Place{}, mine },
		Export: func(context.Context, *Call) ([]Part, error) { return nil, Refuse("not %s", "this") },
	}))
	s := b.open(entry("inside"))
	c := change(payload("fss", "text/plain", []byte("hello")))
	whole, err := s.Before(t.Context(), "public", opOf(c))
	if err != nil || string(whole.Payloads[0].Inline) != "hello!" {
		t.Errorf("got %+v, %v", whole, err)
	}
	_, err = s.Exported(t.Context(), c, nil)
	wantFault(t, err, fault.Park, fault.PluginRefused, "plugin inside, export of \"news/a.html\": not this")
	_, err = s.Locate(t.Context(), "inside", "public", c, "x")
	if wantFault(t, err, fault.Park, fault.PluginFailed, "mine"); !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Before(t.Context(), "public", &content.Op{Change: c, From: "x"}); err != nil {
		t.Error(err) // it is not asked about removals
	}
	if h := s.Health(Import); h[0].State != status.Up || h[0].Calls != 3 || h[0].Errors != 2 {
		t.Errorf("got %+v", h)
	}
}

func TestIdsThatCannotBeAreRefused(t *testing.T) {
	must(t, Register(Plugin{ID: "once"}))
	for id, text := range map[string]string{"once": "two plugins", "fss": "built in", "A b": "is not 1 to 32"} {
		wantFault(t, Register(Plugin{ID: id}), fault.Stop, fault.Misconfigured, text)
	}
}

func TestOtherPluginsHaveAnotherMark(t *testing.T) {
	b := newBench(t)
	one := b.open(entry("one"))
	if one.Mark("file") == "" || one.Mark("file") == b.open(entry("two")).Mark("file") || one.Mark("file") != b.open(entry("one")).Mark("file") {
		t.Error("marks do not name the plugins")
	}
	if b.open(entry("one", func(p *config.Plugin) { p.Types = []string{"Image"} })).Mark("file") != "" {
		t.Error("objects that no plugin is asked about have a mark")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"payloads": [{"index": 0, "inline": "aGVsbG8="}]}`), true)
	f.Add([]byte(`{"path": "/x"}`), true)
	seed, _ := msgpack.Marshal(map[string]any{"payloads": []any{map[string]any{"index": 0, "inline": []byte("x"), "names": []string{"a"}}}})
	f.Add(seed, false)
	f.Fuzz(func(_ *testing.T, body []byte, json bool) {
		format := config.FormatMsgpack
		if json {
			format = config.FormatJSON
		}
		a, err := decode(body, format)
		if err != nil {
			return
		}
		_, _ = a.place()
		parts, err := a.parts()
		if err == nil {
			c := &Call{Side: Import, Change: change(payload("fss", "", nil))}
			payloads := c.Change.Payloads
			for _, p := range parts {
				if payloads, err = put(payloads, "x", c, p, map[int]bool{}); err != nil {
					return
				}
			}
			_ = check(c.Change, payloads)
		}
	})
}
