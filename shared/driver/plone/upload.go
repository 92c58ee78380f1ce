package plone

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"synchro.example/shared/fault"
)

const (
	// chunk is how many bytes of a file one request carries.
	chunk = 16 << 20
	// uploads is how often a file is sent before it is given up for now: other writers
	// can make the site drop a finished upload.
	uploads = 3
)

var resumable = http.Header{"Tus-Resumable": {"1.0.0"}}

// upload replaces the bytes of a field by a large file, and checks them.
func (w *work) upload(ctx context.Context, l lateFile) error {
	s, err := w.spool(ctx, l.field)
	if err != nil {
		return err
	}
	for try := range uploads {
		err = w.uploadOnce(ctx, l, s)
		if err == nil || !isStatus(err, http.StatusNotFound, http.StatusInternalServerError) || try == uploads-1 {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("send the file of /%s: %w", w.to, err)
	}
	equal, err := w.sameBytes(ctx, w.to, l.field)
	if err == nil && !equal {
		err = fault.Errorf(fault.Retry, fault.NotArrived, "/%s: the bytes in %s are not those that were sent", w.to, l.field)
	}
	return err
}

// uploadOnce sends a file from its beginning. No part is ever sent again: the site adds
// whatever it gets to what it has.
func (w *work) uploadOnce(ctx context.Context, l lateFile, s *spooled) error {
	w.effects++
	at, err := w.beginUpload(ctx, l, s.size)
	if err != nil {
		return err
	}
	for from := int64(0); from < s.size; from += chunk {
		n := min(chunk, s.size-from)
		h := http.Header{"Content-Type": {"application/offset+octet-stream"}, "Upload-Offset": {strconv.FormatInt(from, 10)}}
		h["Tus-Resumable"] = resumable["Tus-Resumable"]
		rep, err := w.do(ctx, request{method: http.MethodPatch, path: w.to, service: at, header: h, raw: s.section(from, n), size: n})
		if err != nil {
			return err
		}
		if last := from+n == s.size; last && rep.header.Get("Location") == "" {
			return fault.Errorf(fault.Retry, fault.NotArrived, "the site has not made a file of the upload")
		}
	}
	return nil
}

// beginUpload gives the service to which the parts go.
func (w *work) beginUpload(ctx context.Context, l lateFile, size int64) (string, error) {
	var meta []string
	for _, pair := range [][2]string{{"filename", l.info.Name}, {"content-type", l.info.Media}, {"fieldname", l.field}} {
		meta = append(meta, pair[0]+" "+base64.StdEncoding.EncodeToString([]byte(pair[1])))
	}
	rep, err := w.do(ctx, request{method: http.MethodPost, path: w.to, service: "@tus-replace", header: http.Header{
		"Tus-Resumable": resumable["Tus-Resumable"], "Upload-Length": {strconv.FormatInt(size, 10)}, "Upload-Metadata": {strings.Join(meta, ",")},
	}})
	if err != nil {
		return "", err
	}
	return w.uploadService(ctx, rep.header.Get("Location"))
}

// uploadService takes the name of the upload out of its address, which has to be one of
// this object.
func (w *work) uploadService(ctx context.Context, location string) (string, error) {
	path, err := w.pathOf(ctx, location)
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(path, w.to+"/@tus-upload/")
	if !ok || strings.Contains(rest, "/") || rest == "" {
		return "", fault.Errorf(fault.Retry, fault.NotArrived, "the site names %q for an upload to /%s", location, w.to)
	}
	return "@tus-upload/" + url.PathEscape(rest), nil
}
