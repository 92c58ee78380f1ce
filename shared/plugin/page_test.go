package plugin

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"synchro.example/shared/blob"
	"synchro.example/shared/config"
	"synchro.example/shared/content"
	"synchro.example/shared/stream"
	"synchro.example/shared/subject"
)

// page gives the blocks of a language in docs/plugins.md.
func page(t *testing.T, language string) (text string, blocks []string) {
	t.Helper()
	data, err := os.ReadFile("../../docs/plugins.md")
	must(t, err)
	text = string(data)
	for _, part := range strings.Split(text, "```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/plugins.md has no %s", language)
	}
	return text, blocks
}

func TestTheExamplesOfThePageAreACallAndItsAnswer(t *testing.T) {
	_, blocks := page(t, "json")
	var q question
	d := json.NewDecoder(strings.NewReader(blocks[0]))
	d.DisallowUnknownFields()
	must(t, d.Decode(&q))
	p := payload("fss", "application/octet-stream", []byte("hello\n"))
	p.Names = []string{"file", "a.txt"}
	if got := pieceOf(&p); !reflect.DeepEqual(got, q.Payloads[0]) {
		t.Errorf("the payload is %+v, want %+v", q.Payloads[0], got)
	}
	a, err := decode([]byte(blocks[1]), config.FormatJSON)
	must(t, err)
	parts, err := a.parts()
	if err != nil || len(parts) != 1 || string(parts[0].Payload.Inline) != "HELLO\n" {
		t.Errorf("got %+v, %v", parts, err)
	}
}

func TestEachKeyThatTravelsIsOnThePage(t *testing.T) {
	text, _ := page(t, "json")
	for _, v := range []any{question{}, piece{}, answer{}, given{}, config.Plugin{}} {
		for f := range reflect.TypeOf(v).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json")+f.Tag.Get("yaml"), ",")
			found := false
			for line := range strings.Lines(text) {
				first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
				found = found || strings.HasPrefix(line, "| ") && strings.Contains(first, "`"+name+"`")
			}
			if !found {
				t.Errorf("docs/plugins.md lacks the key %s of %T", name, v)
			}
		}
	}
}

func TestTheConfigurationOfThePageIsOne(t *testing.T) {
	_, blocks := page(t, "yaml")
	dir := t.TempDir()
	file := filepath.Join(dir, "synchro.yaml")
	must(t, os.WriteFile(file, []byte(blocks[0]), 0o600))
	c, err := config.Load(file)
	if err != nil || len(c.Sites["paris"].Plugins) != 2 {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestTheAccountsOfThePageLetAPluginDoItsWorkAndNoMore(t *testing.T) {
	_, blocks := page(t, "hocon")
	text := strings.NewReplacer("$SYNCHRO_PASSWORD", "s", "$JOURNAL_PASSWORD", "j").Replace(blocks[0])
	file := filepath.Join(t.TempDir(), "server.conf")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	o, err := server.ProcessConfigFile(file)
	must(t, err)
	o.Host, o.Port, o.JetStream, o.StoreDir, o.NoLog, o.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, t.TempDir(), true, true
	s, err := server.NewServer(o)
	must(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	connect := func(user, password string) *nats.Conn {
		nc, err := nats.Connect(s.ClientURL(), nats.UserInfo(user, password))
		must(t, err)
		t.Cleanup(nc.Close)
		return nc
	}
	ours, theirs := connect("synchro", "s"), connect("journal", "j")
	js, err := jetstream.New(ours)
	must(t, err)
	must(t, stream.Ensure(t.Context(), js, stream.Blobs()))
	b := &bench{t, theirs, blob.New(js)}
	large := bytes.Repeat([]byte("x"), 300<<10)
	res, err := b.blobs.Put(t.Context(), bytes.NewReader(large), nil)
	must(t, err)
	digest := res.Blob.Chunks[0]
	b.serve("journal", map[string]micro.HandlerFunc{"import": func(r micro.Request) {
		m, err := theirs.Request("$JS.API.DIRECT.GET.BLOBS."+subject.Blob(digest), nil, 5*time.Second)
		if err != nil || !bytes.Equal(m.Data, large) {
			_ = r.Error("500", "it cannot read: "+errText(err), nil)
			return
		}
		m, err = theirs.Request(subject.Blob([32]byte{1}), []byte("chunk"), 5*time.Second)
		if err != nil || bytes.Contains(m.Data, []byte("error")) {
			_ = r.Error("500", "it cannot store: "+errText(err), nil)
			return
		}
		_ = r.Respond(nil)
	}})
	must(t, theirs.Flush()) // so that the other account sees who answers
	b.nc = ours
	set := b.open(entry("journal"))
	c := change(content.Payload{Plugin: "fss", Size: res.Size, SHA256: res.SHA256, Blob: res.Blob})
	if _, err := set.Before(t.Context(), "public", opOf(c)); err != nil {
		t.Error(err)
	}
	if !set.steps[0].caller.(*remote).ping(t.Context()) {
		t.Error("it cannot be asked whether it is there")
	}
	m, err := theirs.Request("$JS.API.STREAM.INFO."+subject.BlobStream, nil, time.Second)
	if err == nil && bytes.Contains(m.Data, []byte(`"config"`)) {
		t.Error("it can speak to the streams")
	}
}

func errText(err error) string {
	if err == nil {
		return "another answer than it should be"
	}
	return err.Error()
}
