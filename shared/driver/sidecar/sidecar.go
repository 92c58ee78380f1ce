//go:build unix

// Package sidecar keeps content objects in a folder tree so that people and other
// programs can read them: text and bytes as files, and what else an object is as JSON in
// a file beside them, its card. It stands on the driver for folder trees, which makes and
// reads the files. What is in the tree without a card is a file or a folder, as there.
//
// What is in a card is what the content payload of a change has, whatever the kind of
// site that it comes from; the text of fields with markup is taken out of it.
package sidecar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"synchro.example/shared/content"
	"synchro.example/shared/driver/folder"
	"synchro.example/shared/fault"
)

// OpenSource makes a source of a tree with cards.
func OpenSource(opts folder.Options) (content.Source, error) {
	s, err := folder.OpenSource(opts)
	if err != nil {
		return nil, err
	}
	return &source{Source: s, gather: newGather(opts)}, nil
}

// OpenTarget opens a tree for objects with cards. What comes from a folder tree is
// placed as it is.
func OpenTarget(opts folder.Options) (content.Target, error) {
	t, err := folder.OpenTarget(opts)
	if err != nil {
		return nil, err
	}
	return &target{Target: t.(*folder.Target), path: opts.Path, gather: newGather(opts)}, nil
}

// suffix ends the names of cards. The card of a container lies in it and is called by
// the suffix alone.
const suffix = ".plone.json"

// containerStem begins the names of a container's own files in it.
const containerStem = "index"

// maxCard bounds what is read of a card, and of a text.
const maxCard = 32 << 20

// spot is an object's place and what it is as files.
type spot struct {
	path      string // of the object
	container bool
}

func (s spot) dir() string {
	if s.container {
		return s.path
	}
	if d := path.Dir(s.path); d != "." {
		return d
	}
	return ""
}

// file gives the path of the object's file with a certain ending.
func (s spot) file(ending string) string {
	if s.container {
		return join(s.path, containerStem+ending)
	}
	return s.path + ending
}

