package plone

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"synchro.example/shared/fault"
)

// kind says how a field's value travels.
type kind int

const (
	plain    kind = iota // as it is
	rich                 // text with markup
	file                 // bytes of their own
	relation             // one object, or several
	date
	blocks // JSON with addresses in it
)

// schema is what a type's fields are.
type schema struct {
	fields map[string]kind
	single map[string]bool // fields with one relation instead of a list
	lists  map[string]bool // fields that want an empty list instead of nothing
}

// related gives the value of a field of relations.
func (s *schema) related(field string, uids []string) any {
	switch {
	case !s.single[field]:
		return append([]string{}, uids...)
	case len(uids) > 0:
		return uids[0]
	}
	return nil
}

// schemaAge is how long a schema is believed.
const schemaAge = 10 * time.Minute

// schemas asks the site for the schemas of its types, each once in a while. Safe for
// concurrent use.
type schemas struct {
	*client
	mu    sync.Mutex
	known map[string]knownSchema
}

type knownSchema struct {
	*schema
	at time.Time
}

func newSchemas(c *client) *schemas { return &schemas{client: c, known: map[string]knownSchema{}} }

// neverFields are in schemas and no part of an object's state: its name, a remark on
// the last change, and what is bound to one site.
var neverFields = []string{"id", "changeNote", "sync_uid"}

func (s *schemas) of(ctx context.Context, typ string) (*schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.known[typ]; ok && time.Since(k.at) < schemaAge {
		return k.schema, nil
	}
	if !addressable(typ) {
		return nil, fault.Errorf(fault.Park, fault.Unsupported, "the type %q cannot be asked for", typ)
	}
	var doc struct {
		Properties map[string]struct {
			Factory string `json:"factory"`
			Mode    string `json:"mode"`
		} `json:"properties"`
	}
	if _, err := s.get(ctx, "", "@types/"+escapeSegment(typ), nil, &doc); err != nil {
		if isStatus(err, http.StatusNotFound) {
			return nil, fault.Errorf(fault.Park, fault.Unsupported, "the site has no type %q: %w", typ, err)
		}
		return nil, s.classify(ctx, err)
	}
	sc := &schema{fields: map[string]kind{}, single: map[string]bool{}, lists: map[string]bool{}}
	for name, p := range doc.Properties {
		if p.Mode == "" && !slices.Contains(neverFields, name) {
			sc.fields[name] = kindOf(p.Factory)
			sc.single[name] = p.Factory == "Relation Choice"
			sc.lists[name] = p.Factory == "List"
		}
	}
	if len(sc.fields) == 0 {
		return nil, fault.Errorf(fault.Park, fault.Unsupported, "the type %q has no field that this account may see", typ)
	}
	s.known[typ] = knownSchema{sc, time.Now()}
	return sc, nil
}

func kindOf(factory string) kind {
	switch factory {
	case "Rich Text":
		return rich
	case "File", "Image":
		return file
	case "Relation List", "Relation Choice":
		return relation
	case "Date/Time", "Date":
		return date
	case "JSONField":
		return blocks
	}
	return plain
}
