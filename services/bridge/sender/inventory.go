package sender

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"synchro.example/services/bridge/zs"
	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/subject"
	"synchro.example/shared/tree"
	"synchro.example/shared/version"
)

// known is what the log has of an object.
type known struct {
	version version.Version
	kind    string
	digest  content.Digest
	// stamp is that of the file that said so, zero for a container of which no file has come.
	stamp stamp
	uid   string // that its site gave it
}

// inventory is the site as its log has it.
type inventory struct {
	site  string
	tree  *tree.Tree[known]
	byUID map[string]string       // uid of the site to that in the log
	gone  map[tree.Place]departed // what was removed last at a place
	dead  map[string]known
}

// departed is an object that is gone, and since when.
type departed struct {
	stamp stamp
	uid   string
}

// load reads the log.
func (s *Sender) load(ctx context.Context) (*inventory, error) {
	inv := &inventory{site: s.Site, tree: tree.New[known](), byUID: map[string]string{}, gone: map[tree.Place]departed{}, dead: map[string]known{}}
	var newest version.Version
	err := changelog.Heads(ctx, s.JS, subject.ExportStream(s.Site),
		func(_ uint64, h envelope.Head) {
			newest = max(newest, h.Version)
			k := known{version: h.Version, kind: h.Type, digest: h.Digest, stamp: parseStamp(h.Fingerprint), uid: h.Identity}
			place := tree.Place{Parent: h.ParentUID, Name: h.Name}
			if h.Kind == content.Removed {
				inv.remove(h.UID, place, k)
				return
			}
			inv.put(h.UID, place, k)
		},
		func(subj string, err error) {
			s.log.Error("a message of the log cannot be read; the object is known again when it changes", "subject", subj, "error", err)
		})
	if err != nil {
		return nil, err
	}
	if s.clock == nil {
		s.clock = version.NewClock(newest, nil)
	}
	s.clock.Observe(newest)
	return inv, nil
}

func (inv *inventory) put(uid string, p tree.Place, k known) {
	inv.forget(uid)
	delete(inv.gone, p)
	if k.uid != "" {
		inv.byUID[k.uid] = uid
	}
	inv.tree.Put(uid, p, k)
}

func (inv *inventory) remove(uid string, p tree.Place, k known) {
	inv.forget(uid)
	inv.tree.Remove(uid)
	inv.dead[uid] = k
	if k.stamp.after(inv.gone[p].stamp) {
		inv.gone[p] = departed{k.stamp, uid}
	}
}

func (inv *inventory) forget(uid string) {
	if k, ok := inv.tree.Get(uid); ok && inv.byUID[k.uid] == uid {
		delete(inv.byUID, k.uid)
	}
}

// find gives the uid in the log of the object that a file is about: that which has the
// site's uid, that which stands at the place, or a new one.
func (inv *inventory) find(c *zs.Change, place tree.Place) string {
	if uid, ok := inv.byUID[c.UID]; ok && c.UID != "" {
		return uid
	}
	if uid, ok := inv.tree.At(place); ok {
		return uid
	}
	if _, taken := inv.tree.Get(c.UID); c.UID != "" && !taken {
		return c.UID
	}
	return inv.newUID(c.Path)
}

// newUID makes one from the path, so that a log that is lost and made again has the same.
func (inv *inventory) newUID(path []string) string {
	for n := 0; ; n++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", inv.site, strings.Join(path, "/"), n))
		uid := hex.EncodeToString(sum[:16])
		if _, live := inv.tree.Get(uid); !live {
			return uid
		}
	}
}

// previous gives the version that an object had last.
func (inv *inventory) previous(uid string) version.Version {
	if k, ok := inv.tree.Get(uid); ok {
		return k.version
	}
	return inv.dead[uid].version
}
