package seed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// state is an object in the form in which it travels: that of the driver for sites.
type state struct {
	payload map[string]any
	meta    map[string]any
	infos   map[string]map[string]any // of files, by field
	blobs   map[string]*blob
}

// dropped are keys that are no fields: what the export says of an object in other words,
// what a site computes, and what has a place of its own.
var dropped = []string{
	"UID", "id", "parent", "is_folderish", "items", "items_total", "batching", "layout", "review_state", "created", "modified",
	"workflow_history", "lock", "version", "versioning_enabled", "working_copy", "working_copy_of", "next_item", "previous_item",
	"type_title", "allow_discussion", "changeNote", "changeActor", "sync_uid", "constrainTypesMode", "locallyAllowedTypes",
	"immediatelyAddableTypes", "targetUrl", "image_scales", "factory_kwargs", "customView", "localizable", "presentation", "default_page",
}

// renamed are fields that were called otherwise before Plone 5.
var renamed = map[string]string{
	"excludeFromNav": "exclude_from_nav", "allowDiscussion": "allow_discussion", "subject": "subjects", "expirationDate": "expires",
	"effectiveDate": "effective", "creation_date": "created", "modification_date": "modified", "startDate": "start", "endDate": "end",
	"openEnd": "open_end", "eventUrl": "event_url", "wholeDay": "whole_day", "contactEmail": "contact_email", "contactName": "contact_name",
	"contactPhone": "contact_phone", "imageCaption": "image_caption", "tableContents": "table_of_contents",
}

// typesNow are types that have another name now.
var typesNow = map[string]string{"Topic": "Collection", "Large Plone Folder": "Folder"}

func typeNow(typ string) string {
	if now, ok := typesNow[typ]; ok {
		return now
	}
	return typ
}

// layoutsNow are views of containers and collections that have another name now.
var layoutsNow = map[string]string{
	"all_content": "full_view", "atct_album_view": "album_view", "atct_topic_view": "listing_view", "collection_view": "listing_view",
	"folder_album_view": "album_view", "folder_full_view": "full_view", "folder_listing": "listing_view", "folder_listing_view": "listing_view",
	"folder_summary_view": "summary_view", "folder_tabular_view": "tabular_view", "standard_view": "listing_view", "thumbnail_view": "album_view",
}

// metaKeys are what expressions may read of an object. workflow_history is for who writes
// the first copy of a site.
var metaKeys = []string{
	"title", "description", "review_state", "subjects", "creators", "contributors", "rights", "created", "modified", "effective",
	"expires", "is_folderish", "type_title", "workflow_history",
}

// state makes an object of its JSON.
func (x *index) state(e *entry, doc map[string]any) (*state, error) {
	for old, now := range renamed {
		if v, ok := doc[old]; ok {
			delete(doc, old)
			if doc[now] == nil {
				doc[now] = v
			}
		}
	}
	st := &state{meta: metaOf(e, doc), infos: map[string]map[string]any{}, blobs: map[string]*blob{}}
	fields, relations := map[string]any{}, map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		if strings.HasPrefix(name, "@") || strings.HasPrefix(name, "exportimport.") || slices.Contains(dropped, name) {
			continue
		}
		if err := x.field(e, st, fields, relations, name, doc[name]); err != nil {
			return nil, fmt.Errorf("field %s: %w", name, err)
		}
	}
	for field, uids := range x.relations[e.uid] {
		relations[field] = uids
	}
	st.payload = map[string]any{"type": e.typ, "fields": fields}
	st.extras(x, e, doc, relations)
	return st, nil
}

// extras puts in what is no field, as far as there is any.
func (st *state) extras(x *index, e *entry, doc, relations map[string]any) {
	if len(st.infos) > 0 {
		st.payload["files"] = st.infos
	}
	if len(relations) > 0 {
		st.payload["relations"] = relations
	}
	if state, _ := doc["review_state"].(string); state != "" {
		st.payload["review_state"] = state
	}
	if layout, _ := doc["layout"].(string); layout != "" {
		if now := layoutsNow[layout]; now != "" && (e.typ == "Folder" || e.typ == "Collection") {
			layout = now
		}
		st.payload["layout"] = layout
	}
	if order := x.order[e.path]; len(order) > 0 {
		st.payload["order"] = order
	}
}

