// Package reconcile compares the two ends of a hop and says where they differ. It mends
// nothing: the service whose hop it is does.
package reconcile

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Hop is one step of the way of a change.
type Hop string

// The hops, in order.
const (
	Source Hop = "source" // from the source to its log
	Relay  Hop = "relay"  // from the source's log to the channel's log
	Import Hop = "import" // from the channel's log to the ledger
	Site   Hop = "site"   // from the ledger to what stands on the receiving site
)

// What is wrong at the far end of a hop.
const (
	Missing   = "missing"   // it is not there
	Different = "different" // it has another state
	Extra     = "extra"     // it is there and should not be
	Failed    = "failed"    // it is in ERROR
)

// Difference is one object that two ends of a hop do not agree about. The JSON names are
// a contract.
type Difference struct {
	Hop     Hop    `json:"hop"`
	Site    string `json:"site"`
	Channel string `json:"channel,omitempty"`
	UID     string `json:"uid,omitempty"`
	Path    string `json:"path"`
	What    string `json:"what"`
	Detail  string `json:"detail,omitempty"`
}

// Sort brings differences into the order of hops and paths.
func Sort(list []Difference) {
	order := map[Hop]int{Source: 0, Relay: 1, Import: 2, Site: 3}
	slices.SortStableFunc(list, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(order[a.Hop], order[b.Hop]), cmp.Compare(a.Site, b.Site), cmp.Compare(a.Path, b.Path))
	})
}

// Digest reads the state of a listed object and gives the digest that a change of this
// state has. The error is a fault with code Unsettled or Vanished when it changes just now.
func Digest(ctx context.Context, source content.Source, item content.Item) (content.Digest, error) {
	payloads, err := Payloads(ctx, source, item)
	return content.DigestOf(payloads), err
}

// Payloads is what Digest is of: payloads without their bytes.
func Payloads(ctx context.Context, source content.Source, item content.Item) ([]content.Payload, error) {
	payloads, _, err := State(ctx, source, item)
	return payloads, err
}

// State gives the payloads of an object without their bytes, and its fingerprint.
func State(ctx context.Context, source content.Source, item content.Item) (payloads []content.Payload, fingerprint string, err error) {
	snap, err := source.Read(ctx, item)
	if err != nil {
		return nil, "", err
	}
	for _, part := range snap.Parts {
		h := sha256.New()
		n, err := io.Copy(h, part.Body)
		if err != nil {
			_ = snap.Close()
			return nil, "", fmt.Errorf("read %q: %w", item.Path, err)
		}
		payloads = append(payloads, content.Payload{
			Plugin: part.Plugin, MediaType: part.MediaType, Names: part.Names, Size: n, SHA256: content.Digest(h.Sum(nil)),
		})
	}
	return payloads, snap.Fingerprint, snap.Close()
}

// Expected is an object as it should stand on a site.
type Expected struct {
	UID, Path, Type string
	Digest          content.Digest
	// Content is the digest of the payloads without their names; empty where names count.
	Content []byte
	// Fingerprint is that of the state when it was applied; an object that still has it
	// need not be read. Empty: it is read.
	Fingerprint string
	// Note is what the target noted of the object.
	Note string
}

// has tells whether an object with these payloads is as it should be.
func (e *Expected) has(payloads []content.Payload) bool {
	if content.DigestOf(payloads) == e.Digest {
		return true
	}
	nameless := content.NamelessDigest(payloads)
	return len(e.Content) > 0 && bytes.Equal(nameless[:], e.Content)
}

// Compare holds the listing of a site against what it should have. extra has the objects
// that nobody expects; what is being written just now is left out.
func Compare(ctx context.Context, source content.Source, expected []Expected) (wrong []Difference, extra []content.Item, err error) {
	items := map[string]content.Item{}
	for item, err := range source.List(ctx) {
		if err != nil {
			return nil, nil, err
		}
		items[item.Path] = item
	}
	for i := range expected {
		e := &expected[i]
		item, ok := items[e.Path]
		delete(items, e.Path)
		what, detail, err := judge(ctx, source, e, item, ok)
		if err != nil {
			return nil, nil, err
		}
		if what != "" {
			wrong = append(wrong, Difference{Hop: Site, UID: e.UID, Path: e.Path, What: what, Detail: detail})
		}
	}
	for _, item := range items {
		extra = append(extra, item)
	}
	slices.SortFunc(extra, func(a, b content.Item) int { return cmp.Compare(a.Path, b.Path) })
	return wrong, extra, ctx.Err()
}

func judge(ctx context.Context, source content.Source, e *Expected, item content.Item, found bool) (what, detail string, err error) {
	switch {
	case !found:
		return Missing, "", nil
	case item.Problem != nil:
		return Different, item.Problem.Error(), nil
	case item.Unsettled, e.Fingerprint != "" && item.Fingerprint == e.Fingerprint:
		return "", "", nil
	}
	if r, ok := source.(content.Rememberer); ok && e.Note != "" {
		if same, err := r.AsLeft(ctx, item, e.Note); err == nil && same {
			return "", "", nil
		}
	}
	if item.Type != e.Type {
		return Different, fmt.Sprintf("it is a %s, and should be a %s", item.Type, e.Type), nil
	}
	if e.Digest == content.DigestOf(nil) {
		return "", "", nil // a bare container: what it is besides is up to the site
	}
	payloads, err := Payloads(ctx, source, item)
	switch f := fault.Of(err); {
	case err == nil && e.has(payloads):
		return "", "", nil
	case err == nil:
		return Different, "its content, mode or time is another one", nil
	case ctx.Err() != nil || f.WholeSite:
		return "", "", err
	case f.Code == fault.Unsettled || f.Code == fault.Vanished:
		return "", "", nil
	}
	return Different, err.Error(), nil
}
