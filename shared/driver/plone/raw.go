package plone

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"
)

// rawText is an object as WebDAV gives it: the only form in which a stock site tells
// the text that is stored, and not the text that a browser gets.
type rawText struct {
	header textproto.MIMEHeader
	body   string
}

// raw asks for the stored text; nil when the site does not answer this. It follows old
// addresses and looks above, so the caller has to know that the object is there.
func (c *client) raw(ctx context.Context, path string) (*rawText, error) {
	rep, err := c.do(ctx, request{
		method: http.MethodGet, path: path, service: "manage_DAVget", header: http.Header{"Accept": {"*/*"}},
	})
	if err != nil {
		if isStatus(err, http.StatusUnauthorized, http.StatusForbidden) || isAbsent(err) {
			return nil, nil
		}
		return nil, err
	}
	return parseRaw(rep.body), nil
}

// parseRaw is nil for what is no such message.
func parseRaw(b []byte) *rawText {
	buffered := bufio.NewReader(bytes.NewReader(b))
	h, err := textproto.NewReader(buffered).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) || h.Get("Portal-Type") == "" {
		return nil
	}
	body, err := io.ReadAll(buffered)
	if err != nil {
		return nil
	}
	return &rawText{header: h, body: string(body)}
}

// linkOf gives the target of a link as it is stored.
func (r *rawText) linkOf(field string) (string, bool) {
	v := r.header.Get(field)
	return v, v != "" && !strings.HasPrefix(v, "=?")
}
