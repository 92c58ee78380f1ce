package sender

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/services/bridge/wire"
	"synchro.example/services/bridge/zexp"
	"synchro.example/services/bridge/zs"
	"synchro.example/shared/content"
	"synchro.example/shared/envelope"
	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
	"synchro.example/shared/tree"
)

// state is a new state of an object on its way into the log.
type state struct {
	uid      string
	place    tree.Place
	path     []string
	removed  bool
	kind     string
	siteUID  string
	stamp    stamp
	payloads []content.Payload
}

// interpret makes the messages of a file. What is older than what the log has of the
// object makes none.
func (w *work) interpret(ctx context.Context, c *claimed, change *zs.Change) error {
	if len(change.Parts) == 0 {
		return fault.Errorf(fault.Park, fault.Invalid, "the file has no plugin's data")
	}
	for _, p := range change.Parts {
		if !slices.Contains(w.Accept, string(p.Kind)) {
			return fault.Errorf(fault.Park, fault.Unsupported, "site %s takes no %s data; sites.%s.accept names %s", w.Site, p.Kind, w.Site, strings.Join(w.Accept, ", "))
		}
	}
	if change.Leaked > 0 {
		w.log.Debug("values of other objects are left out", "file", c.file, "values", change.Leaked)
	}
	if change.Part(zs.Delete) != nil {
		if len(change.Parts) > 1 {
			return fault.Errorf(fault.Park, fault.Invalid, "the file deletes an object and also says what it is")
		}
		return w.removal(c, change)
	}
	return w.modification(ctx, c, change)
}

// removal takes out of the log what stands at a path, with all below it.
func (w *work) removal(c *claimed, change *zs.Change) error {
	at := stampOf(c.name)
	place, known := w.placeOf(change.Path)
	uid, ok := w.inv.tree.At(place)
	if !known || !ok {
		if before, ok := w.inv.gone[place]; known && ok {
			return w.goneAgain(c, before, place, change.Path)
		}
		return fault.Errorf(fault.Park, fault.Unsupported, "%s is to be deleted, and never came through this bridge: no receiving site would learn of it", strings.Join(change.Path, "/"))
	}
	if k, _ := w.inv.tree.Get(uid); k.stamp.after(at) {
		w.older(c)
		return nil
	}
	return w.removeAll(c, uid, change.Path, at)
}

// goneAgain notes that what was gone already was deleted once more: it was made meanwhile, by a
// file that somebody else has, and that may still come here.
func (w *work) goneAgain(c *claimed, before departed, place tree.Place, path []string) error {
	at := stampOf(c.name)
	if _, live := w.inv.tree.Get(before.uid); live || !at.after(before.stamp) {
		return nil
	}
	return w.add(c, w.departure(before.uid, place, path, at, w.inv.dead[before.uid]))
}

func (w *work) departure(uid string, place tree.Place, path []string, at stamp, k known) state {
	id := []byte(place.Name)
	payload := content.Payload{Plugin: content.PluginDelete, MediaType: "text/plain", Inline: id, SHA256: sha256.Sum256(id), Size: int64(len(id))}
	return state{uid: uid, place: place, path: path, removed: true, kind: k.kind, siteUID: k.uid, stamp: at, payloads: []content.Payload{payload}}
}

func (w *work) older(c *claimed) {
	w.log.Info("a file is older than what was sent of its object, and changes nothing", "file", c.file)
}

// removeAll removes what lies below an object first.
func (w *work) removeAll(c *claimed, uid string, path []string, at stamp) error {
	for _, child := range slices.Sorted(w.inv.tree.Children(uid)) {
		place, _ := w.inv.tree.Place(child)
		if err := w.removeAll(c, child, append(slices.Clone(path), place.Name), at); err != nil {
			return err
		}
	}
	place, _ := w.inv.tree.Place(uid)
	k, _ := w.inv.tree.Get(uid)
	return w.add(c, w.departure(uid, place, path, at, k))
}

// placeOf finds the place of a path, false when its container is not known.
func (w *work) placeOf(path []string) (tree.Place, bool) {
	parent := ""
	for _, id := range path[:len(path)-1] {
		uid, ok := w.inv.tree.At(tree.Place{Parent: parent, Name: id})
		if !ok {
			return tree.Place{}, false
		}
		parent = uid
	}
	return tree.Place{Parent: parent, Name: path[len(path)-1]}, true
}

func (w *work) modification(ctx context.Context, c *claimed, change *zs.Change) error {
	payloads, kind, err := w.payloads(ctx, c, change)
	if err != nil {
		return err
	}
	place, err := w.containers(c, change.Path)
	if err != nil {
		return err
	}
	at := stampOf(c.name)
	uid := w.inv.find(change, place)
	old, live := w.inv.tree.Get(uid)
	if old.stamp.after(at) || w.inv.gone[place].stamp.after(at) {
		w.older(c)
		return nil
	}
	if kind == "" {
		kind = cmp.Or(old.kind, "object")
	}
	stands, _ := w.inv.tree.Place(uid)
	if live && old.stamp == at && stands == place && old.digest == content.DigestOf(payloads) {
		return nil // it was sent before a crash
	}
	if other, taken := w.inv.tree.At(place); taken && other != uid {
		if err := w.removeAll(c, other, change.Path, at); err != nil {
			return err
		}
	}
	return w.add(c, state{uid: uid, place: place, path: change.Path, kind: kind, siteUID: change.UID, stamp: at, payloads: payloads})
}

