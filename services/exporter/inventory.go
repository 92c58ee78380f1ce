package exporter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"

	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// known is what the log has of a live object.
type known struct {
	version     version.Version
	kind        string // the object's type
	digest      content.Digest
	read        content.Digest // the same before plugins have changed anything
	fingerprint string
	identity    string
	// unsigned says that the log has it without the signature that it should have.
	unsigned bool
}

// inventory is the source as its log has it.
type inventory struct {
	site       string
	tree       *tree.Tree[known]
	byIdentity map[string]string
	gone       map[string]version.Version // removals, by uid
	newest     version.Version            // of everything ever in the log, removals too
	// unsigned are the removals that the log has without the signature that they should have.
	unsigned map[string]departed
}

// departed is where an object stood that is gone.
type departed struct {
	place tree.Place
	kind  string
}

func newInventory(site string) *inventory {
	return &inventory{site: site, tree: tree.New[known](), byIdentity: map[string]string{}, gone: map[string]version.Version{}, unsigned: map[string]departed{}}
}

func (inv *inventory) clone() *inventory {
	c := newInventory(inv.site)
	for uid, k := range inv.tree.All() {
		p, _ := inv.tree.Place(uid)
		c.put(uid, p, k)
	}
	c.gone, c.newest = maps.Clone(inv.gone), inv.newest
	return c
}

// versionOf is the version in which an object is known, or its removal.
func (inv *inventory) versionOf(uid string) version.Version {
	if k, ok := inv.tree.Get(uid); ok {
		return k.version
	}
	return inv.gone[uid]
}

func (inv *inventory) parentOf(uid string) string {
	p, _ := inv.tree.Place(uid)
	return p.Parent
}

// add takes in one message of the log.
func (inv *inventory) add(h envelope.Head) {
	inv.newest = max(inv.newest, h.Version)
	if h.Kind == content.Removed {
		inv.remove(h.UID, h.Version)
		return
	}
	inv.put(h.UID, tree.Place{Parent: h.ParentUID, Name: h.Name}, known{
		version: h.Version, kind: h.Type, digest: h.Digest, read: h.Read, fingerprint: h.Fingerprint, identity: h.Identity,
	})
}

func (inv *inventory) put(uid string, p tree.Place, k known) {
	inv.forgetIdentity(uid)
	if k.identity != "" {
		inv.byIdentity[k.identity] = uid
	}
	delete(inv.gone, uid)
	delete(inv.unsigned, uid)
	inv.tree.Put(uid, p, k)
}

func (inv *inventory) remove(uid string, v version.Version) {
	inv.forgetIdentity(uid)
	inv.tree.Remove(uid)
	delete(inv.unsigned, uid)
	inv.gone[uid] = v
}

func (inv *inventory) forgetIdentity(uid string) {
	if k, ok := inv.tree.Get(uid); ok && inv.byIdentity[k.identity] == uid {
		delete(inv.byIdentity, k.identity)
	}
}

// newUID gives an object that was never seen an id: from the site and the path, so
// that a log that is lost and made again gets the same ids, and from a number where
// an object that has moved away still holds that id.
func (inv *inventory) newUID(path string, taken func(uid string) bool) string {
	for n := 0; ; n++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", inv.site, path, n))
		uid := hex.EncodeToString(sum[:16])
		if _, live := inv.tree.Get(uid); !live && !taken(uid) {
			return uid
		}
	}
}