func metaOf(e *entry, doc map[string]any) map[string]any {
	m := map[string]any{"portal_type": e.typ, "language": token(doc["language"])}
	for _, k := range metaKeys {
		if v := doc[k]; v != nil {
			m[k] = v
		}
	}
	if b, err := json.Marshal(m["workflow_history"]); err != nil || len(b) > maxHistory {
		delete(m, "workflow_history")
	}
	return m
}

// maxHistory is the largest history that travels with each change of an object.
const maxHistory = 64 << 10

func (x *index) field(e *entry, st *state, fields, relations map[string]any, name string, v any) error {
	m, _ := v.(map[string]any)
	switch {
	case isFile(m):
		return x.file(e, st, name, m)
	case isRich(m):
		text, err := x.text(e, m["data"])
		if err != nil {
			return err
		}
		fields[name] = rich(text, m["content-type"])
		return nil
	}
	if uids, ok := related(v); ok {
		relations[name] = uids
		return nil
	}
	if name == "language" && v == "##DEFAULT##" {
		return nil
	}
	fields[name] = value(name, v)
	return nil
}

func isFile(m map[string]any) bool {
	_, named := m["filename"]
	return named && (m["data"] != nil || m["blob_path"] != nil || m["download"] != nil)
}

func isRich(m map[string]any) bool {
	_, media := m["content-type"].(string)
	_, data := m["data"]
	return media && data
}

func rich(text string, media any) any {
	if text == "" {
		return nil
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	return map[string]any{"data": text, "content-type": media}
}

// related gives the UIDs of other objects that a value consists of.
func related(v any) (uids []string, ok bool) {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	for _, r := range list {
		m, _ := r.(map[string]any)
		uid, _ := m["UID"].(string)
		if _, addressed := m["@id"]; !addressed || uid == "" {
			return nil, false
		}
		uids = append(uids, uid)
	}
	return uids, len(uids) > 0
}

// value gives a field in the form in which the driver for sites has it.
func value(name string, v any) any {
	switch v := token(v).(type) {
	case string:
		if name == "effective" || name == "expires" {
			return date(v)
		}
		return strings.ReplaceAll(strings.ReplaceAll(v, "\r\n", "\n"), "\r", "\n")
	default:
		return v
	}
}

// token takes the value out of the pair of title and token that stands for a choice.
func token(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if t, ok := v["token"]; ok && len(v) <= 2 {
			return t
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = token(v[i])
		}
		return out
	}
	return v
}

// date gives the minute in UTC. The first and the last date that Zope knows stand for none.
func date(s string) any {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if t = t.UTC(); t.Year() < 1970 || t.Year() >= 2499 {
			return nil
		}
		return t.Truncate(time.Minute).Format(time.RFC3339)
	}
	if s == "" || s == "None" {
		return nil
	}
	return s
}

// file takes in a file, whose bytes stand in the JSON or beside it.
func (x *index) file(e *entry, st *state, name string, m map[string]any) (err error) {
	var b *blob
	switch at, _ := m["blob_path"].(string); {
	case m["data"] != nil:
		b, err = x.inline(e, m["data"])
	case at != "":
		b, err = x.beside(path.Join("content", at))
	default:
		err = errors.New("its bytes are not in the export; export again, with files as base64")
	}
	if err != nil {
		return err
	}
	filename, _ := m["filename"].(string)
	if filename == "" {
		filename = path.Base(e.path)
	}
	media, _ := m["content-type"].(string)
	if media == "" {
		media = "application/octet-stream"
	}
	st.blobs[name] = b
	st.infos[name] = map[string]any{"filename": filename, "content-type": media, "size": b.size}
	return nil
}

// beside gives the bytes of a file of the export.
func (x *index) beside(name string) (*blob, error) {
	if !fs.ValidPath(name) || !strings.HasPrefix(name, "content/") {
		return nil, fmt.Errorf("its bytes are said to be in %q, which is not in the export", name)
	}
	info, err := fs.Stat(x.files, name)
	if err != nil {
		return nil, fmt.Errorf("its bytes are not in the export; one whose files lie in the site's blob storage has to be made again, with files as base64: %w", err)
	}
	return &blob{info.Size(), func() (io.ReadCloser, error) { return x.files.Open(name) }}, nil
}
