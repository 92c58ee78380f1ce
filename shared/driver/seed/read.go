package seed

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Read opens the state of one listed object.
func (s *source) Read(ctx context.Context, item content.Item) (*content.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e, ok := item.Handle.(*entry)
	s.mu.Lock()
	x := s.index
	s.mu.Unlock()
	if !ok || x == nil || e.item(x).Fingerprint != item.Fingerprint || !x.stands(e) {
		return nil, fault.Errorf(fault.Retry, fault.Vanished, "read %q: the export is another one now", item.Path)
	}
	doc, err := x.document(e)
	if err != nil {
		return nil, fault.New(fault.Park, fault.ReadFailed, fmt.Errorf("read %q: %w", item.Path, err))
	}
	st, err := x.state(e, doc)
	if err != nil {
		return nil, fault.New(fault.Park, fault.ReadFailed, fmt.Errorf("read %q: %w", item.Path, err))
	}
	snap, err := st.snapshot(item.Fingerprint)
	if err != nil {
		return nil, err
	}
	end := snap.Close
	snap.Close = func() error {
		err := end()
		if err == nil && !x.stands(e) {
			err = fault.Errorf(fault.Retry, fault.Unsettled, "read %q: the export was written meanwhile", item.Path)
		}
		return err
	}
	return snap, nil
}

// stands tells whether an object's file is the one that was listed.
func (x *index) stands(e *entry) bool {
	info, err := fs.Stat(x.files, e.file)
	return err == nil && stamp(info) == x.stamps[e.file]
}

// document reads an object's JSON.
func (x *index) document(e *entry) (doc map[string]any, err error) {
	r, err := x.files.open(e.file, e.off, e.n)
	if err != nil {
		return nil, err
	}
	err = scan(r, e.off, func(o found) error {
		dec := json.NewDecoder(bytes.NewReader(o.json))
		dec.UseNumber()
		return dec.Decode(&doc)
	})
	if err := closed(r, err); err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, errors.New("it is not there any more")
	}
	return doc, nil
}

// lifted is a long text that was left in its file.
type lifted struct{ off, n, chars int64 }

func liftedOf(v any) (lifted, bool) {
	m, _ := v.(map[string]any)
	list, _ := m[liftKey].([]any)
	var n [3]int64
	if len(list) != len(n) {
		return lifted{}, false
	}
	for i := range list {
		num, _ := list[i].(json.Number)
		n[i], _ = num.Int64()
	}
	return lifted{n[0], n[1], n[2]}, true
}

// within tells whether something lies in an object.
func (l lifted) within(e *entry) bool {
	return l.off >= e.off && l.n >= 2 && l.n <= e.n && l.off+l.n <= e.off+e.n
}

// text gives a text, wherever it is.
func (x *index) text(e *entry, v any) (string, error) {
	l, ok := liftedOf(v)
	if !ok {
		s, _ := v.(string)
		return s, nil
	}
	if !l.within(e) || l.n > maxObject {
		return "", fmt.Errorf("a text has %d bytes, more than a field may have", l.n)
	}
	r, err := x.files.open(e.file, l.off, l.n)
	if err != nil {
		return "", err
	}
	var s string
	err = json.NewDecoder(r).Decode(&s)
	return s, closed(r, err)
}

// blob is a file of an object, to be opened.
type blob struct {
	size int64
	open func() (io.ReadCloser, error)
}

// inline gives the bytes that stand in the JSON as base64.
func (x *index) inline(e *entry, v any) (*blob, error) {
	l, ok := liftedOf(v)
	if !ok {
		s, _ := v.(string)
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("its bytes are not in base64: %w", err)
		}
		return &blob{int64(len(b)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}, nil
	}
	if !l.within(e) {
		return nil, errors.New("its bytes are not in the object")
	}
	return &blob{l.chars * 3 / 4, func() (io.ReadCloser, error) {
		r, err := x.files.open(e.file, l.off+1, l.n-2)
		if err != nil {
			return nil, err
		}
		return &section{base64.NewDecoder(base64.StdEncoding, &unescaped{r: r}), r}, nil
	}}, nil
}

// unescaped takes the escapes of JSON out of base64: line ends, and slashes.
type unescaped struct {
	r       io.Reader
	escaped bool
}

func (u *unescaped) Read(p []byte) (int, error) {
	for {
		n, err := u.r.Read(p)
		out := p[:0]
		for _, c := range p[:n] {
			switch {
			case u.escaped:
				if u.escaped = false; c == '/' {
					out = append(out, c)
				}
			case c == '\\':
				u.escaped = true
			default:
				out = append(out, c)
			}
		}
		if len(out) > 0 || err != nil || len(p) == 0 {
			return len(out), err
		}
	}
}

// snapshot makes the parts of a change.
func (st *state) snapshot(fingerprint string) (*content.Snapshot, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(st.payload); err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	snap := &content.Snapshot{Meta: st.meta, Fingerprint: fingerprint, Parts: []content.Part{{
		Plugin: content.PluginContent, MediaType: "application/json", Size: int64(len(body)), Body: bytes.NewReader(body),
	}}}
	var open []*lazy
	for _, field := range slices.Sorted(maps.Keys(st.blobs)) {
		info := st.infos[field]
		l := &lazy{open: st.blobs[field].open}
		open = append(open, l)
		snap.Parts = append(snap.Parts, content.Part{
			Plugin: content.PluginFSS, MediaType: info["content-type"].(string), Names: []string{field, info["filename"].(string)},
			Size: st.blobs[field].size, Body: l,
		})
	}
	snap.Close = func() error {
		var errs []error
		for _, l := range open {
			errs = append(errs, l.close())
		}
		return errors.Join(errs...)
	}
	return snap, nil
}

// lazy opens bytes when they are asked for.
type lazy struct {
	open func() (io.ReadCloser, error)
	rc   io.ReadCloser
}

func (l *lazy) Read(p []byte) (int, error) {
	if l.rc == nil {
		var err error
		if l.rc, err = l.open(); err != nil {
			return 0, readFailed(err)
		}
	}
	n, err := l.rc.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = readFailed(err)
	}
	return n, err
}

func readFailed(err error) error { return fault.New(fault.Park, fault.ReadFailed, err) }

func (l *lazy) close() error {
	if l.rc == nil {
		return nil
	}
	return l.rc.Close()
}
