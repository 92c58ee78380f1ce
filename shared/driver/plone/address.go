package plone

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// CheckURL tells what is wrong with the address of a site, if anything.
func CheckURL(address string, insecure bool) error {
	_, err := parseBase(address, insecure)
	return err
}

func parseBase(address string, insecure bool) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("is not an address of the form https://HOST/SITE")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%q is not an address of the form https://HOST/SITE", u.Redacted())
	case u.User != nil:
		return nil, errors.New("holds an account; name it in user and password_file")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("has a query or a fragment; only the address of the site's root belongs here")
	case u.Scheme == "http" && !insecure && !isLoopback(u.Hostname()):
		return nil, errors.New("would send the password readable over the network; use https, or set insecure: true")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// escapeSegment writes one id so that the server takes it for nothing else.
func escapeSegment(id string) string {
	return strings.ReplaceAll(url.PathEscape(id), "@", "%40")
}

// address makes the URL of an object, with a service of it, such as "@search". It is
// the only place where URLs are made.
func address(base *url.URL, path, service string, query url.Values) string {
	var b strings.Builder
	b.WriteString(base.String())
	for id := range strings.SplitSeq(path, "/") {
		if id != "" {
			b.WriteString("/" + escapeSegment(id))
		}
	}
	if service != "" {
		b.WriteString("/" + service)
	}
	if len(query) > 0 {
		b.WriteString("?" + query.Encode())
	}
	return b.String()
}

// checkPath refuses paths whose ids the server would take for something else.
func checkPath(path string) error {
	for id := range strings.SplitSeq(path, "/") {
		if !addressable(id) {
			return fmt.Errorf("the name %q cannot be part of an address", id)
		}
	}
	return nil
}

// traps are ids of children that break their folder or the whole site's export.
var traps = []string{"layout", "default_page"}

func addressable(id string) bool {
	return id != "" && id != "." && id != ".." &&
		!strings.HasPrefix(id, "@") && !strings.HasPrefix(id, "++") && !strings.HasPrefix(id, "_") &&
		!strings.ContainsAny(id, "/\x00")
}

// holdable tells whether Plone takes an object under this id, as far as that is known
// beforehand.
func holdable(id string) bool {
	if !addressable(id) || slices.Contains(traps, id) || strings.HasPrefix(id, "aq_") {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c < ' ' || c > '~' || c == '&' || c == '<' || c == '>' {
			return false
		}
	}
	return true
}

// below gives the path of a URL below a site's own address, decoded. It is false for
// what lies elsewhere; the site itself has the empty path.
func below(site *url.URL, address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host != site.Host || u.Scheme != site.Scheme {
		return "", false
	}
	if u.Path == site.Path || u.Path == site.Path+"/" {
		return "", true
	}
	rest, ok := strings.CutPrefix(u.Path, site.Path+"/")
	return strings.TrimSuffix(rest, "/"), ok
}