// containers gives the place of a path. Containers that never came get into the log with
// nothing but their name: their site has them, and receivers need them.
func (w *work) containers(c *claimed, path []string) (tree.Place, error) {
	parent := ""
	for n, id := range path[:len(path)-1] {
		place := tree.Place{Parent: parent, Name: id}
		uid, ok := w.inv.tree.At(place)
		if !ok {
			uid = w.inv.newUID(path[:n+1])
			if err := w.add(c, state{uid: uid, place: place, path: path[:n+1], kind: content.TypeFolder}); err != nil {
				return tree.Place{}, err
			}
		}
		parent = uid
	}
	return tree.Place{Parent: parent, Name: path[len(path)-1]}, nil
}

// add makes the message of a state, and takes it for said.
func (w *work) add(c *claimed, s state) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	meta := map[string]any{wire.MetaUID: s.siteUID}
	if s.kind != "" {
		meta["portal_type"] = s.kind[strings.LastIndexByte(s.kind, '.')+1:]
	}
	change := &content.Change{
		ID: id.String(), Source: w.Site, Kind: content.Modified,
		Object: content.Object{
			UID: s.uid, ParentUID: s.place.Parent, Name: s.place.Name, Path: strings.Join(s.path, "/"), Type: s.kind, Meta: meta,
		},
		Version: w.clock.Next(), Previous: w.inv.previous(s.uid), CapturedAt: time.Now().UTC(),
		Digest: content.DigestOf(s.payloads), Payloads: s.payloads,
	}
	if s.removed {
		change.Kind = content.Removed
	}
	m, err := envelope.Message(subject.ExportToProcess(w.Site, s.uid), change, s.stamp.String(), s.siteUID)
	if err != nil {
		return err
	}
	k := known{version: change.Version, kind: s.kind, digest: change.Digest, stamp: s.stamp, uid: s.siteUID}
	if s.removed {
		m.Header.Set(jetstream.MsgTTLHeader, w.Tombstones.Truncate(time.Second).String())
		w.inv.remove(s.uid, s.place, k)
	} else {
		w.inv.put(s.uid, s.place, k)
	}
	c.msgs = append(c.msgs, m)
	return w.Key.Sign(m.Subject, m)
}

// payloads gives those of a file's parts, and the type of the object as far as they tell.
func (w *work) payloads(ctx context.Context, c *claimed, change *zs.Change) (payloads []content.Payload, kind string, err error) {
	room := int64(envelope.InlineLimit)
	for i := range change.Parts {
		p := &change.Parts[i]
		payload := content.Payload{Plugin: string(p.Kind)}
		value := p.Export
		switch {
		case p.Kind == zs.ZEXP:
			payload.MediaType = wire.MediaExport
			if kind, err = w.check(value); err != nil {
				return nil, "", err
			}
		case wire.IsPlain(change, p):
			f := &p.Fields[0]
			payload.MediaType, payload.Names, value = f.MIMEType, []string{f.Name, f.Filename}, f.File
			if len(change.Parts) == 1 {
				kind = content.TypeFile
			}
		default:
			payload.MediaType = wire.MediaFields
			value = zs.Value{Size: -1, Open: func() (io.ReadCloser, error) { return wire.Pack(change, p), nil }}
		}
		if err := w.carry(ctx, c, &payload, value, &room); err != nil {
			return nil, "", err
		}
		payloads = append(payloads, payload)
	}
	return payloads, kind, nil
}

// check reads an export and gives the class of its object.
func (w *work) check(v zs.Value) (string, error) {
	r, err := v.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	read := zexp.Learn
	if w.Allowed != nil {
		read = func(r io.Reader) (*zexp.Report, error) { return zexp.Check(r, w.Allowed) }
	}
	report, err := read(r)
	if err != nil {
		return "", err
	}
	return report.Root.String(), nil
}

// carry puts bytes into the envelope as long as there is room, else into the blob store.
func (w *work) carry(ctx context.Context, c *claimed, p *content.Payload, v zs.Value, room *int64) error {
	r, err := v.Open()
	if err != nil {
		return err
	}
	head, err := io.ReadAll(io.LimitReader(r, *room+1))
	if err == nil && int64(len(head)) <= *room {
		p.Inline, p.Size, p.SHA256 = head, int64(len(head)), sha256.Sum256(head)
		*room -= p.Size
		return r.Close()
	}
	if err == nil {
		put, failed := w.blobs.Put(ctx, io.MultiReader(bytes.NewReader(head), r), nil)
		p.Blob, p.SHA256, p.Size, err = put.Blob, put.SHA256, put.Size, failed
		c.puts = append(c.puts, put)
	}
	return errors.Join(err, r.Close())
}
