package plone

import (
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
)

func TestAContainerWithoutPayloadsHasItsNameAsTitleAndChangesNone(t *testing.T) {
	for _, typ := range []string{content.TypeFolder, "Folder", "Document"} {
		s, f := fakeSite(t)
		target := s.target(t)
		op := content.Op{Change: contenttest.Change(uidOf("u"), "2024", typ, nil), To: "2024", Open: contenttest.OpenNever}
		check(t, target.Apply(t.Context(), []content.Op{op})[0])
		if doc := must[jsonMap](t)(s.get("2024")); doc["title"] != "2024" {
			t.Errorf("a bare %s has the title %v", typ, doc["title"])
		}
		check(t, s.edit("2024", jsonMap{"title": "The year", "relatedItems": []string{uidOf("u")}}))
		f.writes = 0
		check(t, target.Apply(t.Context(), []content.Op{op})[0])
		if doc := must[jsonMap](t)(s.get("2024")); doc["title"] != "The year" || f.writes != 0 {
			t.Errorf("it was written %d times and has the title %v", f.writes, doc["title"])
		}
	}
	op := content.Op{Change: contenttest.Change(uidOf("u"), "a.txt", content.TypeFile, nil), To: "a.txt"}
	if _, err := (&target{}).wanted(t.Context(), &op); err == nil {
		t.Error("a file without its state is taken")
	}
}

func TestAFileOfAClassicQueueIsAFileHere(t *testing.T) {
	s, f := fakeSite(t)
	target := s.target(t)
	op := content.Op{
		Change: contenttest.Change(uidOf("u"), "a.bin", content.TypeFile, []content.Payload{
			contenttest.Payload(content.PluginFSS, "application/octet-stream", []string{"file", "a.bin"}, []byte("\x00value")),
		}),
		To: "a.bin", Open: contenttest.OpenInline,
	}
	check(t, target.Apply(t.Context(), []content.Op{op})[0])
	doc := must[jsonMap](t)(s.get("a.bin"))
	if file, _ := doc["file"].(map[string]any); doc["@type"] != "File" || file["size"] != 6.0 {
		t.Errorf("it is %v", doc)
	}
	f.writes = 0
	check(t, target.Apply(t.Context(), []content.Op{op})[0])
	if f.writes != 0 {
		t.Errorf("asked again, it was written %d times", f.writes)
	}
}
