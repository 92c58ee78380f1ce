package plone

import (
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/content/contenttest"
)

func TestAContainerWithoutPayloadsHasItsNameAsTitle(t *testing.T) {
	for typ, want := range map[string]string{content.TypeFolder: "Folder", "Document": "Document"} {
		op := content.Op{Change: contenttest.Change("u", "news/2024", typ, nil), To: "news/2024", Open: contenttest.OpenNever}
		w, err := (&target{}).wanted(t.Context(), &op)
		if err != nil {
			t.Fatal(err)
		}
		if w.Type != want || len(w.Fields) != 1 || w.Fields["title"] != "2024" {
			t.Errorf("a bare %s becomes %+v", typ, w.state)
		}
	}
	op := content.Op{Change: contenttest.Change("u", "a.txt", content.TypeFile, []content.Payload{{Plugin: content.PluginFSS}}), To: "a.txt"}
	if _, err := (&target{}).wanted(t.Context(), &op); err == nil {
		t.Error("a file without its state is taken")
	}
}
