package plone

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"

	"synchro.example/shared/content/contenttest"
)

// The account of every site in these tests.
const (
	testUser     = "admin"
	testPassword = "secret"
)

// world is a site as an editor with a client of their own sees it. It shares no code
// with the driver.
type world struct{ base string }

func (w world) at(path string) string {
	u := w.base
	for id := range strings.SplitSeq(path, "/") {
		if id != "" {
			u += "/" + strings.ReplaceAll(url.PathEscape(id), "@", "%40")
		}
	}
	return u
}

type jsonMap = map[string]any

// call asks and wants a success.
func (w world) call(method, address string, body any) (jsonMap, error) {
	status, raw, err := w.try(method, address, body)
	if err != nil {
		return nil, err
	}
	if status < 200 || status > 299 {
		return nil, fmt.Errorf("%s %s: %d %.300s", method, address, status, raw)
	}
	out := jsonMap{}
	if len(raw) > 0 && raw[0] == '{' {
		err = json.Unmarshal(raw, &out)
	}
	return out, err
}

func (w world) try(method, address string, body any) (int, []byte, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, address, r) //nolint:noctx // an editor has no context
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Accept", "application/json")
	if strings.HasSuffix(address, "/manage_DAVget") { // a real site has it for browsers only
		req.Header.Set("Accept", "*/*")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.SetBasicAuth(testUser, testPassword)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// add makes an object of any type.
func (w world) add(parent string, body jsonMap) (jsonMap, error) {
	return w.call("POST", w.at(parent), body)
}

func (w world) get(path string) (jsonMap, error) { return w.call("GET", w.at(path), nil) }

func (w world) edit(path string, body jsonMap) error {
	_, err := w.call("PATCH", w.at(path), body)
	return err
}

func parentPath(p string) string { return strings.TrimPrefix(path.Dir("/"+p), "/") }

func describe(t contenttest.Thing) jsonMap {
	body := jsonMap{"title": "a title", "description": "mark " + strconv.Itoa(t.Mark)}
	if !t.Container {
		body["file"] = jsonMap{
			"data": base64.StdEncoding.EncodeToString([]byte(t.Data)), "encoding": "base64",
			"filename": "data.bin", "content-type": "application/octet-stream",
		}
	}
	return body
}

func (w world) Put(p string, t contenttest.Thing) error {
	body := describe(t)
	// Another object further up may answer instead.
	if doc, err := w.get(p); err == nil && doc["@id"] == w.at(p) {
		return w.edit(p, body)
	}
	body["id"], body["@type"] = path.Base(p), "File"
	if t.Container {
		body["@type"] = "Folder"
	}
	_, err := w.add(parentPath(p), body)
	return err
}

func (w world) Move(from, to string) error {
	at := from
	if parentPath(from) != parentPath(to) {
		if _, err := w.call("POST", w.at(parentPath(to))+"/@move", jsonMap{"source": w.at(from)}); err != nil {
			return err
		}
		at = strings.TrimPrefix(parentPath(to)+"/"+path.Base(from), "/")
	}
	if at == to {
		return nil
	}
	return w.edit(at, jsonMap{"id": path.Base(to)})
}

func (w world) Remove(path string) error {
	_, err := w.call("DELETE", w.at(path), nil)
	return err
}

// paths gives the path of each object, with its type.
func (w world) paths() (map[string]string, error) {
	out, err := w.call("GET", w.base+"/@search?b_size=10000&show_inactive=1", nil)
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for _, item := range out["items"].([]any) {
		m := item.(jsonMap)
		p, err := url.PathUnescape(strings.TrimPrefix(strings.TrimPrefix(m["@id"].(string), w.base), "/"))
		if err != nil {
			return nil, err
		}
		if p != "" {
			paths[p] = m["@type"].(string)
		}
	}
	return paths, nil
}

func (w world) Things() (map[string]contenttest.Thing, error) {
	paths, err := w.paths()
	if err != nil {
		return nil, err
	}
	things := map[string]contenttest.Thing{}
	for p, typ := range paths {
		doc, err := w.get(p)
		if err != nil {
			return nil, err
		}
		thing := contenttest.Thing{Container: typ == "Folder"}
		mark, _ := doc["description"].(string)
		if thing.Mark, err = strconv.Atoi(strings.TrimPrefix(mark, "mark ")); err != nil {
			thing.Mark = -1
		}
		if !thing.Container {
			_, b, err := w.try("GET", w.at(p)+"/@@download/file", nil)
			if err != nil {
				return nil, err
			}
			thing.Data = string(b)
		}
		things[p] = thing
	}
	return things, nil
}

// empty removes all content.
func (w world) empty() error {
	paths, err := w.paths()
	for p := range paths {
		if err == nil && !strings.Contains(p, "/") {
			err = w.Remove(p)
		}
	}
	return err
}

// must is for what only fails when the test itself is wrong.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
