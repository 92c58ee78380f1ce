// Package contenttest holds what every site driver has to pass, and a site in
// memory that passes it too. It knows no driver: what differs between sites comes
// in with a fixture.
package contenttest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
	"synchro.example/shared/version"
)

// patience is how long a suite waits for what a driver does by itself.
const patience = 10 * time.Second

// Thing is one object, as little of it as every kind of site can hold.
type Thing struct {
	Container bool
	Data      string // what a leaf holds
	Mark      int    // stands for metadata: another mark is another state
}

// Leaf and Container make things with a mark of their own.
func Leaf(data string, mark int) Thing { return Thing{Data: data, Mark: mark} }

// Container makes a container.
func Container(mark int) Thing { return Thing{Container: true, Mark: mark} }

// World is a site as somebody sees and changes it who does not go through the driver.
type World interface {
	// Put makes an object, or changes the one at this path. Its container exists.
	Put(path string, t Thing) error
	// Move renames an object, with all below it.
	Move(from, to string) error
	// Remove removes an object, with all below it.
	Remove(path string) error
	// Things gives all that stands on the site by path.
	Things() (map[string]Thing, error)
}

// OddNames are names that a folder holds and that a careless driver does not.
var OddNames = []string{
	"plain", "with space", "new\nline", "Case", "case", "trailing.", "...", "-rf", "~", "*?[", `back\slash`, "tab\t",
	"not\xffutf8\xfe", "ünïcödé", "u\u0308", "%41", "'\"$(x)", strings.Repeat("n", 255), strings.Repeat("ö", 127),
}

// EncodeTree gives type and payloads of a thing as the folder driver has them.
func EncodeTree(path string, t Thing) (string, []content.Payload) {
	mode, typ := "0644", content.TypeFile
	if t.Container {
		mode, typ = "0755", content.TypeFolder
	}
	state, err := json.Marshal(treeState{Mode: mode, Mtime: mtimeOf(t.Mark)})
	if err != nil {
		panic(err) // two strings
	}
	ps := []content.Payload{Payload(content.PluginContent, "application/json", nil, state)}
	if !t.Container {
		name := path[strings.LastIndexByte(path, '/')+1:]
		ps = append(ps, Payload(content.PluginFSS, "application/octet-stream", []string{"file", name}, []byte(t.Data)))
	}
	return typ, ps
}

// Payload makes an inline payload.
func Payload(plugin, media string, names []string, b []byte) content.Payload {
	return content.Payload{Plugin: plugin, MediaType: media, Names: names, Inline: b, SHA256: sha256.Sum256(b), Size: int64(len(b))}
}

type treeState struct {
	Mode  string `json:"mode"`
	Mtime string `json:"mtime"`
}

// markBase keeps marks clear of real times.
const markBase = 1_000_000_000

// TimeOf is the modification time that stands for a mark in a tree.
func TimeOf(mark int) time.Time { return time.Unix(markBase+int64(mark), int64(mark)).UTC() }

// MarkOf is the reverse of TimeOf.
func MarkOf(t time.Time) int { return int(t.Unix() - markBase) }

func mtimeOf(mark int) string {
	t := TimeOf(mark)
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}

// OpenInline serves payloads from their inline bytes. It is what Op.Open is unless
// a test says otherwise.
func OpenInline(_ context.Context, p *content.Payload) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(p.Inline))), nil
}

// OpenNever fails: for ops that are to need no bytes.
func OpenNever(context.Context, *content.Payload) (io.ReadCloser, error) {
	return nil, errors.New("the bytes of an object that has them were asked for")
}

// clock makes the versions of all changes of a test run.
var clock = version.NewClock(0, nil)

// Change makes a modified change from payloads.
func Change(uid, path, typ string, payloads []content.Payload) *content.Change {
	return &content.Change{
		ID: uuid.NewString(), Source: "test", Kind: content.Modified, Version: clock.Next(), CapturedAt: time.Now(),
		Object:   content.Object{UID: uid, Name: path[strings.LastIndexByte(path, '/')+1:], Path: path, Type: typ},
		Payloads: payloads, Digest: content.DigestOf(payloads),
	}
}

// Removal makes a removed change.
func Removal(uid, path, typ string) *content.Change {
	c := Change(uid, path, typ, nil)
	c.Kind = content.Removed
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantFault(t *testing.T, err error, code fault.Code) *fault.Error {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want a fault with code %s", code)
	}
	f := fault.Of(err)
	if f.Code != code {
		t.Fatalf("code %s, want %s: %v", f.Code, code, err)
	}
	return f
}

// eventually asks until it is told yes.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ask(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}