func (s spot) card() string {
	if s.container {
		return join(s.path, suffix)
	}
	return s.path + suffix
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// spotOf gives the place of the object that a card is about.
func spotOf(cardPath string) (spot, bool) {
	rest, ok := strings.CutSuffix(cardPath, suffix)
	if !ok || rest == "" {
		return spot{}, false // the root of the tree is no object
	}
	if dir, inside := strings.CutSuffix(rest, "/"); inside {
		return spot{dir, true}, true
	}
	return spot{rest, false}, true
}

// card is an object without its text and bytes.
type card struct {
	uid, typ string
	// bare is a container of which only the name is known.
	bare bool
	// parts are the endings of the names of its files, by field.
	parts map[string]string
	// payload is the JSON of the content payload, without the texts.
	payload map[string]any
}

// Keys that a card has beside those of the payload.
const (
	keyUID       = "uid"
	keyParts     = "parts"
	keyBare      = "bare"
	keyType      = "type"
	keyFields    = "fields"
	keyFiles     = "files"
	keyData      = "data"
	keyMedia     = "content-type"
	keyFilename  = "filename"
	keySize      = "size"
	keyContainer = "container"
)

// encode writes a card for people and for version control: the keys in order, each on a
// line of its own.
func (c *card) encode(container bool) ([]byte, error) {
	m := maps.Clone(c.payload)
	if m == nil {
		m = map[string]any{}
	}
	for key, v := range map[string]any{keyUID: c.uid, keyType: c.typ, keyParts: c.parts, keyBare: c.bare, keyContainer: container} {
		if _, own := m[key]; own && key != keyType {
			return nil, fault.Errorf(fault.Park, fault.Invalid, "the content payload has a key %q of its own", key)
		}
		m[key] = v
	}
	for key, needless := range map[string]bool{keyParts: len(c.parts) == 0, keyBare: !c.bare, keyContainer: !container} {
		if needless {
			delete(m, key)
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(m)
	return b.Bytes(), err
}

func decode(b []byte) (*card, error) {
	m, err := object(b)
	if err != nil {
		return nil, err
	}
	c := &card{payload: m, parts: map[string]string{}}
	c.uid, _ = m[keyUID].(string)
	c.bare, _ = m[keyBare].(bool)
	if c.typ, _ = m[keyType].(string); c.typ == "" || c.typ == content.TypeFile || c.typ == content.TypeFolder {
		return nil, fmt.Errorf("its type is %q, want that of a content object", c.typ)
	}
	parts, _ := m[keyParts].(map[string]any)
	for field, v := range parts {
		ending, ok := v.(string)
		if !ok || strings.ContainsAny(ending, "/\x00") {
			return nil, fmt.Errorf("its part %s is %v, want the end of a file's name", field, v)
		}
		c.parts[field] = ending
	}
	for _, key := range []string{keyUID, keyParts, keyBare, keyContainer} {
		delete(m, key)
	}
	return c, nil
}

// object reads JSON and keeps numbers as they are written.
func object(b []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return nil, err
	}
	if m == nil || dec.More() {
		return nil, fmt.Errorf("it is not one JSON object")
	}
	return m, nil
}

// compact writes the payload as the drivers of sites do: the keys in order, no spaces.
func compact(m map[string]any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(m)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// texts gives the values of fields with markup by name. Each is an object with its text
// under "data".
func texts(payload map[string]any) map[string]map[string]any {
	found := map[string]map[string]any{}
	fields, _ := payload[keyFields].(map[string]any)
	for name, v := range fields {
		m, _ := v.(map[string]any)
		_, data := m[keyData].(string)
		_, media := m[keyMedia].(string)
		if data && media && len(m) == 2 {
			found[name] = m
		}
	}
	return found
}

// files gives what is known of the files by field.
func files(payload map[string]any) map[string]map[string]any {
	found := map[string]map[string]any{}
	all, _ := payload[keyFiles].(map[string]any)
	for field, v := range all {
		if m, ok := v.(map[string]any); ok {
			found[field] = m
		}
	}
	return found
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// textEndings are the endings of files with text; what is not known is plain text.
var textEndings = map[string]string{"text/html": ".html", "text/x-web-markdown": ".md", "text/markdown": ".md"}

// name gives each text and each file of an object its ending. The main one is the text,
// or else the only file: it is called as the object is.
func (c *card) name(s spot) {
	c.parts = map[string]string{}
	rich, blobs := texts(c.payload), files(c.payload)
	main := ""
	if names := slices.Sorted(maps.Keys(rich)); len(names) > 0 {
		if main = names[0]; rich["text"] != nil {
			main = "text"
		}
	} else if names := slices.Sorted(maps.Keys(blobs)); len(names) == 1 {
		main = names[0]
	}
	for field, m := range rich {
		ending := textEndings[text(m, keyMedia)]
		if ending == "" {
			ending = ".txt"
		}
		if field != main {
			ending = "." + field + ending
		} else if ext := strings.ToLower(path.Ext(s.path)); !s.container && (ext == ending || ending == ".html" && ext == ".htm") {
			ending = ""
		}
		c.parts[field] = ending
	}
	for field, m := range blobs {
		ending := blobEnding(text(m, keyFilename))
		if field != main {
			ending = "." + field + ending
		} else if !s.container {
			ending = ""
		}
		c.parts[field] = ending
	}
}

// blobEnding takes the ending of a file's name if it is an ordinary one.
func blobEnding(name string) string {
	ext := strings.ToLower(path.Ext(name))
	for _, c := range strings.TrimPrefix(ext, ".") {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return ""
		}
	}
	if len(ext) > 10 {
		return ""
	}
	return ext
}

// readFile reads a small file of a tree.
func readFile(root *os.Root, p string) ([]byte, error) {
	f, err := root.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", p)
	case info.Size() > maxCard:
		return nil, fmt.Errorf("%s has %d bytes, more than a card or a text may have", p, info.Size())
	}
	return readLimited(f)
}
